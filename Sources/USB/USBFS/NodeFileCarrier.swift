// A ring's transfers carried by the kernel: submitted and reaped with usbfs's own requests.

import CLinux
import Glibc
import Synchronization
import Threads
import TransferRing
import USB

/// Submits and reaps on a `NodeFile`. What one process submits the next one reaps: a URB is known
/// by its address in the ring, which is the same in both.
final class NodeFileCarrier: RingCarrier {
    private let reaper: NodeReaper
    private let endpoint: EndpointAddress
    private let type: TransferType
    private let seat = Mutex<NodeReaper.Seat?>(nil)
    private let keeper: TransferKeeper?
    private let memory: Memory
    private var file: NodeFile { reaper.file }

    /// How long a predecessor's keeper is waited for: less than a turn of a stream's may take.
    private static let keepersPatience = Duration.milliseconds(200)

    /// Where its transfers' bytes lie. Used on the ring's thread only.
    private final class Memory: @unchecked Sendable {
        var mapped: MappedBuffers?
        /// Incarnations whose keepers have not answered in time: nobody waits for them again.
        var lost: Set<UInt32> = []
        /// Transfers' bytes may lie in memory of predecessors.
        var isInherited = true
    }

    init(reaper: NodeReaper, endpoint: EndpointAddress, type: TransferType, keeper: TransferKeeper?) {
        self.reaper = reaper
        self.endpoint = endpoint
        self.type = type
        self.keeper = keeper
        memory = Memory()
    }

    deinit { if let seat = seat.withLock({ $0 }) { reaper.forget(seat.mapping) } }

    func join(_ mapping: TransferRingMapping) {
        _ = place(of: mapping)
        mapping.inherit(as: owner)
        if endpoint.direction == .in { memory.mapped = keeper?.buffers(for: mapping, of: file) }
    }

    /// What `RingRecord.place` says of this process's memory; of one without a keeper, which has none, a number that no incarnation has.
    private var owner: UInt32 { keeper?.owner ?? .max }

    private func place(of mapping: TransferRingMapping) -> NodeReaper.Seat {
        seat.withLock { seat in
            if let seat, seat.mapping === mapping { return seat }
            let place = reaper.seat(of: mapping)
            seat = place
            return place
        }
    }

    func submit(_ record: RingRecord) throws(USBError) {
        let before = record.place
        let mapped = memory.mapped?.buffer(for: record)
        record.lie(in: mapped == nil ? 0 : owner, patience: memory.lost.isEmpty ? Self.keepersPatience : .zero)
        if isPredecessors(before) { letKeepersGo(record.mapping) }
        let buffer = mapped ?? record.buffer
        let result = clinux_usbfs_submit(
            file.descriptor, record.urb, type == .isochronous ? 1 : 0, endpoint.rawValue, buffer.baseAddress,
            Int32(clamping: record.length),
            Int32(clamping: record.packetCount))
        guard result == 0 else { throw USBError(usbfs: -result, operation: "USBDEVFS_SUBMITURB(\(endpoint))") }
        record.markInFlight()
    }

    func adopt(_ record: RingRecord) { reaper.adopt(record) }

    /// An OUT transfer that was submitted comes back, by itself or because its end is asked for;
    /// one that was not is not known to the kernel.
    func decide(_ record: RingRecord, _ mapping: TransferRingMapping, patience: Duration) throws(USBError) -> RecordFate {
        if try hasCompleted(record, mapping, within: patience) { return .carried }
        let result = clinux_usbfs_discard(file.descriptor, record.urb)
        if result == 0 {
            // Ended it has by now, so it is there to be reaped.
            guard try hasCompleted(record, mapping, within: .seconds(1)) else {
                throw USBError(.fault, operation: "USBDEVFS_DISCARDURB(\(endpoint))", detail: "the transfer did not come back")
            }
            return .withdrawn
        }
        guard result == -EINVAL else { throw USBError(usbfs: -result, operation: "USBDEVFS_DISCARDURB(\(endpoint))") }
        // It may have completed just now; what has completed is reaped at once.
        return try hasCompleted(record, mapping, within: .zero) ? .carried : .neverSubmitted
    }

    private func hasCompleted(_ record: RingRecord, _ mapping: TransferRingMapping, within patience: Duration) throws(USBError) -> Bool {
        let deadline = clinux_monotonic_ns() + patience.nanoseconds
        while !record.hasCompleted {
            let now = clinux_monotonic_ns()
            let event = try wait(mapping, timeout: .nanoseconds(Int64(clamping: deadline > now ? deadline - now : 0)))
            if event == .timedOut { return record.hasCompleted }
        }
        return true
    }

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        try reaper.wait(place(of: mapping), timeout: timeout)
    }

    func buffer(of record: RingRecord) -> UnsafeMutableRawBufferPointer? {
        let place = record.place
        if place == keeper?.owner { return memory.mapped?.buffer(record.index) }
        wantAll(record.mapping)
        if record.fetch(patience: memory.lost.contains(place) ? .zero : Self.keepersPatience) {
            memory.lost.remove(place)
            return record.buffer
        }
        memory.lost.insert(place)
        return nil
    }

    private func isPredecessors(_ place: UInt32) -> Bool { place != 0 && place != owner }

    /// Nobody needs keepers any more once no transfer's bytes are a predecessor's: what theirs holds of the kernel's memory is given back.
    private func letKeepersGo(_ mapping: TransferRingMapping) {
        guard memory.isInherited else { return }
        for index in 0..<mapping.geometry.transferCount where isPredecessors(RingRecord(mapping, index: index).place) { return }
        memory.isInherited = false
        mapping.wakeKeepers()
    }

    /// What has completed is had from keepers all at once: each time one is asked takes two switches.
    private func wantAll(_ mapping: TransferRingMapping) {
        reaper.collect(place(of: mapping))
        for index in 0..<mapping.geometry.transferCount {
            let record = RingRecord(mapping, index: index)
            if record.hasCompleted, isPredecessors(record.place) { record.want() }
        }
    }

    func collect(_ mapping: TransferRingMapping) {
        let seat = place(of: mapping)
        if !seat.expectsToWait { reaper.collect(seat) }
    }

    func finish(_ mapping: TransferRingMapping) {
        memory.mapped = nil
        for index in 0..<mapping.geometry.transferCount {
            let record = RingRecord(mapping, index: index)
            if isPredecessors(record.place) { record.lie(in: 0, patience: .zero) }
        }
        letKeepersGo(mapping)
    }

    func cancelAll(_ mapping: TransferRingMapping) {
        // The newest first: otherwise the next one in the queue could still take data that belongs
        // after a gap.
        for record in mapping.recordsInFlight.reversed() { _ = clinux_usbfs_discard(file.descriptor, record.urb) }
    }
}
