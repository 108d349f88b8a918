// A carrier whose transfers a test completes, one after the other, and which survives the rings
// that use it.

import CLinux
import Synchronization
import TransferRing
import USB

/// What the kernel or a port is for a real ring.
final class FakeCarrier: RingCarrier {
    struct State {
        /// Indices in flight, the oldest first.
        var inFlight: [Int] = []
        var submissions: [UInt64] = []
        /// Reaped by a process that died before it could say so: it has been written to, and no more.
        var isCancelled = false
        /// The next submission ends the process.
        var diesAtSubmission = false
        var dropsSubmission = false
        /// As many as there is memory for.
        var mostInFlight = Int.max
        /// Memory is there in pieces of so many bytes.
        var longest = Int.max
        /// Transfers lie in memory of this incarnation's, of which nobody has the bytes but of these.
        var place: UInt32 = 0
        var kept: [Int: [UInt8]] = [:]
    }
    let state = Mutex(State())

    struct Died: Error {}

    func submit(_ record: RingRecord) throws(USBError) {
        guard state.withLock({ $0.inFlight.count < $0.mostInFlight && record.length <= $0.longest }) else {
            throw USBError(.memoryLimit, operation: "submitting")
        }
        let (dies, drops) = state.withLock { state in
            let result = (state.diesAtSubmission, state.dropsSubmission)
            state.diesAtSubmission = false
            state.dropsSubmission = false
            if !result.1 {
                state.inFlight.append(record.index)
                state.submissions.append(record.number)
            }
            return result
        }
        record.lie(in: state.withLock { $0.place })
        // A death between the request and the note of it, or before the request.
        if dies || drops { throw USBError(.cancelled, operation: "dying") }
        record.markInFlight()
    }

    func adopt(_ record: RingRecord) {}

    func buffer(of record: RingRecord) -> UnsafeMutableRawBufferPointer? {
        guard let bytes = state.withLock({ $0.kept[record.index] }) else { return nil }
        record.buffer.copyBytes(from: bytes)
        record.lie(in: 0)
        return record.buffer
    }

    /// The bytes of the next transfer that completes.
    func complete(_ mapping: TransferRingMapping, with bytes: [UInt8]) {
        guard let index = state.withLock({ $0.inFlight.isEmpty ? nil : $0.inFlight.removeFirst() }) else { return }
        let record = RingRecord(mapping, index: index)
        record.buffer.copyBytes(from: bytes)
        record.complete(status: 0, actualLength: bytes.count, at: clinux_monotonic_ns())
        completed.withLock { $0.append(index) }
    }

    private let completed = Mutex<[Int]>([])

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        if completed.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) != nil { return .progress }
        return .timedOut
    }

    func cancelAll(_ mapping: TransferRingMapping) {
        let all = state.withLock { state in
            state.isCancelled = true
            defer { state.inFlight = [] }
            return state.inFlight
        }
        for index in all {
            RingRecord(mapping, index: index).complete(status: -2, actualLength: 0, at: clinux_monotonic_ns())
            completed.withLock { $0.append(index) }
        }
    }
}
