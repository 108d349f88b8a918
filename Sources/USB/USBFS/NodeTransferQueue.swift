// Transfers of one endpoint of the control file in flight.

import CLinux
import Threads
import USB

final class NodeTransferQueue: TransferQueue {
    let endpoint: EndpointAddress
    private let type: TransferType
    /// Not let go before the queue is: its transfers need the file open.
    private let device: USBFSDevice
    private let file: ControlFile
    private let line: CompletionLine<NodeTransfer>

    init(endpoint: EndpointAddress, type: TransferType, device: USBFSDevice, file: ControlFile) throws(USBError) {
        let line = CompletionLine<NodeTransfer>()
        try file.add(line, for: endpoint)
        self.endpoint = endpoint
        self.type = type
        self.device = device
        self.file = file
        self.line = line
    }

    deinit {
        file.cancelAll(endpoint: endpoint)
        line.waitForAll()
        file.removeLine(for: endpoint)
    }

    var inFlight: Int { line.count }

    func makeBuffer(count: Int) -> TransferBuffer { TransferBuffer(count: count) }

    func submit(_ transfer: consuming IdleTransfer) throws(USBError) {
        let length = transfer.length
        guard transfer.packetLengths.isEmpty, length >= 0, length <= Int(Int32.max) else {
            throw USBError(.invalidArgument, operation: "submit(\(endpoint))", detail: "packets are for isochronous transfers")
        }
        let record = NodeTransfer(
            endpoint: endpoint, type: type, buffer: transfer.buffer, length: length, tag: transfer.tag
        ) { [line] in line.finish($0) }
        // In the line before it is in flight: it may be done at once.
        line.append(record)
        do throws(USBError) {
            try file.submit(record, operation: "USBDEVFS_SUBMITURB(\(endpoint), \(length) bytes)")
        } catch {
            line.removeLast(record)
            throw error
        }
    }

    func next(timeout: Duration) throws(USBError) -> CompletedTransfer? {
        let deadline = clinux_monotonic_ns() + timeout.nanoseconds
        switch line.next(until: deadline, isOver: { file.hasEnded }) {
        case .nothing: return nil
        case .over: throw USBError(.noDevice, operation: "next(\(endpoint))")
        case .completed(let record):
            return CompletedTransfer(
                buffer: record.buffer, length: record.length, status: record.status, actualLength: record.actualLength, tag: record.tag,
                completedAt: record.completedAt)
        }
    }

    func cancelAll() { file.cancelAll(endpoint: endpoint) }
}
