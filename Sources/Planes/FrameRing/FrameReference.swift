// A frame in a ring: its facts, and its bytes for as long as nobody has overwritten them.
import CLinux

/// What there is to know about a frame besides its bytes.
public struct FrameFlags: OptionSet, Hashable, Sendable, Codable, BitwiseCopyable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Bytes are missing or the device said that something went wrong: good enough to show at best, not to rely on.
    public static let damaged = FrameFlags(rawValue: 1 << 0)
    /// A still image that was taken while video ran.
    public static let stillImage = FrameFlags(rawValue: 1 << 1)
    /// Everything that the device sent is there, and its end was repaired: a JPEG got the last marker that the device leaves out, or bytes
    /// after the last pixel were cut off.
    public static let repaired = FrameFlags(rawValue: 1 << 2)

    /// What is wrong with a damaged frame, as far as it is known.
    public static let short = FrameFlags(rawValue: 1 << 8)
    public static let oversize = FrameFlags(rawValue: 1 << 9)
    public static let lostPackets = FrameFlags(rawValue: 1 << 10)
    public static let deviceError = FrameFlags(rawValue: 1 << 11)
    public static let malformed = FrameFlags(rawValue: 1 << 12)
    /// A JPEG without its first or its last marker.
    public static let cutPicture = FrameFlags(rawValue: 1 << 13)

    /// Why a frame is damaged, in words; empty if nobody knows.
    public var reasons: [String] {
        let words: [(FrameFlags, String)] = [
            (.short, "too short"), (.oversize, "too long"), (.lostPackets, "packets were lost on the bus"),
            (.deviceError, "the camera signalled an error"), (.malformed, "payload headers are malformed"),
            (.cutPicture, "the JPEG is cut off"),
        ]
        return words.filter { contains($0.0) }.map(\.1)
    }
}

/// One frame of a ring. It stays readable until the writer comes round to its slot again, which it
/// does not do early while this value or a copy of it exists; every access to the bytes says
/// whether they were whole.
public struct FrameReference: Sendable {
    let reader: FrameRingReader
    let slot: Int
    /// Of a reader that reports: the frame is its own until the last copy of this value goes.
    let lease: FrameLease?

    public let sequence: UInt64
    /// Bytes of the frame; never more than the ring's capacity.
    public let length: Int
    /// CLOCK_MONOTONIC nanoseconds of the first payload, as the driver says.
    public let captured: UInt64
    /// CLOCK_MONOTONIC nanoseconds when the driver published it, as the driver says.
    public let published: UInt64
    /// The device's presentation time, in its own clock's ticks; 0 if it gives none.
    public let deviceTime: UInt64
    /// The driver's incarnation that wrote it.
    public let generation: UInt32
    public let flags: FrameFlags

    /// Whether the frame is still in its slot, unchanged.
    public var isWhole: Bool {
        clinux_fence_acquire()
        return reader.mapping.state(slot) == SequenceLock.whole(sequence)
    }

    /// Lends the frame's bytes without copying them, and tells afterwards whether they stayed whole. While the closure runs the bytes may
    /// change under its eyes: it must bound whatever it derives from them, and what it made of them counts only if this returns `true`.
    public func withBytes<Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Void) throws(Failure) -> Bool {
        try body(UnsafeRawBufferPointer(rebasing: reader.mapping.data(slot)[..<length]))
        return isWhole
    }

    /// The frame's bytes, `nil` if they have been overwritten.
    public func copy() -> [UInt8]? {
        var bytes: [UInt8] = []
        let whole = withBytes { bytes = [UInt8]($0) }
        return whole ? bytes : nil
    }
}
