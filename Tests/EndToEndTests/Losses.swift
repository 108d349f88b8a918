// What a machine that is too busy loses before a program could have it.

import CLinux
import Synchronization
import UserDriverClient
import Wire

extension Bench {
    private final class Shared<Value: Sendable>: Sendable {
        let value: Mutex<Value>
        init(_ value: Value) { self.value = Mutex(value) }
    }

    /// How many frames the ring itself lacked while `body` ran, or had damaged.
    func losses<T>(in form: CameraRequest, while body: () async throws -> T) async throws -> (result: T, lost: UInt64) {
        let end = Shared(UInt64.max)
        let counting = Task { [client] in
            var lost: UInt64 = 0
            for try await event in client.camera().frames(form) {
                switch event {
                case .gap(_, let count, _): lost += count
                case .frame(let frame):
                    if frame.isDamaged { lost += 1 }
                    if frame.published > end.value.withLock({ $0 }) { return lost }
                default: break
                }
            }
            return lost
        }
        defer { counting.cancel() }
        try await waitForDevice { $0.streams.contains { $0.frames > 0 } }
        let result = try await body()
        end.value.withLock { $0 = clinux_monotonic_ns() }
        return (result, try await counting.value)
    }
}
