// What an interrupt or bulk IN endpoint sends, as a sequence.

import Synchronization
import Threads
public import USB

extension DriverContext {
    /// What an IN endpoint of a claimed interface sends: one element for each transfer, in order,
    /// from now on. For reports of sensors and buttons; video and other endpoints whose transfers
    /// are to survive this process go through `SupervisorLink.openTransfers`.
    ///
    /// Each report counts as progress of the driver. A reader that is too slow loses the oldest of
    /// 256 waiting reports. The sequence throws `USBError` when the endpoint stalls, fails ten
    /// times in a row or the device is gone, and stops asking when it is released.
    /// - Parameters:
    ///   - type: `.interrupt` or `.bulk`.
    ///   - length: bytes of the largest transfer: `wMaxPacketSize` or a multiple of it.
    public func reports(
        from endpoint: EndpointAddress, type: TransferType = .interrupt, length: Int
    ) -> AsyncThrowingStream<[UInt8], any Error> {
        let activity = progress.activity("reports", unit: "reports")
        return AsyncThrowingStream(bufferingPolicy: .bufferingNewest(256)) { [device] continuation in
            let reading = Reading()
            continuation.onTermination = { _ in reading.stop() }
            do {
                _ = try WorkerThread(name: "reports") {
                    do throws(USBError) {
                        let queue = try device.transferQueue(endpoint: endpoint, type: type)
                        reading.begin(queue)
                        // Two, so that one is in flight while the other is looked at.
                        for _ in 0..<2 { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: min(max(length, 1), 1 << 20)))) }
                        try reading.run(queue) { bytes in
                            activity.advance()
                            continuation.yield(bytes)
                        }
                        continuation.finish()
                    } catch {
                        continuation.finish(throwing: error)
                    }
                }
            } catch {
                continuation.finish(throwing: error)
            }
        }
    }
}

/// One such sequence, until nobody wants it any more.
private final class Reading: Sendable {
    private let state = Mutex<(isStopped: Bool, queue: (any TransferQueue)?)>((false, nil))

    var isStopped: Bool { state.withLock { $0.isStopped } }

    func begin(_ queue: any TransferQueue) {
        let isStopped = state.withLock { state in
            state.queue = queue
            return state.isStopped
        }
        if isStopped { queue.cancelAll() }
    }

    func stop() {
        let queue = state.withLock { state in
            state.isStopped = true
            return state.queue
        }
        queue?.cancelAll()
    }

    func run(_ queue: any TransferQueue, _ report: ([UInt8]) -> Void) throws(USBError) {
        var failures = 0
        while !isStopped {
            guard let transfer = try queue.next(timeout: .seconds(3600)) else { continue }
            switch transfer.status {
            case .completed:
                failures = 0
                report(Array(transfer.buffer.bytes.prefix(max(0, transfer.actualLength))))
            case .cancelled where isStopped: return
            case .timedOut where failures < 10, .overflow where failures < 10, .fault where failures < 10: failures += 1
            case .timedOut, .overflow, .fault, .cancelled, .disconnected, .stall:
                if let error = transfer.status.error(operation: "reading \(queue.endpoint)") { throw error }
            }
            try queue.submit(transfer.recycled())
        }
    }
}
