// Where a transfer's bytes lie: in the ring, or in memory of the kernel's that one incarnation has mapped.

package import CLinux
import Threads

extension RingRecord {
    /// 0: in the ring. Else in memory that the incarnation of this number has mapped.
    public var place: UInt32 { mapping.word32(offset + RecordWord.place) }

    /// Says where, before the transfer is submitted. A keeper that copies its bytes, which nobody waits for any more, is waited for as long.
    public func lie(in place: UInt32, patience: Duration = .milliseconds(200)) {
        if self.place != 0, !leaves() { _ = isFetched(within: patience) }
        mapping.store32(offset + RecordWord.fetch, CLINUX_FETCH_NONE.rawValue)
        mapping.store32(offset + RecordWord.place, place)
    }

    /// Asks the keeper of the predecessor that mapped this memory for the bytes of a completed transfer: see `fetch`.
    public func want() {
        mapping.exchange32(offset + RecordWord.fetch, from: CLINUX_FETCH_NONE.rawValue, to: CLINUX_FETCH_WANTED.rawValue)
    }

    /// Has them copied into the ring, with all that are wanted; waits for up to `patience`, or twice that while they are being copied. False if no
    /// keeper answers: nobody has the bytes any more.
    public func fetch(patience: Duration) -> Bool {
        want()
        if isFetched(within: patience) { return true }
        return leaves() ? place == 0 : isFetched(within: patience)
    }

    /// Wants them no more, so that a keeper which wakes late leaves the record alone. False while they are being copied.
    private func leaves() -> Bool {
        let word = offset + RecordWord.fetch
        mapping.exchange32(word, from: CLINUX_FETCH_WANTED.rawValue, to: CLINUX_FETCH_NONE.rawValue)
        return mapping.word32(word) != CLINUX_FETCH_COPYING.rawValue
    }

    private func isFetched(within patience: Duration) -> Bool {
        let deadline = clinux_monotonic_ns() + patience.nanoseconds
        mapping.wakeKeepers()
        while true {
            // In this order: an answer in between is not slept through.
            let seen = mapping.keeperAnswers
            if place == 0 { return true }
            // Answers that come without end are no answer.
            guard clinux_monotonic_ns() < deadline, mapping.waitForKeepers(after: seen, until: deadline) else { return place == 0 }
        }
    }
}

extension TransferRingMapping {
    /// Has predecessors' keepers look for what is wanted and what nobody needs any more.
    public func wakeKeepers() {
        _ = clinux_add_u32(base + RingWord.keeperBell, 1)
        _ = clinux_futex_wake(base + RingWord.keeperBell)
    }

    /// The same, and waits until one has done something. False where none has by `deadline`, CLOCK_MONOTONIC nanoseconds.
    public func ringKeepers(until deadline: UInt64) -> Bool {
        let seen = keeperAnswers
        wakeKeepers()
        return waitForKeepers(after: seen, until: deadline)
    }

    fileprivate var keeperAnswers: UInt32 { word32(RingWord.keeperAnswers) }

    fileprivate func waitForKeepers(after seen: UInt32, until deadline: UInt64) -> Bool {
        while keeperAnswers == seen {
            let now = clinux_monotonic_ns()
            guard now < deadline else { return false }
            _ = clinux_futex_wait(base + RingWord.keeperAnswers, seen, Int64(clamping: deadline - now))
        }
        return true
    }

    /// This incarnation has the ring from now on: keepers of predecessors stay until it has what it wants.
    public func inherit(as incarnation: UInt32) { store32(RingWord.heir, incarnation) }

    /// What this process's keeper is told of the ring, whose transfers' memory lies at `mapped`, `stride` bytes apart, where `isMapped` says so (1).
    package func kept(
        by owner: UInt32, mapped: UnsafeMutableRawPointer, stride: Int, isMapped: UnsafeMutablePointer<UInt32>
    ) -> clinux_kept_ring {
        clinux_kept_ring(
            records: (base + geometry.recordsOffset).assumingMemoryBound(to: UInt8.self),
            buffers: (base + geometry.buffersOffset).assumingMemoryBound(to: UInt8.self),
            mapped: mapped.assumingMemoryBound(to: UInt8.self),
            heir: (base + RingWord.heir).assumingMemoryBound(to: UInt32.self),
            bell: (base + RingWord.keeperBell).assumingMemoryBound(to: UInt32.self),
            answers: (base + RingWord.keeperAnswers).assumingMemoryBound(to: UInt32.self),
            record_size: UInt64(TransferRingGeometry.recordSize), place_offset: UInt64(RecordWord.place),
            fetch_offset: UInt64(RecordWord.fetch), buffer_stride: UInt64(geometry.stride), mapped_stride: UInt64(stride),
            length: UInt64(transferLength),
            actual_offset: geometry.packetCount == 0 ? UInt64(RecordWord.actualLength) : 0, is_mapped: isMapped,
            count: UInt32(geometry.transferCount), owner: owner)
    }
}
