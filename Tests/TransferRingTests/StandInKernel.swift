// What carries a conversation's transfers and survives the processes that submit them, with a
// device behind it; and a process that dies at a given step.

import CLinux
import Glibc
import TransferRing
import USB

/// A driver's process: dies at the n-th thing that it does which anybody else could see.
final class MortalProcess: @unchecked Sendable {
    // Sendable: used by one thread.
    private var stepsToLive: Int
    private(set) var steps = 0
    var isDead: Bool { steps > stepsToLive }

    init(stepsToLive: Int) { self.stepsToLive = stepsToLive }

    /// Whether it lives to do the next thing.
    func step() -> Bool {
        if !isDead { steps += 1 }
        return !isDead
    }
}

/// A device that answers each message (a byte that tells its length, then as many bytes) with three
/// times its bytes, in pieces.
struct StandInDevice {
    var received: [UInt8] = []
    private var parsed = 0
    /// Each ends with a short packet.
    var pieces: [[UInt8]] = []
    /// OUT transfers that it takes the first half of, by their number.
    var halves: (UInt64) -> Bool = { _ in false }
    var takesNothing = false
    var emptyPackets = 0

    static func answer(_ message: [UInt8]) -> [UInt8] { message + message.reversed() + message }

    mutating func take(_ bytes: ArraySlice<UInt8>) {
        if bytes.isEmpty { emptyPackets += 1 }
        received += bytes
        while parsed < received.count, received.count > parsed + Int(received[parsed]) {
            let end = parsed + 1 + Int(received[parsed])
            let answer = Self.answer(Array(received[parsed + 1..<end]))
            parsed = end
            var start = 0
            // The first piece is a multiple of the packet's size, and so ends with an empty one.
            for length in [32, 7, 0, Int.max] where start <= answer.count {
                let next = start + min(length, answer.count - start)
                pieces.append(Array(answer[start..<next]))
                start = next
            }
        }
    }
}

/// As usbfs does, or as a proxy does: see `isProxy`.
final class StandInKernel: @unchecked Sendable {
    // Sendable: used by one thread.
    struct Flight {
        var mapping: TransferRingMapping
        var index: Int
        var number: UInt64
        var length: Int
    }
    let isProxy: Bool
    var device = StandInDevice()
    var out: [Flight] = []
    var incoming: [Flight] = []
    var completed: [(flight: Flight, status: Int32, actual: Int)] = []
    /// Of a proxy: how far it has taken what was submitted.
    var taken: [ObjectIdentifier: UInt64] = [:]
    var rings: [(mapping: TransferRingMapping, isOut: Bool)] = []
    var undecided = 0
    static let packet = 16

    init(isProxy: Bool) { self.isProxy = isProxy }

    func submit(_ record: RingRecord, _ mapping: TransferRingMapping, isOut: Bool) {
        let flight = Flight(mapping: mapping, index: record.index, number: record.number, length: record.length)
        if isOut { out.append(flight) } else { incoming.append(flight) }
    }

    /// What the bus moves until nothing moves any more.
    func run() {
        if isProxy { takeSubmissions() }
        while !out.isEmpty, !device.takesNothing {
            let flight = out.removeFirst()
            let bytes = Array(RingRecord(flight.mapping, index: flight.index).buffer.prefix(flight.length))
            let count = device.halves(flight.number) ? (bytes.count + 1) / 2 : bytes.count
            device.take(bytes[..<count])
            complete(flight, 0, count)
        }
        while let piece = device.pieces.first, let flight = incoming.first {
            incoming.removeFirst()
            let count = min(piece.count, flight.length)
            RingRecord(flight.mapping, index: flight.index).buffer.copyBytes(from: piece.prefix(count))
            if count < flight.length { device.pieces.removeFirst() } else { device.pieces[0] = Array(piece.dropFirst(count)) }
            complete(flight, 0, count)
        }
    }

    private func takeSubmissions() {
        for (mapping, isOut) in rings {
            let key = ObjectIdentifier(mapping)
            for number in mapping.submissions(after: taken[key, default: 0]) {
                let record = mapping.record(ofNumber: number)
                guard record.number == number, record.isUncertain else { break }
                taken[key] = number + 1
                record.markInFlight()
                submit(record, mapping, isOut: isOut)
            }
        }
    }

