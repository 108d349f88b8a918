// The half of a conversation that goes to the device: which bytes were handed over, and which the
// device has taken.

import USB

/// Used from one thread.
///
/// Each change of what is remembered is one atomic store in the ring, the checkpoint; a process may
/// die before it or after it. One transfer is in flight at a time, so that a short one leaves no
/// hole.
final class OutgoingBytes {
    /// What survives.
    struct State: BitwiseCopyable {
        /// Bytes since the beginning that a driver handed over, and of them those that the device
        /// has taken.
        var handed: UInt64 = 0
        var acknowledged: UInt64 = 0
        var fault = StoredFault()
        /// Transfers of which nobody knows whether the device has them.
        var undecided: UInt64 = 0
        /// 1: a zero-length packet is to follow what was handed over.
        var owesEnd: UInt32 = 0
        var noteLength: UInt32 = 0
        var note = InlineArray<256, UInt8>(repeating: 0)
    }

    static let largestNote = 256
    private static let layout: UInt64 = 0x434f_5554_0001  // "COUT", and a number that changes with `State`
    private let ring: TransferRing
    private var mapping: TransferRingMapping { ring.mapping }
    private(set) var state = State()
    var capacity: Int { mapping.geometry.logLength }

    init(_ ring: TransferRing) { self.ring = ring }

    var fault: ConversationFault? { state.fault.fault(.out, at: state.acknowledged) }
    /// Nothing is left to be sent.
    var isDone: Bool { state.acknowledged == state.handed && state.owesEnd == 0 }
    var note: ConversationNote { (0..<Int(state.noteLength)).map { state.note[$0] } }

    // MARK: Beginning

    func begin() throws(USBError) { try ring.begin(layout: Self.layout, state: state) }

    /// Goes on where the predecessor stopped. False if nothing was begun; throws where it is not
    /// sound.
    func resume() throws(ConversationFault) -> Bool {
        guard ring.mapping.isBegun else { return false }
        guard let found = ring.resume(layout: Self.layout, as: State.self), found.acknowledged <= found.handed,
            found.handed - found.acknowledged <= UInt64(capacity), found.noteLength <= UInt32(Self.largestNote), ring.outstanding <= 1
        else { throw .unsound }
        state = found
        return true
    }

    /// After `resume`: decides what the predecessor died in. Until then nothing is sent.
    func settle(patience: Duration) throws(USBError) {
        guard try ring.settle(patience: patience) == .withdrawn, let transfer = try ring.take(timeout: .zero) else { return }
        let taken = min(UInt64(transfer.actualLength), state.handed - state.acknowledged)
        if transfer.actualLength == transfer.requested {
            // All of it had been taken.
            acknowledge(taken, ofEnd: transfer.requested == 0)
        } else {
            state.fault = StoredFault(undecided: transfer.requested)
            state.undecided += 1
        }
        try ring.commit(layout: Self.layout, state: state)
    }

    // MARK: Going on

    /// Hands bytes over, all or none, when what was handed over before is done. From here on they
    /// are sent, whoever dies.
    func hand(_ bytes: [UInt8], note: ConversationNote, endsWithEmptyPacket: Bool) {
        precondition(isDone && bytes.count <= capacity && note.count <= Self.largestNote)
        let start = Int(state.handed % UInt64(capacity))
        let untilEnd = min(bytes.count, capacity - start)
        bytes.withUnsafeBytes { bytes in
            mapping.write(UnsafeRawBufferPointer(rebasing: bytes[..<untilEnd]), at: mapping.geometry.logOffset + start)
            mapping.write(UnsafeRawBufferPointer(rebasing: bytes[untilEnd...]), at: mapping.geometry.logOffset)
        }
        state.handed += UInt64(bytes.count)
        state.owesEnd = endsWithEmptyPacket ? 1 : 0
        state.noteLength = UInt32(note.count)
        for (index, byte) in note.enumerated() { state.note[index] = byte }
        ring.checkpoint(layout: Self.layout, state: state)
    }

    /// Sends what there is, and waits for what is on its way. False when nothing has happened in
    /// that time.
    func step(timeout: Duration) throws(USBError) -> Bool {
        if ring.outstanding == 0 {
            guard fault == nil, !isDone else { return false }
            try put()
        }
        guard let transfer = try ring.take(timeout: timeout) else { return false }
        let taken = min(UInt64(transfer.actualLength), state.handed - state.acknowledged)
        let isEnd = transfer.requested == 0
        switch transfer.status {
        case .completed where taken > 0 || isEnd: acknowledge(taken, ofEnd: isEnd)
        // A success that moves nothing would go round without end.
        case .completed: state.fault = StoredFault(.fault(5))
        case .cancelled, .stall, .timedOut, .overflow, .disconnected, .fault:
            acknowledge(taken, ofEnd: false)
            state.fault = StoredFault(transfer.status)
        }
        try ring.commit(layout: Self.layout, state: state)
        return true
    }

    private func acknowledge(_ count: UInt64, ofEnd: Bool) {
        state.acknowledged += count
        if ofEnd { state.owesEnd = 0 }
    }

    private func put() throws(USBError) {
        let start = Int(state.acknowledged % UInt64(capacity))
        let count = min(Int(state.handed - state.acknowledged), mapping.geometry.transferLength, capacity - start)
        try ring.put(UnsafeRawBufferPointer(rebasing: mapping.log[start..<(start + count)]))
    }

    /// The fault is dealt with: what was not acknowledged is sent from there on.
    func goOn() {
        state.fault = StoredFault()
        ring.checkpoint(layout: Self.layout, state: state)
    }

    /// What the device has not taken is not sent any more. A transfer that is in flight has to end
    /// first.
    func abandon() {
        state.handed = state.acknowledged
        state.owesEnd = 0
        goOn()
    }

    var isInFlight: Bool { ring.outstanding > 0 }
    /// From any thread.
    func cancel() { ring.cancel() }
}
