// One endpoint's transfers over USB/IP.

import CLinux
import Synchronization
import Threads
import USB
import USBIP

/// Bulk, interrupt or isochronous transfers of one endpoint.
final class USBIPTransferQueue: TransferQueue, @unchecked Sendable {
    // Sendable: `transfers` is guarded by the channel's monitor; `message` is used by `submit` only, which one thread calls.
    let endpoint: EndpointAddress
    private let type: TransferType
    private let interval: Int32
    private let channel: URBChannel
    private let condition = MonitorCondition()
    private var transfers: [PendingTransfer] = []
    private let message = UnsafeMutableRawBufferPointer.allocate(
        byteCount: URBHeader.byteCount + USBIPLimit.packets * IsochronousDescriptor.byteCount, alignment: 8)

    /// - Parameter interval: in frames or microframes.
    init(channel: URBChannel, endpoint: EndpointAddress, type: TransferType, interval: Int32) {
        self.channel = channel
        self.endpoint = endpoint
        self.type = type
        self.interval = interval
        channel.watch(condition)
    }

    deinit {
        if !transfers.isEmpty { cancelAll() }
        message.deallocate()
    }

    var inFlight: Int {
        channel.monitor.lock()
        defer { channel.monitor.unlock() }
        return transfers.count
    }

    func makeBuffer(count: Int) -> TransferBuffer { TransferBuffer(count: count) }

    func submit(_ transfer: consuming IdleTransfer) throws(USBError) {
        let packets = transfer.packetLengths
        let length = transfer.length
        guard (type == .isochronous) == !packets.isEmpty, packets.count <= USBIPLimit.packets, length <= USBIPLimit.transferBytes,
            packets.isEmpty || (packets.allSatisfy { 0...length ~= $0 } && packets.reduce(0, +) == length)
        else {
            throw USBError(
                .invalidArgument, operation: "submit to \(endpoint)", detail: "\(length) bytes in \(packets.count) packets")
        }
        let isIn = endpoint.direction == .in
        let command = SubmitCommand(
            sequence: 0, deviceID: 0, endpoint: endpoint,
            flags: (isIn ? SubmitCommand.directionIn : 0) | (type == .isochronous ? SubmitCommand.isochronousAsSoonAsPossible : 0),
            length: length, packetCount: packets.count, interval: interval)
        var offset = 0
        for (index, length) in packets.enumerated() {
            IsochronousDescriptor(offset: UInt32(offset), length: UInt32(length))
                .encode(into: message, at: URBHeader.byteCount + index * IsochronousDescriptor.byteCount)
            offset += length
        }
        let pending = PendingTransfer(
            buffer: transfer.buffer, length: length, packetLengths: packets, isIn: isIn, tag: transfer.tag, condition: condition)
        let size = URBHeader.byteCount + packets.count * IsochronousDescriptor.byteCount
        try channel.submit(pending, command: command, message: UnsafeMutableRawBufferPointer(rebasing: message[..<size])) {
            transfers.append(pending)
        }
    }

    func next(timeout: Duration) throws(USBError) -> CompletedTransfer? {
        let (deadline, overflow) = clinux_monotonic_ns().addingReportingOverflow(timeout.nanoseconds)
        channel.monitor.lock()
        defer { channel.monitor.unlock() }
        while true {
            if let first = transfers.first, first.isDone {
                transfers.removeFirst()
                return CompletedTransfer(
                    buffer: first.buffer, length: first.length, status: first.status, actualLength: first.actualLength,
                    packets: first.packets, tag: first.tag, completedAt: first.completedAt, startFrame: first.startFrame)
            }
            if transfers.isEmpty, let failure = channel.failure {
                throw USBError(.noDevice, operation: "transfer of \(endpoint)", detail: failure.description)
            }
            guard overflow || clinux_monotonic_ns() < deadline else { return nil }
            condition.wait(channel.monitor, until: overflow ? .max : deadline)
        }
    }

    func cancelAll() {
        channel.monitor.lock()
        let mine = Set(transfers.lazy.filter { !$0.isDone }.map(\.sequence))
        channel.monitor.unlock()
        channel.unlink { mine.contains($0.sequence) }
    }
}
