// Threads that may block, kept off the cooperative pool.

import Threads

enum ClientThread {
    /// Starts `work` on a thread of its own, which nobody waits for.
    static func start(_ name: String, _ work: @escaping @Sendable () -> Void) throws(ClientError) {
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: name, work)
        } catch {
            throw .system("pthread_create", error.number)
        }
    }

    /// Runs `work` on a thread of its own; a cancelled task stops the connection that `work` enters into `cancellation`.
    static func run<R: Sendable>(
        _ name: String, _ work: @escaping @Sendable (Cancellation) throws(ClientError) -> R
    ) async throws(ClientError) -> R {
        let cancellation = Cancellation()
        let result: Result<R, ClientError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                do throws(ClientError) {
                    try start(name) { continuation.resume(returning: outcome(of: work, cancellation)) }
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }

    private static func outcome<R: Sendable>(
        of work: (Cancellation) throws(ClientError) -> R, _ cancellation: Cancellation
    ) -> Result<R, ClientError> {
        do throws(ClientError) { return .success(try work(cancellation)) } catch { return .failure(error) }
    }
}
