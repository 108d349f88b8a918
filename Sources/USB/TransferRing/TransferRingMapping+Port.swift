// How driver and port talk through a ring's memory: what was submitted, what has completed, what is to end.

import CLinux
import Glibc
import Threads
import USB

extension TransferRingMapping {
    // MARK: The driver's side

    /// What a driver finds when it waits.
    public enum PortNews: Hashable, Sendable {
        case timedOut
        case progress
        /// The port has lost its device; everything that completed before is in the ring.
        case disconnected
    }

    /// Waits until the port has completed something since the last wait.
    public func waitForPort(timeout: Duration) -> PortNews {
        let seen = word32(RingWord.completions)
        if seen != lastCompletions {
            lastCompletions = seen
            return .progress
        }
        if word32(RingWord.disconnected) != 0 { return .disconnected }
        let result = clinux_futex_wait(base + RingWord.completions, seen, Int64(clamping: timeout.nanoseconds))
        let now = word32(RingWord.completions)
        if now != lastCompletions {
            lastCompletions = now
            return .progress
        }
        if word32(RingWord.disconnected) != 0 { return .disconnected }
        return result == -ETIMEDOUT ? .timedOut : .progress
    }

    public func askPortToCancel() { store32(RingWord.cancel, 1) }

    // MARK: The port's side

    /// The numbers from `taken` on that were submitted and not taken yet; at most as many as the ring holds.
    public func submissions(after taken: UInt64) -> Range<UInt64> {
        let submitted = word64(RingWord.submitted)
        return taken..<max(taken, min(submitted, taken &+ UInt64(geometry.transferCount)))
    }

    /// The record of a transfer that was submitted under that number.
    public func record(ofNumber number: UInt64) -> RingRecord { RingRecord(self, index: index(of: number)) }

    public var isCancelAsked: Bool { word32(RingWord.cancel) != 0 }

    /// Tells the driver that something has completed.
    public func announceCompletion() {
        _ = clinux_add_u32(base + RingWord.completions, 1)
        _ = clinux_futex_wake(base + RingWord.completions)
    }

    /// Tells the driver that nothing comes any more.
    public func announceDisconnection() {
        store32(RingWord.disconnected, 1)
        announceCompletion()
    }
}
