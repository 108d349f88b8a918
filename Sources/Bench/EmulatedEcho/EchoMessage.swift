// What is said to the echo device and what it answers: told by the message's number alone, so that
// either side can check the other's bytes.

import USB

/// A question: `"ECHO"`, its number, its length (little-endian words), and bytes that follow from
/// the number and the pair of endpoints.
public struct EchoMessage: Hashable, Sendable {
    public static let headerLength = 12
    public static let largestLength = 20_000
    public var pair: UInt8
    public var number: UInt32

    public init(pair: UInt8, number: UInt32) {
        self.pair = pair
        self.number = number
    }

    /// Most are short, some are multiples of a packet, a few are long.
    public var length: Int {
        var random = EchoRandom(seed: UInt64(pair) << 32 | UInt64(number))
        switch random.next(8) {
        case 0: return 512 * random.next(4) + 500  // With its header a multiple of a packet.
        case 1: return random.next(Self.largestLength)
        case 2: return 0
        default: return random.next(900)
        }
    }

    private var payload: [UInt8] {
        var random = EchoRandom(seed: UInt64(number) << 8 | UInt64(pair))
        return random.bytes(length)
    }

    public var bytes: [UInt8] {
        Array("ECHO".utf8) + Self.word(number) + Self.word(UInt32(length)) + payload
    }

    /// How often the answer has the question's bytes.
    public var repetitions: Int { Int(number % 5) + 1 }

    /// `"OHCE"`, the number, the length of what follows, the CRC-32 of all that came up to the
    /// question's end; then the question's bytes, some times.
    public static let answerHeaderLength = 16
    public func answer(checksum: UInt32) -> [UInt8] {
        let payload = payload
        let all = (0..<repetitions).flatMap { _ in payload }
        return Array("OHCE".utf8) + Self.word(number) + Self.word(UInt32(all.count)) + Self.word(checksum) + all
    }

    static func word(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
    public static func word(_ bytes: some Collection<UInt8>) -> UInt32 { bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) } }
}

/// CRC-32 (IEEE 802.3), over bytes as they come.
public struct Checksum: Hashable, Sendable {
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
    }
    private var state: UInt32 = 0xffff_ffff
    public init() {}
    public var value: UInt32 { ~state }
    public mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { state = state >> 8 ^ Self.table[Int(UInt8(truncatingIfNeeded: state) ^ byte)] }
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct EchoRandom {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    /// 0 up to below `bound`.
    mutating func next(_ bound: Int) -> Int { Int(next() % UInt64(max(1, bound))) }

    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { withUnsafeBytes(of: next()) { bytes.append(contentsOf: $0) } }
        return Array(bytes.prefix(count))
    }
}
