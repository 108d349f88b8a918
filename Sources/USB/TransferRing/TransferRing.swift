// A stream's transfers in memory that survives this process: taken over where a predecessor
// stopped, to the byte.

import CLinux
import Threads
public import USB

/// An endpoint's transfers, numbered from 0, in flight in a ring and handled in the order of their
/// numbers. Of an IN endpoint all are kept in flight; to an OUT endpoint goes what is `put`. Used
/// from one thread, but for `cancel`.
///
/// Handling a transfer ends with `commit`, which stores what the handler remembers and, in the same atomic store, that the transfer is done. A
/// process that dies before it has not handled the transfer; its successor finds the record, the bytes and the memory as they were, and
/// does it again.
public final class TransferRing: @unchecked Sendable {
    // Sendable: used by one thread, but for `cancel`, which is made for any.
    public let mapping: TransferRingMapping
    private let carrier: any RingCarrier
    private let witness: (any TransferWitness)?
    private let direction: TransferDirection
    /// The witness has been told of the completion of transfers below this number.
    private var witnessed: UInt64 = 0
    private let packets: UnsafeMutableBufferPointer<IsochronousPacket>
    /// The number of the transfer that is handled next.
    public private(set) var next: UInt64 = 0
    private var submitted: UInt64 = 0
    /// What was in flight when the predecessor died; `nil` for a ring that was begun here.
    public private(set) var inherited: Inheritance?

    /// Transfers that a predecessor submitted.
    public struct Inheritance: Sendable {
        /// They have numbers below this one.
        public let end: UInt64
        /// All of them had completed already: what the device sent since then is lost.
        public let wasDry: Bool
    }

    /// A transfer that has ended. Its bytes are in the ring until it is committed.
    public struct Transfer {
        public let number: UInt64
        /// The whole buffer for isochronous transfers, to which the packets' offsets refer; what came for bulk.
        public let bytes: UnsafeRawBufferPointer
        /// How much could have come.
        public let requested: Int
        public let status: TransferStatus
        public let actualLength: Int
        public let packets: UnsafeBufferPointer<IsochronousPacket>
        /// CLOCK_MONOTONIC nanoseconds; the same for every incarnation that handles it.
        public let completedAt: UInt64
        /// See `CompletedTransfer.startFrame`.
        public let startFrame: UInt32?
    }

    /// - Parameter witness: is told of every transfer; `nil` for nobody.
    public init(
        mapping: TransferRingMapping, carrier: any RingCarrier, direction: TransferDirection = .in, witness: (any TransferWitness)? = nil
    ) {
        self.mapping = mapping
        self.direction = direction
        carrier.join(mapping)
        self.carrier = carrier
        self.witness = witness
        packets = .allocate(capacity: max(1, mapping.geometry.packetCount))
    }

    deinit { packets.deallocate() }

    /// No stream gets there; a larger number was not written by counting.
    private static let largestNumber: UInt64 = 1 << 62
    private var count: UInt64 { UInt64(mapping.geometry.transferCount) }
    /// Where the kernel has no memory for more, these many in flight will do. All of them, unless set before the ring begins.
    public var sufficientCount = Int.max
    /// IN: no more than so many are put in flight, from the next that is on.
    public var window = Int.max
    /// Transfers that were submitted and not committed yet.
    public var outstanding: Int { Int(submitted - next) }
    /// How many there was memory for.
    private var affordableCount = UInt64.max

    // MARK: Beginning

    /// Begins a new stream in fresh memory and puts all transfers in flight. `state` is what a successor would start from.
    public func begin(layout: UInt64, state: some BitwiseCopyable) throws(USBError) {
        store(state, layout: layout)
        mapping.begin()
        try fill()
    }

