// A value behind a monitor: what threads hand over to threads that wait.

import CLinux

/// Guards a value; waiters look at it again whenever it is changed.
public final class Monitored<Value>: @unchecked Sendable {
    // Sendable: the value is touched with the monitor locked only.
    private var value: Value
    private let monitor = Monitor()
    private let changed = MonitorCondition()

    public init(_ value: Value) { self.value = value }

    /// Reads or changes the value. Wakes nobody.
    public func withLock<Result, Failure: Error>(_ body: (inout Value) throws(Failure) -> Result) throws(Failure) -> Result {
        monitor.lock()
        defer { monitor.unlock() }
        return try body(&value)
    }

    /// Changes the value and wakes everybody who waits, also when it throws.
    public func change<Result, Failure: Error>(_ body: (inout Value) throws(Failure) -> Result) throws(Failure) -> Result {
        defer { changed.broadcast() }
        return try withLock(body)
    }

    /// Waits until `body` returns something. `nil` once CLOCK_MONOTONIC has reached `deadline` (ns) and it still does not.
    public func wait<Result>(until deadline: UInt64? = nil, for body: (inout Value) -> Result?) -> Result? {
        monitor.lock()
        defer { monitor.unlock() }
        while true {
            if let result = body(&value) { return result }
            if let deadline, clinux_monotonic_ns() >= deadline { return nil }
            changed.wait(monitor, until: deadline)
        }
    }
}
