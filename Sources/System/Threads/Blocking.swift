// What blocks in the kernel, kept off Swift's cooperative pool.

/// Runs `work`, which may block for seconds, on a thread of its own: the pool has no more threads than there are processors, and blocking
/// one keeps everything waiting. If the system has no thread to give, it runs on the caller's.
public func blocking<Value: Sendable, Failure: Error>(
    _ name: String, _ work: @escaping @Sendable () throws(Failure) -> Value
) async throws(Failure) -> Value {
    let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
        let run: @Sendable () -> Void = {
            do throws(Failure) {
                continuation.resume(returning: .success(try work()))
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: name, run)
        } catch {
            run()
        }
    }
    return try result.get()
}
