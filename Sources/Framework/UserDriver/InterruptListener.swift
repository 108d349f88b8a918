// An interrupt endpoint: what the device says by itself.

import Synchronization
import Threads
public import USB

/// Reads an interrupt IN endpoint on a thread of its own, until it is stopped or the device
/// refuses.
public final class InterruptListener: Sendable {
    private struct State {
        var isStopping = false
        var queue: (any TransferQueue)?
    }

    private let context: DriverContext
    private let endpoint: EndpointAddress
    private let packetSize: Int
    private let heard: @Sendable ([UInt8]) -> Void
    private let state = Mutex(State())

    /// The interface must be claimed. If the endpoint can't be read, the device does without it,
    /// and the log says so.
    /// - Parameters:
    ///   - maxPacketSize: `wMaxPacketSize`; longer messages are cut.
    ///   - heard: called for each message, on the listener's thread.
    public init(
        _ context: DriverContext, endpoint: EndpointAddress, maxPacketSize: Int, heard: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.context = context
        self.endpoint = endpoint
        packetSize = min(max(maxPacketSize, 1), 1024)
        self.heard = heard
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "interrupt") { [self] in run() }
        } catch {
            context.supervisor.log("notice", "Interrupt endpoint \(endpoint) is not read: \(error)")
        }
    }

    public func stop() {
        let queue = state.withLock { state in
            state.isStopping = true
            return state.queue
        }
        queue?.cancelAll()
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func run() {
        do throws(USBError) {
            let queue = try context.device.transferQueue(endpoint: endpoint, type: .interrupt)
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: packetSize)))
            // From here on `stop` cancels what is in flight; before, it is seen here.
            let isWanted = state.withLock { state in
                state.queue = queue
                return !state.isStopping
            }
            if !isWanted { queue.cancelAll() }
            try listen(queue)
        } catch {
            // A device that is gone is noticed elsewhere.
            guard !isStopping, error.code != .noDevice, error.code != .connection else { return }
            context.supervisor.log("notice", "Interrupt endpoint \(endpoint) is no longer read: \(error)")
        }
    }

    private func listen(_ queue: any TransferQueue) throws(USBError) {
        var failures = 0
        while !isStopping {
            guard let transfer = try queue.next(timeout: .seconds(3600)) else { continue }
            switch transfer.status {
            case .completed:
                failures = 0
                heard(Array(transfer.buffer.bytes.prefix(max(0, min(transfer.actualLength, transfer.buffer.bytes.count)))))
            case .cancelled, .disconnected, .stall: return
            case .timedOut, .overflow, .fault:
                failures += 1
                if failures > 10 { return }
            }
            try queue.submit(transfer.recycled())
        }
    }
}
