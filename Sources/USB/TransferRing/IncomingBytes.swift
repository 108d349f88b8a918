// The half of a conversation that comes from the device: the raw bytes of the answer and where its
// messages end, until they are discarded.

import CLinux
import USB

/// Used from one thread, but for `discard`, which one other may call.
///
/// A completed transfer's bytes are copied behind those that count, and then count with one atomic
/// store, the checkpoint, which also says that the transfer is done. After a death in between it is
/// done again, at the same place.
final class IncomingBytes {
    /// What survives.
    struct State: BitwiseCopyable {
        /// Bytes that came since the beginning.
        var received: UInt64 = 0
        /// Ends of messages, told by short packets, since the beginning.
        var ends: UInt64 = 0
        var fault = StoredFault()
    }

    /// What the class is done with.
    struct Consumption: Equatable {
        var offset: UInt64 = 0
        var ends: UInt64 = 0
        var note: ConversationNote = []
    }

    /// Ends of messages that are kept: eight bytes each.
    static let mostEnds = 1024
    static let endsSize = mostEnds * 8
    private static let layout: UInt64 = 0x4349_4e00_0001  // "CIN", and a number that changes with `State`
    let ring: TransferRing
    private var mapping: TransferRingMapping { ring.mapping }
    private(set) var state = State()
    /// As far as the ring's thread knows.
    var consumed = Consumption()
    /// It has been closed: nothing more is asked for.
    var isEnding = false
    let capacity: Int

    init(_ ring: TransferRing) {
        self.ring = ring
        capacity = max(0, ring.mapping.geometry.logLength - Self.endsSize)
    }

    var fault: ConversationFault? { state.fault.fault(.in, at: state.received) }

    // MARK: Beginning

    func begin() throws(USBError) {
        ring.window = window
        try ring.begin(layout: Self.layout, state: state)
    }

    /// Goes on where the predecessor stopped. False if nothing was begun; throws where it is not
    /// sound.
    func resume() throws(ConversationFault) -> Bool {
        guard ring.mapping.isBegun else { return false }
        let consumption = storedConsumption
        guard let found = ring.resume(layout: Self.layout, as: State.self), let consumption, consumption.offset <= found.received,
            found.received - consumption.offset <= UInt64(capacity), consumption.ends <= found.ends,
            found.ends - consumption.ends <= UInt64(Self.mostEnds)
        else { throw .unsound }
        state = found
        consumed = consumption
        return true
    }

    // MARK: Going on

    enum Step: Equatable {
        case received
        case nothing
        /// No transfer is in flight: there is no room, or a fault to be dealt with.
        case paused
    }

    /// Asks for as much as there is room for, and takes what has come.
    func step(timeout: Duration) throws(USBError) -> Step {
        ring.window = window
        try ring.refill()
        guard ring.outstanding > 0 else { return .paused }
        guard let transfer = try ring.take(timeout: timeout) else { return .nothing }
        append(transfer.bytes)
        if transfer.status == .completed, transfer.actualLength < transfer.requested { appendEnd() }
        // What was cancelled was cancelled by closing it, or with the device.
        if transfer.status != .completed, !isEnding || transfer.status != .cancelled, fault == nil {
            state.fault = StoredFault(transfer.status)
        }
        ring.window = window
        try ring.commit(layout: Self.layout, state: state)
        return .received
    }

    /// Transfers that there is room for. One more stays free: where the predecessor died in
    /// submitting the last, another behind it tells whether it was.
    private var window: Int {
        guard fault == nil, !isEnding else { return 0 }
        let free = (capacity - Int(state.received - consumed.offset)) / mapping.geometry.transferLength
        let room = min(free, Self.mostEnds - Int(state.ends - consumed.ends)) - 1
        return ring.isLastUncertain ? max(room, 0) + 1 : max(room, 0)
    }

    private func append(_ bytes: UnsafeRawBufferPointer) {
        let start = Int(state.received % UInt64(capacity))
        let untilEnd = min(bytes.count, capacity - start)
        let offset = mapping.geometry.logOffset + Self.endsSize
        mapping.write(UnsafeRawBufferPointer(rebasing: bytes[..<untilEnd]), at: offset + start)
        mapping.write(UnsafeRawBufferPointer(rebasing: bytes[untilEnd...]), at: offset)
        state.received += UInt64(bytes.count)
    }

    private func appendEnd() {
        mapping.store64(mapping.geometry.logOffset + Int(state.ends % UInt64(Self.mostEnds)) * 8, state.received)
        state.ends += 1
    }

    /// The fault is dealt with.
    func goOn() {
        state.fault = StoredFault()
        ring.checkpoint(layout: Self.layout, state: state)
    }

    // MARK: Reading, from any thread, of what counts already

    /// Where the message of that number ends.
    func end(_ number: UInt64) -> UInt64 {
        mapping.word64(mapping.geometry.logOffset + Int(number % UInt64(Self.mostEnds)) * 8)
    }

    func bytes(_ range: Range<UInt64>) -> [UInt8] {
        let start = Int(range.lowerBound % UInt64(capacity))
        let count = min(range.count, capacity)
        let untilEnd = min(count, capacity - start)
        let log = UnsafeRawBufferPointer(rebasing: mapping.log[Self.endsSize...])
        return Array(log[start..<(start + untilEnd)]) + Array(log[..<(count - untilEnd)])
    }

    /// From here on a successor begins there. One at a time.
    func discard(_ consumption: Consumption) {
        let number = mapping.word32(RingWord.consumptions) &+ 1
        let offset = Self.place(number)
        mapping.store64(offset + ConsumptionWord.offset, consumption.offset)
        mapping.store64(offset + ConsumptionWord.ends, consumption.ends)
        mapping.store32(offset + ConsumptionWord.noteLength, UInt32(consumption.note.count))
        consumption.note.withUnsafeBytes { mapping.write($0, at: offset + ConsumptionWord.note) }
        mapping.store32(RingWord.consumptions, number)
    }

    private var storedConsumption: Consumption? {
        let offset = Self.place(mapping.word32(RingWord.consumptions))
        let length = Int(mapping.word32(offset + ConsumptionWord.noteLength))
        guard length <= OutgoingBytes.largestNote else { return nil }
        let note = UnsafeRawBufferPointer(start: mapping.base + offset + ConsumptionWord.note, count: length)
        return Consumption(
            offset: mapping.word64(offset + ConsumptionWord.offset), ends: mapping.word64(offset + ConsumptionWord.ends), note: Array(note))
    }

    private static func place(_ number: UInt32) -> Int { RingWord.consumption + Int(number & 1) * ConsumptionWord.size }

    /// From any thread.
    func cancel() { ring.cancel() }
}