    /// Takes over where the predecessor's last commit was.
    /// - Parameters:
    ///   - layout: what the state must have been written as.
    ///   - state: what the handler remembers; every bit pattern of its type is a value of it.
    /// - Returns: the state, `nil` where there is nothing sound to take over: then nothing was touched.
    public func resume<State: BitwiseCopyable>(layout: UInt64, as type: State.Type) -> State? {
        guard mapping.isBegun else { return nil }
        let checkpoint = current
        let next = mapping.word64(checkpoint + CheckpointWord.next)
        let submitted = mapping.word64(RingWord.submitted)
        guard mapping.word64(checkpoint + CheckpointWord.layout) == layout,
            mapping.word64(checkpoint + CheckpointWord.count) == UInt64(MemoryLayout<State>.size),
            next <= submitted, submitted - next <= count, submitted <= Self.largestNumber
        else { return nil }
        for number in next..<submitted where RingRecord(mapping, index: mapping.index(of: number)).number != number { return nil }
        self.next = next
        self.submitted = submitted
        var wasDry = true
        for number in next..<submitted {
            let record = RingRecord(mapping, index: mapping.index(of: number))
            if record.isInFlight || record.isUncertain { carrier.adopt(record) }
            if !record.hasCompleted { wasDry = false }
        }
        inherited = Inheritance(end: submitted, wasDry: wasDry)
        return UnsafeRawPointer(mapping.base + checkpoint + CheckpointWord.state).loadUnaligned(as: State.self)
    }

    /// After `resume`: puts in flight again what the predecessor had handled.
    public func refill() throws(USBError) { try fill() }

    private func fill() throws(USBError) {
        guard direction == .in else { return }
        while submitted < next + min(count, affordableCount, UInt64(max(0, window))) {
            let record = RingRecord(mapping, index: mapping.index(of: submitted))
            record.prepare(number: submitted, length: mapping.geometry.transferLength)
            submitted += 1
            mapping.store64(RingWord.submitted, submitted)
            do throws(USBError) {
                try carrier.submit(record)
            } catch {
                // Nobody will complete it, and so `drain` does not wait for it.
                submitted -= 1
                guard error.code == .memoryLimit, submitted - next >= sufficientCount else { throw error }
                mapping.store64(RingWord.submitted, submitted)
                affordableCount = submitted - next
                return
            }
            witness?.submitted(record.number, length: mapping.geometry.transferLength)
        }
    }

    // MARK: Sending

    /// OUT: puts a transfer in flight, which there is room for. No bytes: a zero-length packet.
    public func put(_ bytes: UnsafeRawBufferPointer) throws(USBError) {
        precondition(direction == .out && submitted - next < count && bytes.count <= mapping.geometry.transferLength)
        let record = RingRecord(mapping, index: mapping.index(of: submitted))
        if mapping.mayWrite { record.buffer.copyMemory(from: bytes) }
        record.prepare(number: submitted, length: bytes.count)
        submitted += 1
        mapping.store64(RingWord.submitted, submitted)
        do throws(USBError) {
            try carrier.submit(record)
        } catch {
            // It was refused: nobody has it.
            submitted -= 1
            mapping.store64(RingWord.submitted, submitted)
            throw error
        }
        witness?.submitted(record.number, length: bytes.count)
    }

    /// OUT, after `resume`: what became of the transfer that the predecessor died in submitting.
    /// One that never was is taken out of the ring.
    public func settle(patience: Duration) throws(USBError) -> RecordFate {
        let record = RingRecord(mapping, index: mapping.index(of: next))
        guard direction == .out, outstanding > 0, record.isUncertain else { return .carried }
        let fate = try carrier.decide(record, mapping, patience: patience)
        if fate == .neverSubmitted {
            submitted = next
            mapping.store64(RingWord.submitted, submitted)
        }
        return fate
    }

    /// IN: whether the predecessor died in submitting the last one, so that only one behind it can
    /// tell whether it was.
    var isLastUncertain: Bool {
        outstanding > 0 && RingRecord(mapping, index: mapping.index(of: submitted - 1)).isUncertain
    }

    // MARK: Going round

    /// The next transfer, as soon as it has completed; `nil` when it has not in time. Called again before `commit` it is the same.
    public func take(timeout: Duration) throws(USBError) -> Transfer? {
        let deadline = clinux_monotonic_ns() + timeout.nanoseconds
        while true {
            let record = RingRecord(mapping, index: mapping.index(of: next))
            if record.hasCompleted { return shown(transfer(record)) }
            // Its predecessor may have seen that, and died before it could say so. Looked at again
            // in this order: a port takes them in theirs, so that one which is uncertain still when
            // a later one has completed never was.
            if record.isUncertain, isOvertaken, record.isUncertain {
                try skip()
                continue
            }
            let now = clinux_monotonic_ns()
            guard now < deadline else { return overtaken(record) }
            switch try carrier.wait(mapping, timeout: .nanoseconds(Int64(deadline - now))) {
            case .timedOut: return overtaken(record)
            case .progress: break
            case .completed(let index):
                // Transfers complete in order. One that a predecessor may have submitted, and that a later one overtakes, never was.
                if index != record.index, record.isUncertain { try skip() }
            }
        }
    }

