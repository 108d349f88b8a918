// Threads that may block, kept off the cooperative pool.

import CLinux
import Glibc

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
