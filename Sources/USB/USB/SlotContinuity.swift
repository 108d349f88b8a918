// Whether isochronous transfers follow one another on the bus without a hole.

/// Notices slots between two transfers that nobody had asked for, by the host controller's frame numbers.
///
/// What counts in them differs between controllers (how many bits, from where), so numbers are compared in their lowest ten bits of frames,
/// which all have, and believed only once they have been seen to follow one another.
public struct SlotContinuity: Sendable {
    /// Frame numbers from one packet to the next.
    private let step: UInt32
    private let modulus: UInt32
    /// What it remembers: plain numbers, so that they may lie in memory that survives a process.
    public struct Memory: Hashable, Sendable, BitwiseCopyable {
        var expected: UInt32 = 0
        var isExpecting: UInt32 = 0
        var matches: UInt32 = 0
        public init() {}
    }
    public var memory = Memory()
    /// Transfers that must have followed one another before a hole is believed; from then on every hole is, also one after the other.
    public static let trustedAfter: UInt32 = 4

    /// - Parameter interval: `bInterval` of the endpoint, 1…16: packets come every `2^(bInterval − 1)` frames or microframes.
    public init(speed: USBSpeed, interval: UInt8) {
        step = 1 << UInt32(min(max(Int(interval) - 1, 0), 15))
        modulus = speed.slotNanoseconds == 125_000 ? 8192 : 1024
    }

    /// Looks at the next transfer. True when slots before it were left out.
    public mutating func hole(startFrame: UInt32?, packetCount: Int) -> Bool {
        guard let startFrame, packetCount > 0 else {
            memory.isExpecting = 0
            return false
        }
        let start = startFrame % modulus
        defer {
            memory.expected = (start &+ UInt32(truncatingIfNeeded: packetCount) &* step) % modulus
            memory.isExpecting = 1
        }
        guard memory.isExpecting != 0 else { return false }
        if start == memory.expected {
            memory.matches = min(memory.matches, Self.trustedAfter) + 1
            return false
        }
        if memory.matches >= Self.trustedAfter { return true }
        memory.matches = 0
        return false
    }
}
