// Which of a camera's formats a node offers, in the order and with the numbers of its descriptors.

public import UserDriverClient
import USB
import UVC

/// The formats of a node: those of the camera that this project vouches for.
public struct NodeFormats: Hashable, Sendable {
    /// One size with its rates.
    public struct Frame: Hashable, Sendable {
        public var width: Int
        public var height: Int
        /// `dwFrameInterval`s in 100 ns, the shortest first.
        public var intervals: [UInt32]
        /// What the daemon calls the same rates, in the same order.
        public var rates: [Double]
    }

    public struct Format: Hashable, Sendable {
        /// As the daemon calls it: `"mjpeg"`.
        public var name: String
        /// On average; 0 for compressed ones.
        public var bitsPerPixel: Int
        /// On the wire, of all but MJPEG.
        public var guid: [UInt8]
        public var frames: [Frame]

        public var isCompressed: Bool { bitsPerPixel == 0 }

        /// Which of the video class's payload formats it is.
        enum Payload { case mjpeg, uncompressed, frameBased }
        var payload: Payload { !isCompressed ? .uncompressed : name == "mjpeg" ? .mjpeg : .frameBased }

        /// `dwMaxVideoFrameSize` in bytes. No camera makes a compressed picture of more than two bytes a pixel.
        public func byteCount(_ frame: Frame) -> Int {
            isCompressed ? max(128 << 10, frame.width * frame.height * 2) : frame.width * frame.height * bitsPerPixel / 8
        }
    }

    /// A format, a size and a rate: what is streamed.
    public struct Choice: Hashable, Sendable {
        public var format: Format
        public var frame: Frame
        public var interval: UInt32
        public var rate: Double

        public var byteCount: Int { format.byteCount(frame) }
        public var request: CameraRequest {
            CameraRequest(format: format.name, width: frame.width, height: frame.height, fps: rate)
        }
    }

    public var formats: [Format]

    /// V4L2 has a name for them. The first is what programs get that choose none: every frame of it stands by itself.
    static let vouchedFor = ["mjpeg", "yuy2", "uyvy", "nv12", "nv21", "i420", "yv12", "grey", "y10", "y12", "y16", "z16", "h264", "h265"]
    private static let mostFrames = 64
    private static let mostBytes = 64 << 20

    /// What the camera says is not trusted.
    public init(_ offered: [CameraFormat]) {
        var formats: [Format] = []
        for name in Self.vouchedFor {
            guard let pixels = PixelFormat(name: name) else { continue }
            var format = Format(name: name, bitsPerPixel: pixels.bitsPerPixel, guid: pixels.guid.bytes, frames: [])
            for size in offered where size.format == name && (1...8192).contains(size.width) && (1...8192).contains(size.height) {
                guard size.width % 2 == 0 || format.isCompressed || name == "grey", format.frames.count < Self.mostFrames,
                    !format.frames.contains(where: { $0.width == size.width && $0.height == size.height })
                else { continue }
                let frame = Frame(size)
                if !frame.intervals.isEmpty, format.byteCount(frame) <= Self.mostBytes { format.frames.append(frame) }
            }
            if !format.frames.isEmpty { formats.append(format) }
        }
        self.formats = formats
    }

    /// The most bytes a second that an uncompressed stream has.
    var mostBytesASecond: Double {
        formats.flatMap { format in
            format.frames.map { Double(format.isCompressed ? 0 : format.byteCount($0)) * 10_000_000 / Double($0.intervals[0]) }
        }.max() ?? 0
    }

    /// What the numbers of a probe mean: formats and frames count from 1, the nearest interval is taken. `nil` if there is no such
    /// format or frame.
    public func choice(format number: UInt8, frame frameNumber: UInt8, interval: UInt32) -> Choice? {
        guard number >= 1, number <= formats.count else { return nil }
        let format = formats[Int(number) - 1]
        guard frameNumber >= 1, frameNumber <= format.frames.count else { return nil }
        let frame = format.frames[Int(frameNumber) - 1]
        let distances = frame.intervals.map { max($0, interval) - min($0, interval) }
        guard let nearest = distances.indices.min(by: { distances[$0] < distances[$1] }) else { return nil }
        return Choice(format: format, frame: frame, interval: frame.intervals[nearest], rate: frame.rates[nearest])
    }

    /// `bDefaultFrameIndex`: the first of 480 lines, else the first.
    func defaultFrame(of format: Format) -> UInt8 { UInt8(clamping: (format.frames.firstIndex { $0.height == 480 } ?? 0) + 1) }

    /// `dwDefaultFrameInterval`: the nearest to 30 frames a second.
    func defaultInterval(of frame: Frame) -> UInt32 {
        frame.intervals.min { abs(Int($0) - 333_333) < abs(Int($1) - 333_333) } ?? 333_333
    }
}

extension NodeFormats.Frame {
    fileprivate init(_ size: CameraFormat) {
        width = size.width
        height = size.height
        intervals = []
        rates = []
        for rate in size.fps.filter({ $0 >= 0.1 && $0 <= 1000 }).sorted(by: >) {
            let interval = UInt32((10_000_000 / rate).rounded(.down))
            // `bLength` of a frame descriptor has room for 57.
            guard intervals.count < 32, intervals.last != interval else { continue }
            intervals.append(interval)
            rates.append(rate)
        }
    }
}
