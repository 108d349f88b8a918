// How much one process may have written into the log.

/// Lines that may be logged for a process: a burst, then one every so often. What is left out is counted, and told with the next line.
struct LogAllowance {
    static let burst = 20
    static let interval = Duration.seconds(5)
    private var left = Self.burst
    private var refilled = ContinuousClock.now
    private(set) var omitted = 0

    /// The line as it is to be logged, `nil` if it is one too many.
    mutating func line(_ text: String, now: ContinuousClock.Instant = .now) -> String? {
        let earned = refilled.duration(to: now) / Self.interval
        if earned >= 1 {
            left = min(Self.burst, left + Int(min(earned, Double(Self.burst))))
            refilled = now
        }
        guard left > 0 else {
            omitted += 1
            return nil
        }
        left -= 1
        defer { omitted = 0 }
        return omitted == 0 ? text : "\(text) (\(omitted) lines before it were dropped)"
    }
}
