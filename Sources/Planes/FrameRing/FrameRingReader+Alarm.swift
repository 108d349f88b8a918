// Waiting for a ring and for something else of the same process at once.
import CLinux

/// A word that any thread of this process rings to end a reader's wait, so that news from elsewhere come as promptly as frames do.
public final class ReaderAlarm: @unchecked Sendable {
    // Sendable: one word, accessed atomically only, that lives as long as the object.
    let word: UnsafeMutablePointer<UInt32>

    public init() {
        word = .allocate(capacity: 1)
        word.initialize(to: 0)
    }

    deinit { word.deallocate() }

    /// How often it was rung. Read it before looking for what it announces, and wait with what was read.
    public var count: UInt32 { clinux_load_u32(word) }

    public func ring() {
        _ = clinux_add_u32(word, 1)
        _ = clinux_futex_wake(word)
    }

    /// Waits until the alarm was rung more often than `seen`, or until a time (CLOCK_MONOTONIC ns; `nil`: for ever). May return early.
    public func wait(seen: UInt32, until deadline: UInt64?) {
        var left: Int64 = -1
        if let deadline {
            let now = clinux_monotonic_ns()
            guard deadline > now else { return }
            left = Int64(clamping: deadline - now)
        }
        _ = clinux_futex_wait(word, seen, left)
    }
}

extension FrameRingReader {
    /// Waits until there is something to read after number `sequence`, or the alarm was rung more often than `seen`, or until a time
    /// (CLOCK_MONOTONIC ns; `nil`: for ever), or the ring has ended. May return early: look with `next(after:timeout: .zero)`.
    public func wait(after sequence: UInt64, alarm: ReaderAlarm, seen: UInt32, until deadline: UInt64?) {
        let wake = mapping.word32(RingField.wake)
        guard mapping.published == max(sequence, mapping.origin), mapping.end == nil, alarm.count == seen else { return }
        if let deadline, deadline <= clinux_monotonic_ns() { return }
        _ = clinux_futex_wait_either(mapping.base + RingField.wake, wake, alarm.word, seen, deadline ?? 0)
    }
}
