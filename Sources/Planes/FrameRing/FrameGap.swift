// Frames that never came: from which number, how many, why.

/// Why frames are missing. The raw values are stored in the ring's memory.
public enum GapCause: UInt32, Hashable, Sendable, Codable, CaseIterable, CustomStringConvertible {
    /// The ring does not say, or says something that this version does not know.
    case unknown = 0
    /// The driver ended and another incarnation took its place.
    case driverRestarted = 1
    /// The device was unplugged.
    case deviceAbsent = 2
    /// What came was not fit to be shown.
    case damaged = 3
    /// The device, or the bus, left frames out.
    case deviceLost = 4
    /// The driver was too slow for the device.
    case overrun = 5
    /// The reader was too slow: the frames were there and have been overwritten. Told by the reader, never written.
    case tooSlow = 6
    /// The ring's numbers start anew, because its memory was found corrupted. Told by the reader, never written.
    case renumbered = 7

    public var description: String {
        switch self {
        case .unknown: "unknown"
        case .driverRestarted: "the driver restarted"
        case .deviceAbsent: "the device was absent"
        case .damaged: "damaged on the way"
        case .deviceLost: "skipped by the device"
        case .overrun: "the driver was too slow"
        case .tooSlow: "the reader was too slow"
        case .renumbered: "the numbers start over"
        }
    }
}

/// Frames, by number, that a reader will not get.
public struct FrameGap: Hashable, Sendable {
    /// The first missing number.
    public var first: UInt64
    /// How many are missing; 0 only where the numbers start over.
    public var count: UInt64
    public var cause: GapCause
    /// CLOCK_MONOTONIC nanoseconds when the gap was noticed; 0 if the reader tells it.
    public var time: UInt64
    /// The incarnation that noticed; 0 if the reader tells it.
    public var generation: UInt32
    /// The number after which to continue reading.
    public var last: UInt64
}
