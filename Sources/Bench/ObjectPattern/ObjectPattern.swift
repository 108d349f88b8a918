// What objects of tests and campaigns hold: a function of seed and index, so that whoever reads one
// can tell every byte of it.

/// Sizes and bytes of objects. Neighbours have nothing in common.
public enum ObjectPattern {
    /// Mostly small, now and then as much as `largest`.
    public static func size(_ seed: UInt64, _ index: Int, largest: Int) -> Int {
        let word = mix(seed &* 31 &+ UInt64(index))
        let limit = word % 8 == 0 ? largest : max(1, largest / 16)
        return Int(mix(word) % UInt64(limit + 1))
    }

    /// So many bytes of the object from `start` on.
    public static func bytes(_ seed: UInt64, _ index: Int, from start: Int = 0, count: Int) -> [UInt8] {
        let key = mix(seed) ^ mix(UInt64(index) &+ 0x1234_5678)
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            for offset in 0..<count {
                let position = UInt64(start + offset)
                buffer[offset] = UInt8(truncatingIfNeeded: (key &+ position &* 0x9e37_79b9) >> (8 * (position % 5)))
            }
            filled = count
        }
    }

    /// SplitMix64's last step.
    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
