// The supervisor as a service: started, told to stop by a signal, stopped in order.

import Logging
import Supervisor
import UnixSignals

struct Daemon {
    let supervisor: Supervisor
    let manager: ServiceManager
    let logger: Logger

    func run() async throws {
        // Held before the supervisor has anything that a signal must not cut off.
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await supervisor.start()
        if let problem = manager.notifier?.send("READY=1") {
            logger.warning("the service manager can't be notified", metadata: ["error": "\(problem)"])
        }
        let reports = Task { await manager.report(supervisor) }
        for await signal in signals {
            logger.info("stopping", metadata: ["signal": "\(signal)"])
            break
        }
        manager.notifier?.send("STOPPING=1")
        await supervisor.stop()
        reports.cancel()
        // Until here a second signal is held, too, and does not end it half-way.
        withExtendedLifetime(signals) {}
    }
}
