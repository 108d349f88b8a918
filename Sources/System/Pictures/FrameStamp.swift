// The stamp in every frame of an emulated camera: by it a client proves that a frame is whole, and which one it is.

/// Number, time and checksum of a frame.
///
/// On the wire a block of 64 bytes, little endian:
/// `0` magic, 16 bytes · `16` number, u64 · `24` capture time, u64 · `32` bytes of the whole frame, u32 · `36` frame interval in ns, u32 ·
/// `40` stream, u32 · `44` zero · `56` CRC-32 of the block's bytes before, u32 · `60` CRC-32 of the whole frame without this field (and
/// without the second block), u32.
///
/// MJPEG: the payload of an APP9 segment directly after SOI. Uncompressed: the frame's first 64 bytes and, the same again, its last 64
/// bytes (a specked line of pixels in two corners), so that a frame whose start or end is missing is known as well.
public struct FrameStamp: Hashable, Sendable {
    /// From 0 at the stream's first frame. It follows the clock: a frame that nobody fetched has a number too.
    public var number: UInt64
    /// CLOCK_MONOTONIC in nanoseconds: when the frame's exposure began. Monotonic, because latencies and gaps are computed from it, on
    /// the same machine, and must not jump when somebody sets the clock.
    public var captureTime: UInt64
    /// Nanoseconds from one frame to the next. With `captureTime` it tells how many frames are missing when `number` starts over.
    public var intervalNanoseconds: UInt32
    /// How often the device was told to stream, this time included.
    public var stream: UInt32

    public init(number: UInt64, captureTime: UInt64, intervalNanoseconds: UInt32, stream: UInt32) {
        self.number = number
        self.captureTime = captureTime
        self.intervalNanoseconds = intervalNanoseconds
        self.stream = stream
    }

    /// What a frame's bytes say about themselves.
    public enum Reading: Hashable, Sendable {
        /// No stamp: a real camera. After a stamped frame of the same stream it means a frame that lost its start.
        case none
        /// Every byte is as it was sent.
        case whole(FrameStamp)
        /// Something is missing or altered. The stamp is given where it is itself unharmed.
        case torn(FrameStamp?)
    }

    /// Frames that the camera made between two whole ones and that did not arrive, across restarts of the stream too. 0 if `next` is not a
    /// later frame.
    public func framesMissing(before next: FrameStamp) -> UInt64 {
        if next.stream == stream { return next.number > number ? next.number - number - 1 : 0 }
        guard next.captureTime > captureTime, intervalNanoseconds > 0 else { return 0 }
        // A camera writes these times, and may write any.
        let (steps, rest) = (next.captureTime - captureTime).quotientAndRemainder(dividingBy: UInt64(intervalNanoseconds))
        let isNearerToNext = rest >= UInt64(intervalNanoseconds) - rest
        return isNearerToNext ? steps : steps > 0 ? steps - 1 : 0
    }

    static let blockLength = 64
    private static let magic = Array("UserDriver stamp".utf8)
    /// SOI, APP9 and its length: what stands before the block in MJPEG.
    private static let segmentStart: [UInt8] = [0xff, 0xd8, 0xff, 0xe9, 0x00, 0x42]

    /// By how many bytes a JPEG grows: it is put into the frame's memory this far from the start, and ``write(format:into:)`` moves its SOI.
    public static let jpegOverhead = 2 + 2 + blockLength

    /// Whether a format's frames are JPEGs, by its name in any case.
    private static func isJPEG(_ format: String) -> Bool {
        switch format.lowercased() {
        case "mjpeg", "mjpg", "jpeg", "jpg": true
        default: false
        }
    }

