// A frame in the client's hands, and what else a stream tells.

public import FrameRing

/// One frame. Its bytes lie in memory that the driver writes: they stay until the ring comes round
/// to their slot again, which it does not do early while a copy of this value exists, and every
/// access to them says whether they were whole.
public struct Frame: Sendable {
    let reference: FrameReference
    /// What the frame is; `nil` if the driver did not describe it in terms that this client knows.
    public let stream: StreamDescription?
    /// Grows when the frames' numbers start over: another ring has taken this one's place.
    public let epoch: Int

    /// The number that the ring gave it, from 1. Missing numbers are reported as gaps.
    public var sequence: UInt64 { reference.sequence }
    /// Which incarnation of the driver wrote it.
    public var generation: UInt32 { reference.generation }
    /// CLOCK_MONOTONIC nanoseconds of the frame's first payload.
    public var captured: UInt64 { reference.captured }
    /// CLOCK_MONOTONIC nanoseconds when the driver had it whole.
    public var published: UInt64 { reference.published }
    /// The device's own time of the picture, in its clock's ticks; 0 if it gives none.
    public var deviceTime: UInt64 { reference.deviceTime }
    public var byteCount: Int { reference.length }
    /// Bytes are missing, or the device said that something went wrong: good enough to show at best, not to rely on.
    public var isDamaged: Bool { reference.flags.contains(.damaged) }
    /// Why it is damaged, in words; empty if nobody knows.
    public var damage: [String] { isDamaged ? reference.flags.reasons : [] }
    /// Everything that the camera sent is there, and its end was repaired: a JPEG got the last marker that the camera leaves out, or bytes
    /// after the last pixel were cut off.
    public var isRepaired: Bool { reference.flags.contains(.repaired) }

    /// Whether the bytes are still there, unchanged.
    public var isWhole: Bool { reference.isWhole }

    /// Lends the bytes without copying them, and tells afterwards whether they stayed whole. While the closure runs they may change under its
    /// eyes: it must bound whatever it derives from them, and what it made of them counts only if this returns `true`.
    public func withBytes<Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Void) throws(Failure) -> Bool {
        try reference.withBytes(body)
    }

    /// The bytes, `nil` if they have been overwritten.
    public func copy() -> [UInt8]? { reference.copy() }
}

/// What a stream brings.
public enum FrameEvent: Sendable {
    case frame(Frame)
    /// Frames that this client does not get: `count` of them from number `first`.
    case gap(first: UInt64, count: UInt64, cause: GapCause)
    /// The driver has died and another incarnation writes on. `restarts` counts them since the daemon knows the device.
    case driverRestarted(generation: UInt32, restarts: Int, message: String)
    /// The device was unplugged. The stream goes on when it is back.
    case deviceAbsent(String)
    case deviceBack(generation: UInt32, message: String)
    /// The driver dies again and again: the daemon has given it up until it is told otherwise. The stream goes on then.
    case driverFailed(String)
    /// The stream goes on in another form.
    case changed(StreamDescription?)
    case notice(String)
    /// The daemon is gone; the client looks for it.
    case supervisorLost(String)
    /// The daemon is back, and frames come again; they are numbered anew.
    case supervisorBack(generation: UInt32)
}
