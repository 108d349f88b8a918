// Control transfers: awaited, with a time-out and cancellation.

import CLinux
import Threads
import USB
import USBIP

extension URBChannel {
    func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8] {
        let isIn = setup.direction == .in && setup.length > 0
        guard data.count == (isIn ? 0 : Int(setup.length)) else {
            throw USBError(.invalidArgument, operation: "control \(setup)", detail: "\(data.count) bytes to send")
        }
        let buffer = TransferBuffer(count: Int(setup.length))
        buffer.bytes.copyBytes(from: data)
        let transfer = PendingTransfer(
            buffer: buffer, length: Int(setup.length), packetLengths: [], isIn: isIn, tag: 0, condition: nil)
        let command = SubmitCommand(
            sequence: 0, deviceID: 0, endpoint: EndpointAddress(number: 0, direction: isIn ? .in : .out),
            flags: isIn ? SubmitCommand.directionIn : 0, length: Int(setup.length), setup: setup)
        let (deadline, overflow) = clinux_monotonic_ns().addingReportingOverflow(timeout.nanoseconds)

        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<TransferStatus, Never>) in
                start(transfer, command, deadline: overflow ? .max : deadline, continuation)
            }
        } onCancel: {
            giveUp(transfer)
        }
        if let error = outcome.error(operation: "control \(setup)") { throw error }
        monitor.lock()
        let count = transfer.actualLength
        monitor.unlock()
        return isIn ? Array(buffer.bytes.prefix(count)) : []
    }

    private func start(
        _ transfer: PendingTransfer, _ command: SubmitCommand, deadline: UInt64, _ continuation: CheckedContinuation<TransferStatus, Never>
    ) {
        do throws(USBError) {
            try withUnsafeTemporaryAllocation(byteCount: URBHeader.byteCount, alignment: 8) { (message) throws(USBError) in
                try submit(transfer, command: command, message: message) {
                    transfer.continuation = continuation
                    if transfer.deadline == nil {
                        transfer.deadline = deadline
                        transfer.givenUpAs = .timedOut
                    }
                    // Also where it was given up before: the reader, which was woken then, found nothing to end.
                    noteDeadline()
                }
            }
        } catch {
            continuation.resume(returning: error.code == .busy ? .fault(16) : .disconnected)  // EBUSY
            return
        }
        wakeReader()  // It waits for the nearest deadline, which may be this one.
    }
}
