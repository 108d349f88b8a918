// The driver's side of a ring: frames are assembled in place, and published in order.
import CLinux

/// Where a frame is assembled: memory that readers see as soon as it is published.
public struct FrameSlot {
    /// The number the frame will have.
    public let sequence: UInt64
    /// Exactly the geometry's capacity.
    public let bytes: UnsafeMutableRawBufferPointer
}

/// Writes frames into a ring. A ring has one writer at a time; each incarnation of a driver makes a new one, which continues the numbers.
///
/// Nothing read back from the memory is trusted: a predecessor may have died in the middle of a store, or after scribbling over it.
public final class FrameRingWriter: @unchecked Sendable {
    // Sendable: used by one thread at a time, the stream's; handing it over is ordinary.
    // Unchecked exclusivity: nothing of it is lent, so no two accesses can overlap.
    @exclusivity(unchecked) private var mapping: FrameRingMapping
    private let generation: UInt32
    @exclusivity(unchecked) private var sequence: UInt64
    /// Where the next frame goes, once `hasSlot`.
    @exclusivity(unchecked) private var slot: Int
    @exclusivity(unchecked) private var hasSlot = false
    @exclusivity(unchecked) private var isOpen = false
    /// Where the newest frame lies; before the first, the slot in whose place in turn the first one comes.
    @exclusivity(unchecked) private var newestSlot: Int
    /// Where the one before it lies, if it was published here.
    @exclusivity(unchecked) private var previousSlot: Int
    /// The whole frame in each slot, 0 for none.
    @exclusivity(unchecked) private var numbers: [UInt64]
    @exclusivity(unchecked) private var reports: ReaderReports?
    /// The open slot's frame was published by the predecessor already: `publish` only goes on to the next.
    @exclusivity(unchecked) private var isReplay = false
    @exclusivity(unchecked) private var gaps: UInt64
    private let offer = RingOffer()
    /// Whether `begin` moves to another ring that was offered. Not for a stream whose successor is to go on in the middle of a frame: that one calls
    /// `move` itself, whenever what it has remembered agrees with the ring.
    @exclusivity(unchecked) public var movesAtFrames = true

    /// Maps the ring and takes over. The descriptors remain the caller's and may be closed afterwards.
    /// - Parameters:
    ///   - generation: which incarnation of the driver this is.
    ///   - reports: the pages of all readers of this ring (see `ReportMemory`); empty if some do not report.
    public init(
        descriptor: Int32, geometry: FrameRingGeometry, generation: UInt32, reports: [Int32] = []
    ) throws(FrameRingError) {
        self.reports = reports.isEmpty ? nil : try ReaderReports(descriptors: reports)
        mapping = try FrameRingMapping(descriptor: descriptor, geometry: geometry, writable: true)
        self.geometry = geometry
        self.generation = generation

        // A number so large was never given: the word was overwritten. Readers are told that the numbers start anew.
        let given = mapping.published
        var last = given <= SequenceLock.maximum / 2 ? given : 0
        var newest: (slot: Int, sequence: UInt64)?
        numbers = Array(repeating: 0, count: geometry.slotCount)
        for index in 0..<geometry.slotCount {
            guard let found = mapping.wholeSequence(index) else { continue }
            // A frame one past the published number is whole: its writer died between the two stores.
            guard found <= last + 1 else {
                // Never given: it would stand beside the frame that gets the number.
                mapping.store64(mapping.slotOffset(index) + SlotField.state, 0)
                continue
            }
            numbers[index] = found
            if newest == nil || newest!.sequence < found { newest = (index, found) }
        }
        if let newest, newest.sequence > last { last = newest.sequence }
        sequence = last + 1
        // A ring that goes on from another one and has no frame yet begins where that one was.
        if mapping.word64(RingField.first) > sequence { mapping.store64(RingField.first, 0) }
        // And whoever writes here has not gone on.
        mapping.store64(RingField.next, 0)
        let firstSlot = Int(mapping.word32(RingField.firstSlot))
        let start = mapping.word64(RingField.first) != 0 && firstSlot < geometry.slotCount ? firstSlot : 0
        newestSlot = newest?.slot ?? (start + geometry.slotCount - 1) % geometry.slotCount
        slot = (newestSlot + 1) % geometry.slotCount
        previousSlot = newestSlot

        let recorded = mapping.word64(RingField.gapsRecorded)
        gaps = recorded < SequenceLock.maximum ? recorded : 0
        if gaps != recorded { mapping.store64(RingField.gapsRecorded, gaps) }
        mapping.store64(RingField.magic, FrameRingGeometry.magic)
        mapping.store32(RingField.generation, generation)
        if mapping.word64(RingField.published) != last { announce(last) }
    }

    public let geometry: FrameRingGeometry
    /// The number that the next frame, or the one being written, will have.
    public var nextSequence: UInt64 { sequence }

