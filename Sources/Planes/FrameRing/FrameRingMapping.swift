// A ring's memory in this process: words read and written atomically, every offset derived from the geometry and never from the memory.
import CLinux
import Glibc

/// Maps a memfd after checking that it has that size and can't change it (no SIGBUS later). The
/// descriptor stays the caller's.
func mapSealed(_ descriptor: Int32, byteCount: Int, writable: Bool) throws(FrameRingError) -> UnsafeMutableRawPointer {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FrameRingError("fstat", errno: errno, "not an open descriptor") }
    guard status.st_size == off_t(byteCount) else {
        throw FrameRingError("fstat", "the memory has \(status.st_size) bytes where the geometry needs \(byteCount)")
    }
    let seals = clinux_seals(descriptor)
    let sizeSeals = F_SEAL_SHRINK | F_SEAL_GROW
    guard seals >= 0 else { throw FrameRingError("F_GET_SEALS", errno: -seals, "not a memfd") }
    guard seals & sizeSeals == sizeSeals else { throw FrameRingError("F_GET_SEALS", "the memory's size is not sealed") }
    let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
    guard let address = mmap(nil, byteCount, protection, MAP_SHARED, descriptor, 0), address != MAP_FAILED else {
        throw FrameRingError("mmap", errno: errno, writable ? "can't be mapped for writing" : "can't be mapped for reading")
    }
    return address
}

/// Owner of one mapping. Whatever is read through it may have been written by somebody hostile.
struct FrameRingMapping: ~Copyable, @unchecked Sendable {
    // Sendable: an address that stays valid until deinit; words are accessed atomically, data under the slots' sequence locks.
    let base: UnsafeMutableRawPointer
    let geometry: FrameRingGeometry

    /// See `mapSealed`.
    init(descriptor: Int32, geometry: FrameRingGeometry, writable: Bool) throws(FrameRingError) {
        base = try mapSealed(descriptor, byteCount: geometry.byteCount, writable: writable)
        self.geometry = geometry
    }

    deinit { munmap(base, geometry.byteCount) }

    // Offsets below come from constants and indices checked against the geometry: inside the mapping, and naturally aligned.

    func slotOffset(_ slot: Int) -> Int {
        precondition(slot >= 0 && slot < geometry.slotCount)
        return FrameRingGeometry.headerSize + slot * FrameRingGeometry.slotHeaderSize
    }

    func gapOffset(_ number: UInt64) -> Int {
        FrameRingGeometry.gapTableOffset + Int(number % UInt64(FrameRingGeometry.gapCapacity)) * FrameRingGeometry.gapSize
    }

    func data(_ slot: Int) -> UnsafeMutableRawBufferPointer {
        precondition(slot >= 0 && slot < geometry.slotCount)
        return UnsafeMutableRawBufferPointer(start: base + geometry.dataOffset + slot * geometry.stride, count: geometry.capacity)
    }

    func word64(_ offset: Int) -> UInt64 { clinux_load_u64(base + offset) }
    func word32(_ offset: Int) -> UInt32 { clinux_load_u32(base + offset) }
    func store64(_ offset: Int, _ value: UInt64) { clinux_store_u64(base + offset, value) }
    func store32(_ offset: Int, _ value: UInt32) { clinux_store_u32(base + offset, value) }

    func state(_ slot: Int) -> UInt64 { word64(slotOffset(slot) + SlotField.state) }

    /// The number of the whole frame in a slot, `nil` while one is written, before the first, and where the state is nonsense.
    func wholeSequence(_ slot: Int) -> UInt64? { SequenceLock.sequence(ofWhole: state(slot)) }

    /// The newest number that was decided, 0 if the word is nonsense.
    var published: UInt64 {
        let value = word64(RingField.published)
        return value <= SequenceLock.maximum ? value : 0
    }

    /// The number that reading begins after: what came before it was never in this ring.
    var origin: UInt64 {
        let first = word64(RingField.first)
        return first >= 1 && first - 1 <= published ? first - 1 : 0
    }

    /// The last number of this ring, once the stream goes on in another one. Where numbers go on the word was overwritten, and means nothing.
    var end: UInt64? {
        let last = published
        return word64(RingField.next) == last + 1 ? last : nil
    }

    /// The gap that was recorded under a number; `nil` if it was overwritten, is being written, or is nonsense.
    func gap(_ number: UInt64) -> FrameGap? {
        let offset = gapOffset(number)
        let check = number &+ 1
        guard word64(offset + GapField.check) == check else { return nil }
        let first = word64(offset + GapField.first)
        let count = word64(offset + GapField.count)
        let time = word64(offset + GapField.time)
        let cause = word32(offset + GapField.cause)
        let generation = word32(offset + GapField.generation)
        clinux_fence_acquire()
        guard word64(offset + GapField.check) == check else { return nil }
        guard first >= 1, first <= SequenceLock.maximum, count >= 1, count <= SequenceLock.maximum else { return nil }
        return FrameGap(
            first: first, count: count, cause: GapCause(rawValue: cause) ?? .unknown, time: time, generation: generation,
            last: first + count - 1)
    }

    /// The numbers of the gaps that the table still holds.
    var gapNumbers: Range<UInt64> {
        let recorded = word64(RingField.gapsRecorded)
        guard recorded <= SequenceLock.maximum else { return 0..<0 }
        let capacity = UInt64(FrameRingGeometry.gapCapacity)
        return (recorded > capacity ? recorded - capacity : 0)..<recorded
    }
}

/// How a slot's state word tells the frame's number and whether it is whole.
enum SequenceLock {
    /// Larger numbers are never given: at a million frames a second they would be reached in 1,100 years.
    static let maximum: UInt64 = 1 << 55

    static func writing(_ sequence: UInt64) -> UInt64 { sequence * 2 + 1 }
    static func whole(_ sequence: UInt64) -> UInt64 { sequence * 2 + 2 }
    static func sequence(ofWhole state: UInt64) -> UInt64? {
        guard state >= 4, state & 1 == 0, state / 2 - 1 <= maximum else { return nil }
        return state / 2 - 1
    }
}
