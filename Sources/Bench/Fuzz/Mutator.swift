// Makes inputs nobody meant out of well-formed ones.

/// A small seeded generator (SplitMix64): the same seed gives the same inputs on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

struct Mutator {
    static let largestInput = 64 << 10
    private static let interesting: [UInt8] = [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x07, 0x09, 0x0b, 0x10, 0x20, 0x24, 0x40, 0x7f, 0x80, 0xfe, 0xff,
    ]

    private var random: SeededGenerator
    private let seeds: [[UInt8]]

    init(seeds: [[UInt8]], seed: UInt64) {
        self.seeds = seeds.isEmpty ? [[]] : seeds
        random = SeededGenerator(seed: seed)
    }

    /// A seed with one to eight mutations.
    mutating func next() -> [UInt8] {
        var bytes = seeds[Int.random(in: 0..<seeds.count, using: &random)]
        for _ in 0..<Int.random(in: 1...8, using: &random) { mutate(&bytes) }
        return bytes.count > Self.largestInput ? Array(bytes.prefix(Self.largestInput)) : bytes
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = (0..<Int.random(in: 1...64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            return
        }
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<11, using: &random) {
        case 0: bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &random)
        case 1: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 2: bytes[at] = Self.interesting.randomElement(using: &random) ?? 0
        case 3: bytes[at] &+= UInt8.random(in: 0...16, using: &random) &- 8
        case 4: writeNumber(&bytes, at: at)
        case 5: bytes.removeSubrange(at..<min(bytes.count, at + length()))
        case 6: bytes.insert(contentsOf: (0..<length()).map { _ in UInt8.random(in: 0...255, using: &random) }, at: at)
        case 7: bytes.removeLast(bytes.count - at)
        case 8: copyWithin(&bytes, at: at)
        case 9: splice(&bytes, at: at)
        default:
            let value = Self.interesting.randomElement(using: &random) ?? 0
            for index in at..<min(bytes.count, at + length()) { bytes[index] = value }
        }
    }

    /// Short lengths are the likely ones.
    private mutating func length() -> Int { 1 << Int.random(in: 0...8, using: &random) }

    /// A 16- or 32-bit number at its edges, in either byte order.
    private mutating func writeNumber(_ bytes: inout [UInt8], at: Int) {
        let edges: [UInt32] = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]
        let value = edges.randomElement(using: &random) ?? 0
        let width = Bool.random(using: &random) ? 2 : 4
        let little = (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
        let number = Bool.random(using: &random) ? little : little.reversed()
        for (offset, byte) in number.enumerated() where at + offset < bytes.count { bytes[at + offset] = byte }
    }

    private mutating func copyWithin(_ bytes: inout [UInt8], at: Int) {
        let piece = Array(bytes[at..<min(bytes.count, at + length())])
        bytes.insert(contentsOf: piece, at: Int.random(in: 0...bytes.count, using: &random))
    }

    private mutating func splice(_ bytes: inout [UInt8], at: Int) {
        guard let other = seeds.randomElement(using: &random), !other.isEmpty else { return }
        let from = Int.random(in: 0..<other.count, using: &random)
        bytes.replaceSubrange(at..., with: other[from...])
    }
}