    /// Which slot the frame being written lies in.
    public var slotIndex: Int { slot }

    /// The slot in which the predecessor was assembling a frame, with what it had written; `index` is its `slotIndex` of then. Where the
    /// predecessor had published the frame and died before it could remember that, writing the same bytes again disturbs no reader, and
    /// `publish` gives the number that the frame has.
    /// - Returns: `nil` if the ring has gone another way since.
    public func resume(slot index: Int) -> FrameSlot? {
        guard index >= 0, index < geometry.slotCount else { return nil }
        if let published = mapping.wholeSequence(index) {
            guard index == newestSlot else { return nil }
            isReplay = true
            isOpen = true
            return FrameSlot(sequence: published, bytes: mapping.data(index))
        }
        slot = index
        hasSlot = true
        return begin()
    }

    /// The slot of the next frame. Called again before `publish`, it gives the same slot and forgets what was written there.
    public func begin() -> FrameSlot {
        if movesAtFrames, !isOpen { move() }
        if !hasSlot { slot = nextSlot() }
        (hasSlot, isOpen, isReplay) = (true, true, false)
        numbers[slot] = 0
        mapping.store64(mapping.slotOffset(slot) + SlotField.state, SequenceLock.writing(sequence))
        clinux_fence_release()  // the state before the data
        return FrameSlot(sequence: sequence, bytes: mapping.data(slot))
    }

    /// Of the frames that all readers are done with, the slot of the newest, which the caches know;
    /// where there is none, that of the oldest frame, so that frames take the slots in turn. Never
    /// the newest frame's own: if this process dies before it has remembered that the frame was
    /// published, its successor writes it there once more.
    private func nextSlot() -> Int {
        let released = reports?.released(published: sequence - 1) ?? 0
        // Nearly always, and then nothing else has to be looked at.
        if released > 0, numbers[previousSlot] != 0, numbers[previousSlot] <= released, previousSlot != newestSlot { return previousSlot }
        let newest = newestSlot
        return numbers.withUnsafeBufferPointer { numbers in
            var (index, oldest, hottest) = (newest, newest, newest)
            var (least, most) = (UInt64.max, UInt64(0))
            for _ in 1..<numbers.count {
                index += 1
                if index == numbers.count { index = 0 }
                let number = numbers[index]
                if number < least { (oldest, least) = (index, number) }
                if number <= released, number > most { (hottest, most) = (index, number) }
            }
            return most > 0 ? hottest : oldest
        }
    }

    /// Shows the frame in the open slot to readers.
    /// - Parameters:
    ///   - length: bytes of the frame, at most the capacity.
    ///   - captured: CLOCK_MONOTONIC nanoseconds of its first payload.
    ///   - deviceTime: the device's presentation time, in its own clock's ticks.
    /// - Returns: the frame's number.
    @discardableResult
    public func publish(length: Int, captured: UInt64, deviceTime: UInt64 = 0, flags: FrameFlags = []) -> UInt64 {
        precondition(isOpen, "publish must follow begin")
        precondition(length >= 0 && length <= mapping.geometry.capacity, "a frame must fit in its slot")
        guard !isReplay else {
            isReplay = false
            isOpen = false
            return sequence - 1
        }
        let header = mapping.slotOffset(slot)
        mapping.store64(header + SlotField.length, UInt64(length))
        mapping.store64(header + SlotField.captured, captured)
        mapping.store64(header + SlotField.published, clinux_monotonic_ns())
        mapping.store64(header + SlotField.deviceTime, deviceTime)
        mapping.store32(header + SlotField.generation, generation)
        mapping.store32(header + SlotField.flags, flags.rawValue)
        mapping.store64(header + SlotField.state, SequenceLock.whole(sequence))
        mapping.store64(RingField.lastCapture, captured)
        let published = sequence
        announce(published)
        sequence += 1
        numbers[slot] = published
        (previousSlot, newestSlot) = (newestSlot, slot)
        (hasSlot, isOpen) = (false, false)
        return published
    }

    /// Gives up the frame in the open slot. Its number and slot go to the next one.
    public func abandon() { isOpen = false }

    /// Consumes `count` numbers for frames that never came, and tells readers why. A frame that is being written comes after them.
    public func skip(count: UInt64, cause: GapCause) {
        guard count > 0 else { return }
        let count = min(count, UInt64(UInt32.max))
        let entry = mapping.gapOffset(gaps)
        mapping.store64(entry + GapField.check, 0)
        clinux_fence_release()
        mapping.store64(entry + GapField.first, sequence)
        mapping.store64(entry + GapField.count, count)
        mapping.store64(entry + GapField.time, clinux_monotonic_ns())
        mapping.store32(entry + GapField.cause, cause.rawValue)
        mapping.store32(entry + GapField.generation, generation)
        mapping.store64(entry + GapField.check, gaps + 1)
        gaps += 1
        mapping.store64(RingField.gapsRecorded, gaps)
        sequence += count
        // The open slot's state never says `whole`, so its new number may be stored at any time.
        if isOpen, !isReplay { mapping.store64(mapping.slotOffset(slot) + SlotField.state, SequenceLock.writing(sequence)) }
        announce(sequence - 1)
    }

