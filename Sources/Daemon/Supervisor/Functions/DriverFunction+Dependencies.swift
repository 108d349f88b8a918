// What is around a device, and what is known of its troubles.

import Bundles
import Logging
import Wire

extension DriverFunction {
    var bundle: DriverBundle? { choice.bundle }
    var timing: SupervisorConfiguration.Timing { dependencies.configuration.timing }
    var limits: SupervisorConfiguration.Limits { dependencies.configuration.limits }
    var isAttached: Bool { isPresent }

    /// What went wrong, which counts until the opposite is seen.
    enum Trouble {
        /// A stream was refused: until one is opened.
        case refused(CallError)
        /// A driver died without progress: until frames come.
        case died(CallError)

        var fault: CallError {
            switch self {
            case .refused(let fault), .died(let fault): fault
            }
        }
    }

    /// What a device needs of the supervisor.
    struct Dependencies {
        var configuration: SupervisorConfiguration
        var sandboxes: DriverSandboxes
        var logger: Logger
        var standbys: StandbyPool
        /// Where streams go that survive the supervisor.
        var successionStore: SuccessionStore?
        var objects: ObjectKeeper
        /// Tells whoever listens what happened: event, message, and of what the device said by itself, that.
        var announce: (_ device: DriverFunction, _ event: String, _ message: String, _ saying: DeviceSaying?) -> Void
        var reportCrash: (CrashMaterial) -> Void
        /// Whether it may be taken from the kernel's driver.
        var takes: (_ function: DriverFunction) -> Bool
        /// Why no driver may run for such a device.
        var absence: (MatchSubject) -> String
        /// Between 0 and 1.
        var chance: () -> Double
    }
}
