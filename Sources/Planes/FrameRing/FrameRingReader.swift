// A client's side of a ring: waits for frames, is told what it misses, and never holds the writer up.
import CLinux

/// What a reader learns next.
public enum FrameOutcome: Sendable {
    case frame(FrameReference)
    /// Read on after `gap.last`.
    case gap(FrameGap)
    case timedOut
}

/// Reads a ring through a read-only mapping. Any number of readers, each at its own pace and from
/// any thread. One that reports tells the writer what it is done with: what it has read after, and
/// frames whose last `FrameReference` is gone.
///
/// The writer is not trusted: whatever it stores, a reader sees frames within the capacity, gaps or nothing.
public final class FrameRingReader: Sendable {
    let mapping: FrameRingMapping
    private let report: ReaderReport?

    /// Maps the ring for reading. The descriptors stay the caller's and may be closed afterwards.
    /// - Parameter report: this reader's page (see `ReportMemory`), if it has one. Then it reads at
    ///   one pace, from one thread at a time.
    public init(descriptor: Int32, geometry: FrameRingGeometry, report: Int32? = nil) throws(FrameRingError) {
        mapping = try FrameRingMapping(descriptor: descriptor, geometry: geometry, writable: false)
        if let report { self.report = try ReaderReport(descriptor: report) } else { self.report = nil }
    }

    public var geometry: FrameRingGeometry { mapping.geometry }

    /// The newest number that was assigned, to a frame or to one that never arrived. 0 before the first. To get only frames from now on,
    /// read after it.
    public var newestSequence: UInt64 { mapping.published }

    /// The last number of this ring, once the stream has moved to another one, which has what follows. `nil` while it stays here.
    public var end: UInt64? { mapping.end }

    /// The number after which reading begins: in a ring that continues another one, the last number of that one, once the stream is here;
    /// otherwise 0.
    public var origin: UInt64 { mapping.origin }

    /// Whether this ring continues where `other` ends.
    public func follows(_ other: FrameRingReader) -> Bool {
        guard let end = other.mapping.end else { return false }
        return mapping.word64(RingField.first) == end + 1
    }

    /// The newest frame in the ring.
    public var latest: FrameReference? {
        let newest = mapping.published
        var best: (slot: Int, sequence: UInt64)?
        for slot in 0..<geometry.slotCount {
            guard let sequence = mapping.wholeSequence(slot), sequence <= newest else { continue }
            if best == nil || best!.sequence < sequence { best = (slot, sequence) }
        }
        return best.flatMap { frame($0.sequence, in: $0.slot, passing: nil) }
    }

    /// What comes after number `sequence`, waiting for it at most `timeout`. Blocks the thread; never the writer.
    public func next(after number: UInt64, timeout: Duration) -> FrameOutcome {
        var deadline: UInt64?
        report?.pass(number)
        while true {
            let wake = mapping.word32(RingField.wake)
            let newest = mapping.published
            let sequence = max(number, mapping.origin)
            if newest > sequence {
                let outcome = outcome(sequence + 1, newest: newest)
                if case .gap(let gap) = outcome { report?.pass(gap.last) }
                return outcome
            }
            if newest < sequence {
                report?.pass(newest)
                return .gap(FrameGap(first: newest + 1, count: 0, cause: .renumbered, time: 0, generation: 0, last: newest))
            }
            let now = clinux_monotonic_ns()
            let end = deadline ?? now.addingSaturated(timeout.saturatedNanoseconds)
            deadline = end
            guard end > now else { return .timedOut }
            // Woken, timed out, interrupted or changed meanwhile: the loop looks again in every case.
            _ = clinux_futex_wait(mapping.base + RingField.wake, wake, Int64(clamping: end - now))
        }
    }

    /// What became of `number`, which was given already.
    private func outcome(_ number: UInt64, newest: UInt64) -> FrameOutcome {
        var following = newest + 1  // the first later number of which something is known
        for slot in 0..<geometry.slotCount {
            guard let found = mapping.wholeSequence(slot), found >= number, found <= newest else { continue }
            if found == number, let frame = frame(number, in: slot, passing: number) { return .frame(frame) }
            if found > number { following = min(following, found) }
        }
        for entry in mapping.gapNumbers.reversed() {
            guard var gap = mapping.gap(entry) else { continue }
            if gap.first <= number, gap.last >= number {
                gap.last = min(gap.last, newest)
                gap.first = number
                gap.count = gap.last - number + 1
                return .gap(gap)
            }
            if gap.first > number { following = min(following, gap.first) }
        }
        return .gap(
            FrameGap(first: number, count: following - number, cause: .tooSlow, time: 0, generation: 0, last: following - 1))
    }

    /// The facts of a frame, read under its slot's sequence lock. `nil` if the writer came in between.
    /// - Parameter passing: what this reader is done with, but for that frame; `nil` if that stays as it was.
    private func frame(_ sequence: UInt64, in slot: Int, passing number: UInt64?) -> FrameReference? {
        let lease = report?.lend(sequence, passing: number)
        let header = mapping.slotOffset(slot)
        let state = SequenceLock.whole(sequence)
        guard mapping.word64(header + SlotField.state) == state else { return nil }
        let length = mapping.word64(header + SlotField.length)
        let frame = FrameReference(
            reader: self, slot: slot, lease: lease, sequence: sequence, length: Int(min(length, UInt64(geometry.capacity))),
            captured: mapping.word64(header + SlotField.captured), published: mapping.word64(header + SlotField.published),
            deviceTime: mapping.word64(header + SlotField.deviceTime), generation: mapping.word32(header + SlotField.generation),
            flags: FrameFlags(rawValue: mapping.word32(header + SlotField.flags)))
        clinux_fence_acquire()
        return mapping.word64(header + SlotField.state) == state ? frame : nil
    }
}

extension Duration {
    /// Nanoseconds within 0…Int64.max.
    var saturatedNanoseconds: UInt64 {
        guard self > .zero else { return 0 }
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return UInt64(Int64.max) }
        return UInt64(product).addingSaturated(UInt64(attoseconds / 1_000_000_000))
    }
}

extension UInt64 {
    func addingSaturated(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
