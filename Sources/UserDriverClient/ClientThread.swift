// Threads that may block, kept off the cooperative pool.

import CLinux
import Glibc
import Synchronization

/// A detached thread.
enum ClientThread {
    private final class Body: Sendable {
        let name: String
        let work: @Sendable () -> Void
        init(name: String, work: @escaping @Sendable () -> Void) {
            self.name = name
            self.work = work
        }
    }

    /// Starts `work` on a thread of its own. A process that can't make a thread can't go on: that traps.
    static func start(_ name: String, _ work: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(name: name, work: work))
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                clinux_set_name(body.name)
                body.work()
                return nil
            }, body.toOpaque())
        precondition(result == 0, "pthread_create failed with errno \(result)")
        pthread_detach(thread)
    }

    /// Runs `work` on a thread of its own; a cancelled task stops the connection that `work` enters into `cancellation`.
    static func run<R: Sendable>(
        _ name: String, _ work: @escaping @Sendable (Cancellation) throws(ClientError) -> R
    ) async throws(ClientError) -> R {
        let cancellation = Cancellation()
        let result: Result<R, ClientError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                start(name) {
                    do throws(ClientError) {
                        continuation.resume(returning: .success(try work(cancellation)))
                    } catch {
                        continuation.resume(returning: .failure(error))
                    }
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }
}

/// What to stop when nobody waits any more. Once cancelled it stays so.
final class Cancellation: Sendable {
    private struct State {
        var isCancelled = false
        var connection: DaemonConnection?
    }
    private let state = Mutex(State())
    /// Readable once cancelled, for poll. -1 where the process has no descriptors left.
    let descriptor: Int32

    init() { descriptor = clinux_eventfd() }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// From now on `cancel` stops this connection; at once where it was called already.
    func enter(_ connection: DaemonConnection) {
        let late = state.withLock { state in
            state.connection = connection
            return state.isCancelled
        }
        if late { connection.stop() }
    }

    func cancel() {
        let connection = state.withLock { state in
            state.isCancelled = true
            return state.connection
        }
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
        connection?.stop()
    }
}
