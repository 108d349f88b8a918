// How often each value came, in memory that does not grow with how often.

/// A log-linear histogram of whole numbers: values below 2048 are counted exactly, larger ones in steps of less than a thousandth of themselves.
struct Histogram: Sendable {
    /// Each doubling of the value is cut into this many steps.
    private static let steps = 1024
    private static let stepBits = 10

    private(set) var count: UInt64 = 0
    private(set) var maximum: UInt64 = 0
    private var counts: [UInt32] = []

    mutating func add(_ value: UInt64) {
        let index = Self.index(of: value)
        if index >= counts.count { counts += [UInt32](repeating: 0, count: index + 1 - counts.count) }
        counts[index] &+= 1
        count += 1
        maximum = max(maximum, value)
    }

    mutating func add(_ other: Histogram) {
        if other.counts.count > counts.count { counts += [UInt32](repeating: 0, count: other.counts.count - counts.count) }
        for (index, number) in other.counts.enumerated() where number > 0 { counts[index] &+= number }
        count += other.count
        maximum = max(maximum, other.maximum)
    }

    /// The value that this share (0…1) of all values does not exceed; `nil` of none.
    func percentile(_ share: Double) -> UInt64? {
        guard count > 0 else { return nil }
        let wanted = max(1, UInt64((Double(count) * share).rounded(.up)))
        guard wanted < count else { return maximum }
        var seen: UInt64 = 0
        for (index, number) in counts.enumerated() where number > 0 {
            seen += UInt64(number)
            if seen >= wanted { return min(Self.highest(at: index), maximum) }
        }
        return maximum
    }

    /// Values and how often each came, ascending; a step of several values under its highest one.
    var values: [(value: UInt64, count: UInt64)] {
        counts.enumerated().compactMap { index, number in
            number > 0 ? (min(Self.highest(at: index), maximum), UInt64(number)) : nil
        }
    }

    /// Below 2048 the value itself; above, the exponent counts rows of 1024 steps.
    static func index(of value: UInt64) -> Int {
        let width = UInt64.bitWidth - value.leadingZeroBitCount
        let shift = max(0, width - stepBits - 1)
        return shift * steps + Int(value >> UInt64(shift))
    }

    /// The highest value that is counted at this index.
    static func highest(at index: Int) -> UInt64 {
        let shift = max(0, index / steps - 1)
        let low = UInt64(index - shift * steps) << UInt64(shift)
        return low + (1 << UInt64(shift)) - 1
    }
}
