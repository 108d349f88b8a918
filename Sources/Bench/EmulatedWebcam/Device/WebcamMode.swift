// What the camera can stream: formats, sizes, frame intervals, and what each needs of the bus.

/// The formats of the emulated camera. Raw values are the names that people type.
public enum WebcamFormat: String, CaseIterable, Hashable, Sendable {
    case mjpeg
    /// Packed 4:2:2, BT.601 limited range.
    case yuy2
    /// Planar 4:2:0, BT.601 limited range.
    case nv12
    /// Noise of H.264's usual sizes, with a stamp: nothing decodes it.
    case h264
    /// Y alone, full range, as infrared cameras send it.
    case grey

    /// Those of a camera with colours.
    public static let coloured: [WebcamFormat] = [.mjpeg, .yuy2, .nv12]
}

/// One frame size of one format.
struct WebcamMode: Hashable, Sendable {
    let format: WebcamFormat
    let width: Int
    let height: Int
    /// In 100 ns, shortest first.
    let intervals: [UInt32]
    let defaultInterval: UInt32

    static let sizes = [(160, 120), (320, 240), (640, 480), (1280, 720), (1920, 1080)]
    /// 60, 30, 15, 10 and 5 frames a second, in 100 ns.
    private static let allIntervals: [UInt32] = [166_666, 333_333, 666_666, 1_000_000, 2_000_000]
    static let headerLength = 12
    /// Payload bytes a second of the largest alternate setting, of which a frame may take nine tenths of its time.
    static let bytesPerSecond = (3 * 1024 - headerLength) * 8000
    static let bytesPerSecondForFrames = bytesPerSecond / 10 * 9

    init(format: WebcamFormat, width: Int, height: Int, rates: [UInt32]? = nil) {
        self.format = format
        self.width = width
        self.height = height
        let intervals = (rates ?? Self.allIntervals).filter { interval in
            switch format {
            // A JPEG's size is a matter of quality; what limits it is the encoder.
            case .mjpeg, .h264: interval > 200_000 || height <= 720
            case .yuy2, .nv12, .grey: interval > 200_000 && Self.rawSize(format, width, height) <= Self.budget(interval)
            }
        }
        self.intervals = intervals
        defaultInterval = intervals.first { $0 >= 333_333 } ?? intervals[intervals.count - 1]
    }

    /// The modes of a format, in the order of their frame indexes.
    static func all(of format: WebcamFormat, _ repertoire: EmulatedWebcamOptions.Repertoire = .full) -> [WebcamMode] {
        switch repertoire {
        case .full: sizes.map { WebcamMode(format: format, width: $0.0, height: $0.1) }
        case .compact:
            (format == .mjpeg ? [(160, 120), (640, 480)] : [(160, 120)])
                .map { WebcamMode(format: format, width: $0.0, height: $0.1, rates: [333_333]) }
        }
    }

    /// Bytes that the bus carries in nine tenths of an interval.
    private static func budget(_ interval: UInt32) -> Int { bytesPerSecondForFrames / 1000 * Int(interval) / 10_000 }

    private static func rawSize(_ format: WebcamFormat, _ width: Int, _ height: Int) -> Int {
        switch format {
        case .grey: width * height
        case .nv12: width * height * 3 / 2
        case .mjpeg, .h264, .yuy2: width * height * 2
        }
    }

    /// `dwMaxVideoFrameSize`: exact for uncompressed frames. JPEGs are made to fit this.
    func maximumFrameSize(interval: UInt32) -> Int {
        guard format == .mjpeg || format == .h264 else { return Self.rawSize(format, width, height) }
        return min(width * height * 6 / 10 + 16384, Self.budget(interval))
    }

    /// `dwMaxVideoFrameBufferSize`: the largest of any interval.
    var maximumFrameBufferSize: Int {
        intervals.map { maximumFrameSize(interval: $0) }.max() ?? 0
    }

    /// The interval nearest to the one asked for; 0 means "you choose".
    func nearestInterval(to interval: UInt32) -> UInt32 {
        guard interval > 0 else { return defaultInterval }
        return intervals.min { abs(Int64($0) - Int64(interval)) < abs(Int64($1) - Int64(interval)) } ?? defaultInterval
    }

    /// Payload bytes with header that each microframe has to carry, so that a frame is through in nine tenths of its interval.
    func bytesPerMicroframe(interval: UInt32) -> Int {
        let microframes = (Int(interval) * 9 + 12_499) / 12_500
        return (maximumFrameSize(interval: interval) + microframes - 1) / microframes + Self.headerLength
    }
}

/// The isochronous endpoint's alternate settings, from 1.
enum AlternateSettings {
    /// Bytes and transactions of each: wMaxPacketSize as USB 2.0 §9.6.6 composes it.
    static let ladder: [(size: Int, transactions: Int)] = [
        (192, 1), (384, 1), (512, 1), (640, 1), (800, 1), (1024, 1), (768, 2), (1024, 2), (896, 3), (1024, 3),
    ]

    static func bytes(_ step: (size: Int, transactions: Int)) -> Int { step.size * step.transactions }

    /// The smallest step that carries so many bytes a microframe; the largest where none does.
    static func bytes(carrying count: Int) -> Int {
        ladder.map { bytes($0) }.first { $0 >= count } ?? 3 * 1024
    }

    /// Bytes a microframe of an alternate setting; 0 for setting 0.
    static func bytes(of alternateSetting: UInt8) -> Int {
        alternateSetting >= 1 && Int(alternateSetting) <= ladder.count ? bytes(ladder[Int(alternateSetting) - 1]) : 0
    }
}