    /// Reads and verifies the stamp of a frame: `format` is "mjpeg", or any other word for uncompressed pixels.
    public static func read(format: String, bytes: UnsafeRawBufferPointer) -> Reading {
        let isJPEG = isJPEG(format)
        let front = isJPEG ? segmentStart.count : 0
        let back = isJPEG ? 0 : blockLength
        let first = looksStamped(bytes, at: front)
        let last = !isJPEG && looksStamped(bytes, at: bytes.count - blockLength)
        guard first || last else { return .none }
        let stamp = first ? parse(bytes, at: front) : nil
        guard let stamp else { return .torn(last ? parse(bytes, at: bytes.count - blockLength) : nil) }
        guard bytes.count >= front + blockLength + back, Int(load32(bytes, front + 32)) == bytes.count else { return .torn(stamp) }
        if isJPEG {
            guard bytes.prefix(front).elementsEqual(segmentStart) else { return .torn(stamp) }
        } else {
            guard bytes.prefix(blockLength).elementsEqual(bytes.suffix(blockLength)) else { return .torn(stamp) }
        }
        guard load32(bytes, front + 60) == checksum(bytes, front: front, back: back) else { return .torn(stamp) }
        return .whole(stamp)
    }

    /// Stamps a frame whose other bytes are final. MJPEG: `frame` holds a JPEG at offset ``jpegOverhead``, up to its end.
    /// Uncompressed: the first and the last 64 bytes are overwritten; the frame has at least 128.
    public func write(format: String, into frame: UnsafeMutableRawBufferPointer) {
        let isJPEG = Self.isJPEG(format)
        let front = isJPEG ? Self.segmentStart.count : 0
        let back = isJPEG ? 0 : Self.blockLength
        precondition(frame.count >= front + Self.blockLength + back && frame.count <= Int(UInt32.max), "room for the stamp")
        if isJPEG { frame.copyBytes(from: Self.segmentStart) }
        let block = UnsafeMutableRawBufferPointer(rebasing: frame[front..<front + Self.blockLength])
        block.initializeMemory(as: UInt8.self, repeating: 0)
        block.copyBytes(from: Self.magic)
        block.storeBytes(of: number.littleEndian, toByteOffset: 16, as: UInt64.self)
        block.storeBytes(of: captureTime.littleEndian, toByteOffset: 24, as: UInt64.self)
        block.storeBytes(of: UInt32(frame.count).littleEndian, toByteOffset: 32, as: UInt32.self)
        block.storeBytes(of: intervalNanoseconds.littleEndian, toByteOffset: 36, as: UInt32.self)
        block.storeBytes(of: stream.littleEndian, toByteOffset: 40, as: UInt32.self)
        var own = CRC32()
        own.update(UnsafeRawBufferPointer(rebasing: block[..<56]))
        block.storeBytes(of: own.value.littleEndian, toByteOffset: 56, as: UInt32.self)
        let whole = Self.checksum(UnsafeRawBufferPointer(frame), front: front, back: back)
        block.storeBytes(of: whole.littleEndian, toByteOffset: 60, as: UInt32.self)
        if back > 0 {
            UnsafeMutableRawBufferPointer(rebasing: frame[(frame.count - back)...]).copyMemory(from: UnsafeRawBufferPointer(block))
        }
    }

    /// At least half of the magic is there: one altered byte in it makes a frame torn, not unstamped.
    private static func looksStamped(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        guard offset >= 0, bytes.count - offset >= magic.count else { return false }
        var matches = 0
        for index in 0..<magic.count where bytes[offset + index] == magic[index] { matches += 1 }
        return matches * 2 >= magic.count
    }

    /// The stamp in a block that is whole in itself.
    private static func parse(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> FrameStamp? {
        guard offset >= 0, bytes.count - offset >= blockLength else { return nil }
        var own = CRC32()
        own.update(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + 56]))
        guard own.value == load32(bytes, offset + 56) else { return nil }
        return FrameStamp(
            number: UInt64(load32(bytes, offset + 16)) | UInt64(load32(bytes, offset + 20)) << 32,
            captureTime: UInt64(load32(bytes, offset + 24)) | UInt64(load32(bytes, offset + 28)) << 32,
            intervalNanoseconds: load32(bytes, offset + 36), stream: load32(bytes, offset + 40))
    }

    private static func load32(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    private static func checksum(_ bytes: UnsafeRawBufferPointer, front: Int, back: Int) -> UInt32 {
        var checksum = CRC32()
        checksum.update(UnsafeRawBufferPointer(rebasing: bytes[..<(front + 60)]))
        checksum.update(UnsafeRawBufferPointer(rebasing: bytes[(front + blockLength)..<(bytes.count - back)]))
        return checksum.value
    }
}
