// What one of many may cost in one turn of a loop that serves them all.

import CLinux

/// Bytes and time, not messages: a message may cost as little as nothing or as much as all the others together.
public struct TurnBudget {
    private var bytes: Int
    private let deadline: UInt64
    /// Bytes of messages that were taken.
    public private(set) var spent = 0

    /// - Parameter time: nanoseconds from now on.
    public init(bytes: Int = 32 << 10, time: UInt64 = 1_000_000) {
        self.bytes = bytes
        deadline = clinux_monotonic_ns() + time
    }

    public mutating func spend(_ count: Int) {
        bytes -= count
        spent += count
    }

    /// The rest is for a later turn. An untouched budget is never spent: a latecomer gets at least one message.
    public var isSpent: Bool { spent > 0 && (bytes <= 0 || clinux_monotonic_ns() >= deadline) }
}
