// Durations as deadlines on the monotonic clock want them.

extension Duration {
    /// Whole nanoseconds, at least 0 and at most what a deadline can be reckoned with (some 146 years).
    public var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let limit = UInt64(Int64.max) / 2
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow || product > limit ? limit : product + UInt64(attoseconds / 1_000_000_000)
    }
}
