// The way to end what somebody waits for.

import CLinux
import FileDescriptors
import Glibc
import Synchronization

/// Ends what is being opened or watched, from any thread. Once cancelled it stays so.
public final class Cancellation: Sendable {
    private struct State {
        var isCancelled = false
        var connection: DaemonConnection?
    }
    private let state = Mutex(State())
    /// Readable once cancelled, for poll. -1 where the process has no descriptors left.
    var descriptor: Int32 { signal.number ?? -1 }
    private let signal = OwnedDescriptor(opened: clinux_eventfd())

    public init() {}

    public var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// From now on `cancel` stops this connection; at once where it was called already.
    func enter(_ connection: DaemonConnection) {
        let late = state.withLock { state in
            state.connection = connection
            return state.isCancelled
        }
        if late { connection.stop() }
    }

    public func cancel() {
        let connection = state.withLock { state in
            state.isCancelled = true
            return state.connection
        }
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
        connection?.stop()
    }
}