    /// For the first frame of a new incarnation: the frames that time says were missed since the last frame in the ring, as a gap.
    /// - Parameters:
    ///   - now: CLOCK_MONOTONIC nanoseconds of the first frame's first payload.
    ///   - frameInterval: nanoseconds from frame to frame.
    /// - Returns: how many were missed.
    @discardableResult
    public func resumeGap(now: UInt64, frameInterval: UInt64, cause: GapCause) -> UInt64 {
        let last = mapping.word64(RingField.lastCapture)
        guard last > 0, last < now, frameInterval > 0 else { return 0 }
        let elapsed = now - last
        let (quotient, remainder) = elapsed.quotientAndRemainder(dividingBy: frameInterval)
        let intervals = quotient + (remainder >= frameInterval - remainder ? 1 : 0)
        guard intervals > 1 else { return 0 }
        let missed = min(intervals - 1, UInt64(UInt32.max))
        skip(count: missed, cause: cause)
        return missed
    }

    /// Stores the newest decided number and wakes every reader once.
    private func announce(_ newest: UInt64) {
        mapping.store64(RingField.published, newest)
        wakeReaders()
    }

    private func wakeReaders() {
        _ = clinux_add_u32(mapping.base + RingField.wake, 1)
        _ = clinux_futex_wake(mapping.base + RingField.wake)
    }

    // MARK: Another ring

    /// Another ring of the same geometry to continue in, which `move` takes. A second offer replaces one that was not taken. From any
    /// thread. The descriptors remain the caller's and may be closed afterwards.
    /// - Parameters:
    ///   - reports: the pages of all readers of that ring; empty if some do not report.
    ///   - moved: called on the writer's thread once everything that follows is written there.
    public func offer(
        descriptor: Int32, geometry: FrameRingGeometry, reports: [Int32] = [], moved: @escaping @Sendable () -> Void
    ) throws(FrameRingError) {
        guard geometry == self.geometry else { throw FrameRingError("offer", "another ring to continue in must have the same geometry") }
        let pages = reports.isEmpty ? nil : try ReaderReports(descriptors: reports)
        let mapping = try FrameRingMapping(descriptor: descriptor, geometry: geometry, writable: true)
        offer.replace(OfferedRing(mapping: mapping, reports: pages, moved: moved))
    }

    /// Goes on in the ring that was offered, if one was: with the next number, in the slot of the same index, and with what is written of an open
    /// frame. Readers of the ring that is left find there that it ends. A writer that dies before that word is stored has not moved, one that dies after
    /// it has: in both cases a successor finds in the right ring all that it needs.
    /// - Parameter length: bytes of the open frame that are written.
    /// - Returns: the open frame's slot in the ring it has moved to; `nil` if it has not moved or no frame is open.
    @discardableResult
    public func move(keeping length: Int = 0) -> FrameSlot? {
        // A frame that was published already lies in the ring where it was.
        guard !isReplay, let offered = offer.take() else { return nil }
        let moved = offered.moved
        let pages = offered.reports
        let other = offered.mapping
        if !hasSlot { slot = (newestSlot + 1) % geometry.slotCount }
        for index in 0..<geometry.slotCount { other.store64(other.slotOffset(index) + SlotField.state, 0) }
        other.store64(RingField.magic, FrameRingGeometry.magic)
        other.store64(RingField.next, 0)
        other.store64(RingField.gapsRecorded, 0)
        other.store64(RingField.lastCapture, mapping.word64(RingField.lastCapture))
        other.store32(RingField.generation, generation)
        other.store32(RingField.firstSlot, UInt32(slot))
        if isOpen {
            other.store64(other.slotOffset(slot) + SlotField.state, SequenceLock.writing(sequence))
            let count = min(max(length, 0), geometry.capacity)
            other.data(slot).copyMemory(from: UnsafeRawBufferPointer(rebasing: mapping.data(slot)[..<count]))
        }
        other.store64(RingField.first, sequence)
        other.store64(RingField.published, sequence - 1)
        clinux_fence_release()
        mapping.store64(RingField.next, sequence)
        wakeReaders()
        mapping = other
        reports = pages
        newestSlot = (slot + geometry.slotCount - 1) % geometry.slotCount
        previousSlot = newestSlot
        for index in numbers.indices { numbers[index] = 0 }
        gaps = 0
        moved()
        return isOpen ? FrameSlot(sequence: sequence, bytes: mapping.data(slot)) : nil
    }
}
