// Makes one frame: the picture of its moment, as the controls want it, in the stream's format, with its stamp.

import Pictures

/// What a frame is made from.
struct FrameJob: Hashable, Sendable {
    var number: UInt64
    /// CLOCK_MONOTONIC in ns.
    var captureTime: UInt64
    /// Since 1970, for the scene and the clock in it.
    var seconds: Double
    var settings: PictureSettings
}

/// Memory for one frame, and the frame in it.
final class PreparedFrame: @unchecked Sendable {
    // Sendable: written by the thread that makes it before it is handed over, then read only, until it is given back.
    let memory: UnsafeMutableRawBufferPointer
    fileprivate(set) var count = 0
    fileprivate(set) var job: FrameJob?

    init(capacity: Int) {
        memory = .allocate(byteCount: capacity, alignment: 64)
    }

    deinit { memory.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }
}

/// The whole way from the scene to the bytes, for one stream.
final class FrameMaker: @unchecked Sendable {
    // Sendable: used by the one thread that makes a stream's frames.
    private let parameters: StreamParameters
    private let options: EmulatedWebcamOptions
    private let stream: UInt32
    private let source: any PictureSource
    private let planes: YUV422Planes
    private let processor: ImageProcessor
    private let overlay: Overlay
    private let encoder: JPEGEncoder

    /// Painting the scene's landscape takes a tenth of a second at the largest size.
    init(_ parameters: StreamParameters, options: EmulatedWebcamOptions, file: FileContents?, scenes: SceneStore, stream: UInt32)
        throws(PictureError)
    {
        self.parameters = parameters
        self.options = options
        self.stream = stream
        let (width, height) = (parameters.mode.width, parameters.mode.height)
        if let file {
            source = try file.source(width: width, height: height)
        } else {
            source = try scenes.scene(width: width, height: height)
        }
        planes = try YUV422Planes(width: width, height: height)
        processor = try ImageProcessor(width: width, height: height)
        overlay = Overlay(
            width: width, height: height, format: parameters.mode.format.rawValue.uppercased(),
            framesPerSecond: "\((10_000_000 + Int(parameters.interval) / 2) / Int(parameters.interval)) fps")
        encoder = try JPEGEncoder()
    }

    /// Bytes that a frame's memory needs.
    static func capacity(_ mode: WebcamMode) -> Int { pictureCapacity(mode) + longestTail }

    private static let longestTail = 4096

    private static func pictureCapacity(_ mode: WebcamMode) -> Int {
        switch mode.format {
        case .mjpeg: JPEGEncoder.capacity(width: mode.width, height: mode.height) + FrameStamp.jpegOverhead
        case .yuy2: mode.width * mode.height * 2
        case .nv12: mode.width * mode.height * 3 / 2
        case .h264: 8192
        case .grey: mode.width * mode.height
        }
    }

    func make(_ job: FrameJob, into frame: PreparedFrame) throws(PictureError) {
        if parameters.mode.format == .h264 { return makeNoise(job, into: frame) }
        try source.draw(number: job.number, seconds: job.seconds, on: planes)
        processor.apply(job.settings, to: planes)
        if options.showsOverlay, !job.settings.privacy {
            overlay.draw(number: job.number, time: LocalTime(seconds: job.seconds), on: planes)
        }
        switch parameters.mode.format {
        case .mjpeg: frame.count = try encode(into: frame.memory)
        case .yuy2:
            frame.count = Self.pictureCapacity(parameters.mode)
            RawPacking.yuy2(planes, into: UnsafeMutableRawBufferPointer(rebasing: frame.memory[..<frame.count]))
        case .nv12:
            frame.count = Self.pictureCapacity(parameters.mode)
            RawPacking.nv12(planes, into: UnsafeMutableRawBufferPointer(rebasing: frame.memory[..<frame.count]))
        case .h264: break
        case .grey:
            frame.count = Self.pictureCapacity(parameters.mode)
            RawPacking.grey(planes, into: UnsafeMutableRawBufferPointer(rebasing: frame.memory[..<frame.count]))
        }
        frame.job = job
        defer { spoil(frame) }
        stamp(job, frame)
    }

    /// In the place of an encoder.
    private func makeNoise(_ job: FrameJob, into frame: PreparedFrame) {
        frame.count = 2048 + Int(job.number % 16) * 256
        var noise = Noise(seed: job.number)
        for index in 0..<frame.count { frame.memory[index] = UInt8(truncatingIfNeeded: noise.next() >> 24) }
        frame.job = job
        stamp(job, frame)
    }

    private func stamp(_ job: FrameJob, _ frame: PreparedFrame) {
        guard options.stampsFrames else { return }
        let stamp = FrameStamp(
            number: job.number, captureTime: job.captureTime, intervalNanoseconds: UInt32(parameters.intervalNanoseconds), stream: stream)
        stamp.write(
            format: parameters.mode.format.rawValue, into: UnsafeMutableRawBufferPointer(rebasing: frame.memory[..<frame.count]))
    }

    /// Takes from the frame, or puts behind it, what is the camera's nature.
    private func spoil(_ frame: PreparedFrame) {
        func append(_ count: Int, _ byte: (Int) -> UInt8) {
            for index in 0..<min(count, frame.memory.count - frame.count) { frame.memory[frame.count + index] = byte(index) }
            frame.count = min(frame.count + count, frame.memory.count)
        }
        if parameters.mode.format == .mjpeg {
            if options.faults.has(.noEndOfImage) { frame.count -= 2 }
            if options.faults.has(.junkTail) { append(600) { UInt8(truncatingIfNeeded: $0 % 200 + 1) } }
            if options.faults.has(.zeroTail) { append(Self.longestTail) { _ in 0 } }
        } else {
            if options.faults.has(.shortFrame) { frame.count -= 2 }
            if options.faults.has(.longFrame) { append(16) { UInt8(truncatingIfNeeded: $0) } }
        }
    }

    /// A JPEG no larger than what was negotiated: of less quality where it must be.
    private func encode(into memory: UnsafeMutableRawBufferPointer) throws(PictureError) -> Int {
        let overhead = options.stampsFrames ? FrameStamp.jpegOverhead : 0
        let target = UnsafeMutableRawBufferPointer(rebasing: memory[overhead..<Self.pictureCapacity(parameters.mode)])
        var quality = Int(parameters.quality) / 100
        while true {
            var count = try encoder.encode(planes, quality: quality, into: target.assumingMemoryBound(to: UInt8.self))
            if options.omitsHuffmanTables { count = Self.withoutHuffmanTables(target, count: count) }
            if count + overhead <= parameters.frameSize { return count + overhead }
            guard quality > 2 else { throw PictureError.file("A frame does not fit into \(parameters.frameSize) bytes at any quality.") }
            quality = quality * 2 / 3
        }
    }

    /// Takes the DHT segments out of a JPEG, in place.
    private static func withoutHuffmanTables(_ jpeg: UnsafeMutableRawBufferPointer, count: Int) -> Int {
        var count = count
        var position = 2
        while position + 4 <= count, jpeg[position] == 0xff, jpeg[position + 1] != 0xda {
            let length = 2 + (Int(jpeg[position + 2]) << 8 | Int(jpeg[position + 3]))
            guard position + length <= count else { break }
            if jpeg[position + 1] == 0xc4 {
                let rest = UnsafeRawBufferPointer(rebasing: jpeg[(position + length)..<count])
                UnsafeMutableRawBufferPointer(rebasing: jpeg[position...]).copyMemory(from: rest)
                count -= length
            } else {
                position += length
            }
        }
        return count
    }
}
