// The supervisor as a service: started, told to stop by a signal, stopped in order.

import Logging
import ServiceLifecycle
import Supervisor

struct Daemon: Service {
    let supervisor: Supervisor

    func run() async throws {
        try await supervisor.start()
        do {
            try await gracefulShutdown()
        } catch {
            // Cancelled instead of asked: it is stopped all the same.
        }
        await supervisor.stop()
    }
}