    /// Transfers complete in order. One that a later one has overtaken has a record that something wrote into: it is over, as a fault, and nothing is
    /// known of what it carried. `nil` where none is.
    private func overtaken(_ record: RingRecord) -> Transfer? {
        guard isOvertaken else { return nil }
        if !record.hasCompleted { record.fail() }
        return shown(transfer(record))
    }

    private var isOvertaken: Bool {
        (next..<submitted).dropFirst().contains { RingRecord(mapping, index: mapping.index(of: $0)).hasCompleted }
    }

    private func shown(_ transfer: Transfer) -> Transfer {
        if transfer.number >= witnessed {
            witnessed = transfer.number + 1
            witness?.completed(transfer)
        }
        return transfer
    }

    private func transfer(_ record: RingRecord) -> Transfer {
        let geometry = mapping.geometry
        var actual = record.actualLength
        if geometry.packetCount > 0 {
            actual = 0
            for index in 0..<geometry.packetCount {
                let packet = record.packet(index)
                packets.initializeElement(at: index, to: packet)
                actual += packet.actualLength
            }
        }
        let bytes = UnsafeRawBufferPointer(record.buffer)
        return Transfer(
            number: next, bytes: geometry.packetCount > 0 ? bytes : UnsafeRawBufferPointer(rebasing: bytes[..<actual]),
            requested: record.length, status: record.status, actualLength: actual,
            packets: UnsafeBufferPointer(rebasing: packets[..<geometry.packetCount]), completedAt: record.completedAt,
            startFrame: record.startFrame)
    }

    /// Stores what the handler remembers while it is within a transfer: what it has done of it is done.
    public func checkpoint(layout: UInt64, state: some BitwiseCopyable) { store(state, layout: layout) }

    /// The transfer was handled: stores that, with what the handler remembers, and puts the next one in flight.
    public func commit(layout: UInt64, state: some BitwiseCopyable) throws(USBError) {
        next += 1
        store(state, layout: layout)
        try fill()
    }

    /// The transfer never was: the state stays, the number is over.
    private func skip() throws(USBError) {
        let offset = current
        let size = Int(min(mapping.word64(offset + CheckpointWord.count), UInt64(TransferRingGeometry.stateSize)))
        let state = UnsafeRawBufferPointer(start: mapping.base + offset + CheckpointWord.state, count: size)
        next += 1
        store(bytes: state, layout: mapping.word64(offset + CheckpointWord.layout))
        try fill()
    }

    /// Where the checkpoint that counts lies.
    private var current: Int { checkpointOffset(mapping.word32(RingWord.commits)) }

    private func checkpointOffset(_ commit: UInt32) -> Int {
        TransferRingGeometry.checkpointOffset + Int(commit & 1) * TransferRingGeometry.checkpointSize
    }

    private func store(_ state: some BitwiseCopyable, layout: UInt64) {
        withUnsafeBytes(of: state) { store(bytes: $0, layout: layout) }
    }

    /// The other checkpoint is written, and then is the one that counts.
    private func store(bytes: UnsafeRawBufferPointer, layout: UInt64) {
        precondition(bytes.count <= TransferRingGeometry.stateSize, "a handler's memory is small")
        let commit = mapping.word32(RingWord.commits) &+ 1
        let offset = checkpointOffset(commit)
        mapping.store64(offset + CheckpointWord.next, next)
        mapping.store64(offset + CheckpointWord.layout, layout)
        mapping.store64(offset + CheckpointWord.count, UInt64(bytes.count))
        mapping.write(bytes, at: offset + CheckpointWord.state)
        mapping.store32(RingWord.commits, commit)
    }

    // MARK: Ends

    /// Asks for everything in flight to end. From any thread.
    public func cancel() { carrier.cancelAll(mapping) }

    /// Cancels, and takes back what is in flight, for up to `patience`.
    public func drain(patience: Duration = .seconds(2)) {
        cancel()
        let deadline = clinux_monotonic_ns() + patience.nanoseconds
        while true {
            let isBusy = (next..<submitted).contains { !RingRecord(mapping, index: mapping.index(of: $0)).hasCompleted }
            let now = clinux_monotonic_ns()
            guard isBusy, now < deadline else { return }
            do throws(USBError) {
                _ = try carrier.wait(mapping, timeout: .nanoseconds(Int64(deadline - now)))
            } catch {
                return
            }
        }
    }
}