    private func complete(_ flight: Flight, _ status: Int32, _ actual: Int) {
        if isProxy {
            RingRecord(flight.mapping, index: flight.index).complete(status: status, actualLength: actual, at: 1)
            flight.mapping.announceCompletion()
        } else {
            completed.append((flight, status, actual))
        }
    }

    /// REAPURBNDELAY: writes into the record that it was submitted with.
    func reap() -> Flight? {
        guard !completed.isEmpty else { return nil }
        let (flight, status, actual) = completed.removeFirst()
        let urb = RingRecord(flight.mapping, index: flight.index).urb
        urb.storeBytes(of: Int32(actual), toByteOffset: 28, as: Int32.self)  // actual_length of struct usbdevfs_urb
        clinux_usbfs_mark_status(urb, status)
        return flight
    }

    /// DISCARDURB.
    func discard(_ record: RingRecord) -> Bool {
        guard let index = out.firstIndex(where: { $0.index == record.index }) else { return false }
        completed.append((out.remove(at: index), -2, 0))
        return true
    }
}

/// One process's way to it.
final class StandInCarrier: RingCarrier, @unchecked Sendable {
    // Sendable: used by one thread.
    struct Died: Error {}
    private let kernel: StandInKernel
    private let process: MortalProcess
    private let isOut: Bool
    /// The kernel's own view of the ring's memory.
    private let memory: TransferRingMapping
    private let mapping: TransferRingMapping
    private var line: [Int] = []

    init(_ kernel: StandInKernel, _ process: MortalProcess, isOut: Bool, memory: TransferRingMapping, mapping: TransferRingMapping) {
        (self.kernel, self.process, self.isOut, self.memory, self.mapping) = (kernel, process, isOut, memory, mapping)
    }

    private func live() throws(USBError) {
        guard process.step() else { throw USBError(.cancelled, operation: "dying") }
    }

    func submit(_ record: RingRecord) throws(USBError) {
        try live()
        guard !kernel.isProxy else { return }
        kernel.submit(RingRecord(memory, index: record.index), memory, isOut: isOut)
        record.markInFlight()
        if process.isDead { throw USBError(.cancelled, operation: "dying") }
    }

    func adopt(_ record: RingRecord) {
        if !kernel.isProxy, clinux_usbfs_urb_status(record.urb) != CLINUX_USBFS_PENDING { complete(record) }
    }

    private func complete(_ record: RingRecord) {
        record.complete(
            status: clinux_usbfs_urb_status(record.urb), actualLength: Int(clinux_usbfs_urb_actual_length(record.urb)), at: 1)
    }

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        try live()
        kernel.run()
        if kernel.isProxy { return mapping.waitForPort(timeout: .zero) == .progress ? .progress : .timedOut }
        return try takeOne() ? .progress : .timedOut
    }

    func collect(_ mapping: TransferRingMapping) {
        guard !kernel.isProxy else { return }
        while (try? takeOne()) == true {}
    }

    /// Both rings are one open file's: what belongs to the other is the other's.
    private func takeOne() throws(USBError) -> Bool {
        guard let index = kernel.completed.firstIndex(where: { $0.flight.mapping === memory }) else { return false }
        let one = kernel.completed.remove(at: index)
        kernel.completed.insert(one, at: 0)
        guard let flight = kernel.reap() else { return false }
        try live()
        complete(RingRecord(mapping, index: flight.index))
        return true
    }

    func decide(_ record: RingRecord, _ mapping: TransferRingMapping, patience: Duration) throws(USBError) -> RecordFate {
        guard !kernel.isProxy else { return .carried }
        _ = try wait(mapping, timeout: .zero)
        if record.hasCompleted { return .carried }
        guard kernel.discard(record) else { return .neverSubmitted }
        kernel.undecided += 1
        _ = try wait(mapping, timeout: .zero)
        return .withdrawn
    }

    func cancelAll(_ mapping: TransferRingMapping) {}
}
