// What is around a device.

import Bundles
import Logging

extension ManagedDevice {
    /// What a device needs of the supervisor.
    struct Surroundings {
        var configuration: SupervisorConfiguration
        var sandboxes: DriverSandboxes
        var logger: Logger
        var standbys: StandbyPool
        /// Tells whoever listens what happened: event, message.
        var announce: (_ device: ManagedDevice, _ event: String, _ message: String) -> Void
        var reportCrash: (CrashMaterial) -> Void
        /// Why no driver may run for such a device.
        var absence: (MatchSubject) -> String
        /// Between 0 and 1.
        var chance: () -> Double
    }
}
