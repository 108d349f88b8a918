// A ring that a writer is to go on in, handed over from one thread to another.
import Synchronization

/// Another ring, mapped, and whom to tell once it is used.
struct OfferedRing: ~Copyable {
    var mapping: FrameRingMapping
    let reports: ReaderReports?
    let moved: @Sendable () -> Void
}

/// Holds one at most; the latest counts.
final class RingOffer: Sendable {
    private let offered = Mutex<OfferedRing?>(nil)
    /// Looked at for each transfer: spares the lock where there is nothing.
    private let isThere = Atomic(false)

    func replace(_ ring: consuming sending OfferedRing) {
        var ring: OfferedRing? = consume ring
        offered.withLock { $0 = ring.take() }
        isThere.store(true, ordering: .releasing)
    }

    func take() -> OfferedRing? {
        guard isThere.load(ordering: .relaxed), isThere.exchange(false, ordering: .acquiringAndReleasing) else { return nil }
        return offered.withLock { $0.take() }
    }
}
