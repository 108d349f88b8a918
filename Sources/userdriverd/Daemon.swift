// The supervisor as a service: started, told to stop by a signal, stopped in order.

import Logging
import ServiceLifecycle
import Supervisor

struct Daemon: Service {
    let supervisor: Supervisor
    let manager: ServiceManager
    let logger: Logger

    func run() async throws {
        try await supervisor.start()
        if let problem = manager.notifier?.send("READY=1") {
            logger.warning("the service manager can't be told", metadata: ["error": "\(problem)"])
        }
        let reports = Task { await manager.report(supervisor) }
        do {
            try await gracefulShutdown()
        } catch {
            // Cancelled instead of asked: it is stopped all the same.
        }
        manager.notifier?.send("STOPPING=1")
        await supervisor.stop()
        reports.cancel()
    }
}
