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
    @exclusivity(unchecked) private var witnessed: UInt64 = 0
    // Unchecked: none of these is ever lent, so nothing can overlap; the check costs a tenth of a transfer.
    /// The number of the transfer that is handled next.
    @exclusivity(unchecked) public private(set) var next: UInt64 = 0
    @exclusivity(unchecked) private var submitted: UInt64 = 0
    /// A predecessor submitted the transfers below this number; `nil` for a ring that was begun here.
    public private(set) var inheritedEnd: UInt64?

    /// A transfer that has ended. Its bytes are in the ring until it is committed.
    public struct Transfer {
        public let number: UInt64
        /// The whole buffer for isochronous transfers, to which the packets' offsets refer; what came for bulk.
        public let bytes: UnsafeRawBufferPointer
        /// How many bytes could have been received.
        public let requested: Int
        public let status: TransferStatus
        public let actualLength: Int
        /// Empty for bulk.
        public let packets: IsochronousPackets
        /// CLOCK_MONOTONIC nanoseconds; the same for every incarnation that handles it.
        public let completedAt: UInt64
        /// See `CompletedTransfer.startFrame`.
        public let startFrame: UInt32?
        /// All earlier transfers had completed when it was submitted: nobody had asked for what the device sent in between.
        public let followsDryQueue: Bool
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
        count = UInt64(mapping.geometry.transferCount)
        length = mapping.transferLength
    }

    /// No stream gets there; a larger number was not written by counting.
    private static let largestNumber: UInt64 = 1 << 62
    private let count: UInt64
    /// If the kernel has no memory for more, this many in flight will do. All of them, unless set before the ring begins.
    @exclusivity(unchecked) public var sufficientCount = Int.max
    /// IN: bytes to ask for where there is no memory for transfers as long as the buffers, in so many: each shorter than the
    /// one before. Where the controller can't gather, a transfer's memory is in one piece, which may be scarce though much is free. None,
    /// unless set before the ring begins.
    @exclusivity(unchecked) public var shorterLengths: [Int] = []
    /// IN: how many are put in flight at most, from the next one on.
    @exclusivity(unchecked) public var window = Int.max
    /// Transfers that were submitted and not committed yet.
    public var outstanding: Int { Int(submitted - next) }
    /// How many there was memory for.
    @exclusivity(unchecked) private var affordableCount = UInt64.max
    /// IN: bytes that the next transfers ask for.
    @exclusivity(unchecked) private var length: Int

    // MARK: Beginning

    /// Begins a new stream in fresh memory and puts all transfers in flight. `state` is what a successor would start from.
    public func begin(layout: UInt64, state: some BitwiseCopyable) throws(USBError) {
        checkpoint(layout: layout, state: state)
        mapping.begin()
        try fill()
    }

    /// Takes over where the predecessor's last commit was.
    /// - Parameters:
    ///   - layout: what the state must have been written as.
    ///   - state: what the handler remembers; every bit pattern of its type is a value of it.
    /// - Returns: the state, `nil` if there is nothing sound to take over: then nothing was touched.
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
        // Not for a version to come back to that would not know where bytes may lie.
        mapping.begin()
        for number in next..<submitted {
            let record = RingRecord(mapping, index: mapping.index(of: number))
            if record.isInFlight || record.isUncertain { carrier.adopt(record) }
        }
        inheritedEnd = submitted
        return UnsafeRawPointer(mapping.base + checkpoint + CheckpointWord.state).loadUnaligned(as: State.self)
    }

    /// After `resume`: puts in flight again what the predecessor had handled.
    public func refill() throws(USBError) { try fill() }

    /// - Parameter time: see `TransferWitness.submitted`.
    @usableFromInline
    func fill(at time: UInt64? = nil) throws(USBError) {
        guard direction == .in else { return }
        let end = next + min(count, affordableCount, UInt64(max(0, window)))
        while submitted < end {
            let number = submitted
            let record = RingRecord(mapping, index: mapping.index(of: number))
            record.prepare(number: number, length: length, followsDryQueue: isDry)
            submitted = number + 1
            mapping.store64(RingWord.submitted, submitted)
            do throws(USBError) {
                try carrier.submit(record)
            } catch {
                // Nobody will complete it, and so `drain` does not wait for it.
                submitted -= 1
                guard error.code == .memoryLimit else { throw error }
                if submitted - next >= sufficientCount {
                    mapping.store64(RingWord.submitted, submitted)
                    affordableCount = submitted - next
                    return
                }
                guard let shorter = shorterLengths.first(where: { $0 < length }), shorter > 0 else { throw error }
                length = shorter
                continue
            }
            witness?.submitted(number, length: length, at: time)
        }
    }

    /// Whether nothing is in flight any more, of a ring that goes round.
    private var isDry: Bool {
        guard submitted > 0, submitted > next else { return submitted > 0 }
        carrier.collect(mapping)
        // Transfers complete in order, so that nearly always one look will do.
        return RingRecord(mapping, index: mapping.index(of: submitted - 1)).hasCompleted
            && !(next..<submitted).contains { !RingRecord(mapping, index: mapping.index(of: $0)).hasCompleted }
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
        witness?.submitted(record.number, length: bytes.count, at: nil)
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
        var record = RingRecord(mapping, index: mapping.index(of: next))
        if record.hasCompleted { return shown(transfer(record)) }
        // Nearly always the next one completes within the first wait: that goes without a clock.
        var deadline: UInt64?
        while true {
            // Transfers complete in order, and are marked in that order: one that a predecessor may
            // have submitted, and that is uncertain still when a later one has completed, never was.
            if record.isUncertain, isOvertaken, record.isUncertain {
                try skip()
            } else {
                var left = timeout
                if let deadline {
                    let now = clinux_monotonic_ns()
                    guard now < deadline else { return overtaken(record) }
                    left = .nanoseconds(Int64(deadline - now))
                }
                guard left > .zero else { return overtaken(record) }
                switch try carrier.wait(mapping, timeout: left) {
                case .timedOut: return overtaken(record)
                case .progress: break
                }
            }
            record = RingRecord(mapping, index: mapping.index(of: next))
            if record.hasCompleted { return shown(transfer(record)) }
            if deadline == nil { deadline = clinux_monotonic_ns() + timeout.nanoseconds }
        }
    }

    /// Transfers complete in order. One that a later one has overtaken has a record that something wrote into: it is over, as a fault, and nothing is
    /// known of what it carried. `nil` if none is.
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
        let isEmpty = mapping.geometry.packetCount == 0 && record.actualLength == 0
        let buffer = record.place == 0 || isEmpty ? record.buffer : carrier.buffer(of: record)
        // Nobody can read any more what has come: it is lost.
        if buffer == nil { record.lose() }
        let bytes = UnsafeRawBufferPointer(buffer ?? record.buffer)
        let packets = record.packets
        // Nearly every host controller adds isochronous packets up. One that does not leaves 0.
        var actual = record.actualLength
        if actual == 0 { actual = packets.actualLength }
        return Transfer(
            number: next, bytes: packets.isEmpty ? UnsafeRawBufferPointer(rebasing: bytes[..<actual]) : bytes, requested: record.length,
            status: record.status, actualLength: actual, packets: packets, completedAt: record.completedAt,
            startFrame: record.startFrame, followsDryQueue: record.followsDryQueue)
    }

    /// Stores what the handler remembers while it is within a transfer: what it has done of it is done.
    @inlinable
    public func checkpoint(layout: UInt64, state: some BitwiseCopyable) {
        withUnsafeBytes(of: state) { store(bytes: $0, layout: layout) }
    }

    /// The transfer was handled: stores that, with what the handler remembers, and puts the next one in flight.
    ///
    /// - Parameter time: CLOCK_MONOTONIC nanoseconds, where the caller has just looked.
    @inlinable
    public func commit(layout: UInt64, state: some BitwiseCopyable, at time: UInt64? = nil) throws(USBError) {
        withUnsafeBytes(of: state) { handled(bytes: $0, layout: layout) }
        try fill(at: time)
    }

    @usableFromInline
    func handled(bytes: UnsafeRawBufferPointer, layout: UInt64) {
        next += 1
        store(bytes: bytes, layout: layout)
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

    /// The other checkpoint is written, and then is the one that counts.
    @usableFromInline
    func store(bytes: UnsafeRawBufferPointer, layout: UInt64) {
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
        defer { carrier.finish(mapping) }
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
