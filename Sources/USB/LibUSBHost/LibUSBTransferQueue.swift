// Transfers of one endpoint in flight through libusb.
import CLibUSB
import CLinux
import Threads
import USB
import USBFS

final class LibUSBTransferQueue: TransferQueue, @unchecked Sendable {
    // Sendable: the spare records are touched by the one thread that uses the queue; everything else guards itself.
    let endpoint: EndpointAddress
    private let type: TransferType
    /// Not let go before the queue is: its transfers need the device open.
    private let device: LibUSBDevice
    private let connection: DeviceConnection
    private let line: CompletionLine<TransferRecord>
    private var spares: [TransferRecord] = []

    init(endpoint: EndpointAddress, type: TransferType, device: LibUSBDevice, connection: DeviceConnection) throws(USBError) {
        let line = CompletionLine<TransferRecord>()
        try connection.add(line, for: endpoint)
        self.endpoint = endpoint
        self.type = type
        self.device = device
        self.connection = connection
        self.line = line
    }

    deinit {
        connection.cancelAll(endpoint: endpoint)
        line.waitForAll()
        connection.removeLine(for: endpoint)
    }

    var inFlight: Int { line.count }

    func makeBuffer(count: Int) -> TransferBuffer {
        connection.deviceMemory(count: count) ?? TransferBuffer(count: count)
    }

    func submit(_ transfer: consuming IdleTransfer) throws(USBError) {
        let buffer = transfer.buffer
        let length = transfer.length
        let packetLengths = transfer.packetLengths
        let isIsochronous = type == .isochronous
        guard packetLengths.isEmpty != isIsochronous, length >= 0, length <= buffer.bytes.count, length <= Int(Int32.max),
            !isIsochronous || packetLengths.allSatisfy({ $0 >= 0 && $0 <= length }) && packetLengths.reduce(0, +) == length
        else {
            throw USBError(
                .invalidArgument, operation: "submit(\(endpoint))",
                detail: isIsochronous ? "the packets' lengths must sum up to the transfer's" : "packets are for isochronous transfers")
        }
        let record = try spareRecord(packets: packetLengths.count)
        record.prepare(
            endpoint: endpoint.rawValue, type: type, buffer: buffer, length: length, packetLengths: packetLengths, tag: transfer.tag)
        // In the line before it is in flight: it may be done at once.
        line.append(record)
        do throws(USBError) {
            try connection.submit(record, operation: "libusb_submit_transfer(\(endpoint), \(length) bytes)")
        } catch {
            line.removeLast(record)
            throw error
        }
    }

    func next(timeout: Duration) throws(USBError) -> CompletedTransfer? {
        let deadline = clinux_monotonic_ns() + timeout.nanoseconds
        switch line.next(until: deadline, isOver: { connection.hasEnded }) {
        case .nothing: return nil
        case .over: throw USBError(.noDevice, operation: "next(\(endpoint))")
        case .completed(let record):
            let completed = CompletedTransfer(
                buffer: record.takeBuffer(), length: record.length, status: record.status, actualLength: record.actualLength,
                packets: record.takePackets(), tag: record.tag, completedAt: record.completedAt)
            spares.append(record)
            return completed
        }
    }

    func cancelAll() { connection.cancelAll(endpoint: endpoint) }

    private func spareRecord(packets: Int) throws(USBError) -> TransferRecord {
        // As many records as were ever in flight at once, at most; one that is too small for this use is let go.
        if let record = spares.popLast(), record.packetCapacity >= packets { return record }
        let record = try TransferRecord(packetCapacity: packets)
        record.completion = { [line] in line.finish($0) }
        return record
    }
}
