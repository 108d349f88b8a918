// Processes that wait: one of each driver, started, with everything loaded but a device.

import Bundles
import Logging
import Spawn

/// A death costs the time until its successor has the device; a process that is there already spares its start. One serves all devices of a
/// kind.
@SupervisorActor
final class StandbyPool {
    private let settings: DriverIncarnation.Settings
    private let sandboxes: DriverSandboxes
    private let isUsed: @SupervisorActor () -> Bool
    private let logger: Logger
    /// By the path of the bundle.
    private var waiting: [String: DriverIncarnation] = [:]
    /// Processes that are not needed any more and have not ended yet.
    private var retired: [DriverIncarnation] = []
    private var isOver = false
    private var onEnd: (() -> Void)?

    /// - Parameter isUsed: whether a process is to wait; asked whenever one could.
    init(
        _ configuration: SupervisorConfiguration, sandboxes: DriverSandboxes, logger: Logger, isUsed: @escaping @SupervisorActor () -> Bool
    ) {
        self.sandboxes = sandboxes
        settings = DriverIncarnation.Settings(
            watchdog: configuration.watchdog, stopPatience: configuration.timing.stopPatience, teardown: configuration.timing.teardown,
            hangTeardown: configuration.timing.hangTeardown, talk: configuration.limits.driverTalk)
        self.isUsed = isUsed
        self.logger = logger
    }

    /// Of those that wait.
    var processIDs: [Int32] { waiting.values.map(\.processID) }

    /// A process of this driver, whose events go to `report` from now on: the one that waits, or a new one.
    func process(
        of bundle: DriverBundle, executable: SealedExecutable, report: @escaping @SupervisorActor (DriverIncarnation.Event) -> Void
    ) throws -> DriverIncarnation {
        if let standby = waiting.removeValue(forKey: bundle.path) {
            // One that has just died is told by its pidfd, later in this turn.
            if standby.executable === executable, standby.hasSaidHello, !standby.hasEnded {
                standby.report = report
                return standby
            }
            retire(standby)
        }
        return try start(bundle, executable, report: report)
    }

    private func start(
        _ bundle: DriverBundle, _ executable: SealedExecutable, report: @escaping @SupervisorActor (DriverIncarnation.Event) -> Void
    ) throws -> DriverIncarnation {
        var settings = settings
        settings.sandbox = try sandboxes.sandbox(kind: bundle.manifest.kind)
        return try DriverIncarnation(executable: executable, name: bundle.manifest.executable, settings: settings, report: report)
    }

    /// Has a process ready for when one that runs dies.
    func prepare(_ bundle: DriverBundle) {
        let path = bundle.path
        guard !isOver, waiting[path] == nil, isUsed() else { return }
        Task { @SupervisorActor [weak self] in
            do {
                let executable = try await Task.detached { try bundle.executable() }.value
                guard let self, self.waiting[path] == nil, !self.isOver else { return }
                self.waiting[path] = try self.start(bundle, executable) { [weak self] event in
                    // One that ends by itself is not replaced: the next start has to do without.
                    if case .ended = event { self?.waiting[path] = nil }
                }
            } catch {
                self?.logger.debug("no standby", metadata: ["error": "\(error)"])
            }
        }
    }

    /// No device needs that driver any more.
    func retire(_ bundle: DriverBundle) {
        if let standby = waiting.removeValue(forKey: bundle.path) { retire(standby) }
    }

    /// Ends all that wait; `then` is called when none is left.
    func end(then: @escaping @SupervisorActor () -> Void) {
        isOver = true
        let all = Array(waiting.values)
        waiting = [:]
        onEnd = then
        for standby in all { retire(standby) }
        noteEnd()
    }

    private func retire(_ process: DriverIncarnation) {
        retired.append(process)
        process.report = { [weak self, weak process] event in
            guard case .ended = event else { return }
            self?.retired.removeAll { $0 === process }
            self?.noteEnd()
        }
        process.kill("it is not needed any more")
    }

    private func noteEnd() {
        guard retired.isEmpty, let then = onEnd else { return }
        onEnd = nil
        then()
    }
}
