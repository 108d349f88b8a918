// How fast an activity gets on: a pure value that is shown its counters now and then.

/// Units a second over the last second or so.
struct ActivityMeter: Sendable {
    private static let window: UInt64 = 1_000_000_000
    /// Whose units are measured.
    private var number: UInt64 = 0
    private var units: UInt64 = 0
    /// When those were read; `nil` before the first look.
    private var read: UInt64?
    private var measured: Double = 0

    /// `now` is in nanoseconds and only grows.
    mutating func look(_ counters: ProgressCounters, now: UInt64) {
        guard let read, counters.number == number else {
            (number, units, self.read, measured) = (counters.number, counters.units, now, 0)
            return
        }
        guard now &- read >= Self.window else { return }
        measured = Self.rate(counters.units &- units, now &- read)
        (units, self.read) = (counters.units, now)
    }

    /// Units a second. Before a window is full: since the activity was first seen.
    func rate(_ counters: ProgressCounters, now: UInt64) -> Double {
        guard let read, counters.number == number else { return 0 }
        if measured > 0 || now &- read < Self.window / 4 { return measured }
        return Self.rate(counters.units &- units, now &- read)
    }

    /// What goes back, as only a driver that tells nonsense has it, is no progress.
    private static func rate(_ units: UInt64, _ nanoseconds: UInt64) -> Double {
        guard nanoseconds > 0, units < 1 << 62 else { return 0 }
        return Double(units) * 1e9 / Double(nanoseconds)
    }
}
