// How much a stranger may say: so many bytes and so many times a second, some of it at once.

import CLinux

/// A bucket each for bytes and count, filled as time goes by up to what it holds for four seconds. What does not fit is left out and counted.
struct Quota {
    /// A second's worth.
    struct Rates: Hashable, Sendable {
        var bytes: Int
        var count: Int
    }

    private static let seconds: UInt64 = 4
    private static let second: UInt64 = 1_000_000_000

    private let rates: Rates
    private var bytes: UInt64
    private var count: UInt64
    private var filled: UInt64
    /// What was left out since it was last asked for.
    private(set) var omitted = 0

    /// - Parameter now: nanoseconds of CLOCK_MONOTONIC.
    init(_ rates: Rates, now: UInt64 = clinux_monotonic_ns()) {
        self.rates = rates
        bytes = Self.full(rates.bytes)
        count = Self.full(rates.count)
        filled = now
    }

    /// Whether that may be said now.
    mutating func admits(_ size: Int, now: UInt64 = clinux_monotonic_ns()) -> Bool {
        fill(now)
        let cost = UInt64(size) * Self.second
        guard cost <= bytes, count >= Self.second else {
            omitted += 1
            return false
        }
        bytes -= cost
        count -= Self.second
        return true
    }

    /// Counts what was said already.
    mutating func spend(_ size: Int) {
        let cost = UInt64(size) * Self.second
        bytes = bytes > cost ? bytes - cost : 0
        count = count > Self.second ? count - Self.second : 0
    }

    /// Nothing more may be said now.
    mutating func isExhausted(now: UInt64 = clinux_monotonic_ns()) -> Bool {
        fill(now)
        return bytes < Self.second || count < Self.second
    }

    mutating func takeOmitted() -> Int {
        defer { omitted = 0 }
        return omitted
    }

    // Both in units of a billionth, so that nothing is lost to rounding.
    private mutating func fill(_ now: UInt64) {
        guard now > filled else { return }
        let time = min(now - filled, Self.seconds * Self.second)
        filled = now
        bytes = min(bytes + time * UInt64(rates.bytes), Self.full(rates.bytes))
        count = min(count + time * UInt64(rates.count), Self.full(rates.count))
    }

    private static func full(_ rate: Int) -> UInt64 { UInt64(rate) * seconds * second }
}
