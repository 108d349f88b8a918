// What a function is doing: one value, with what that takes. What may come next can be read off it.

import Wire

/// A function's phase.
enum FunctionPhase {
    /// Its device is not plugged in, or no source has told of it.
    case absent(why: String?)
    /// No driver is for it.
    case unsupported(why: String)
    /// It is left to the kernel's driver.
    case kernel(why: String)
    /// A driver comes up.
    case starting(Start)
    /// A driver has it. `remark`: what there is to say of that driver.
    case running(remark: String?)
    /// A timer starts it. `want`: it is no death that is waited out, but a shortage.
    case backoff(why: String, want: DriverFunction.Want?)
    /// Nothing starts it by itself until it is plugged in again or a person asks.
    case failed(why: String)
    /// The supervisor ends, and the next one goes on with its streams.
    case handedOver
    /// Nobody knows it any more.
    case removed(why: String)

    /// A start, from the decision to the driver's word that it drives.
    struct Start {
        enum Cause {
            /// Nothing stands in its way: process and device are being made ready.
            case now
            /// The process before has to end first.
            case afterProcess
            /// The device is being reset for another of its functions, and that says when it is
            /// done.
            case afterReset
        }

        var cause: Cause
        /// The device, opened for a process that is not ready for it yet.
        var opened: OpenedDevice?
        /// This start was counted as a restart; it was none if the device turns out to be gone.
        var isCounted = false
        /// A death whose report waits for whether the device is still there.
        var undecided: CrashMaterial?
        /// What the system was short of at the start before.
        var want: DriverFunction.Want?
    }

    /// What follows the end of the process that runs.
    enum Afterwards {
        /// What the restart policy says: nobody asked it to end.
        case policy
        case startAgain
        /// A timer, or the end of a reset, starts it again.
        case startLater
        /// The same, and nothing is held of the device meanwhile.
        case startLaterAnew
        case stayDown
    }

    var afterwards: Afterwards {
        switch self {
        case .starting(let start):
            switch start.cause {
            case .now: .policy
            case .afterProcess: .startAgain
            case .afterReset: .startLaterAnew
            }
        case .running: .policy
        case .backoff: .startLater
        case .absent, .unsupported, .kernel, .failed, .handedOver, .removed: .stayDown
        }
    }

    var isPresent: Bool {
        switch self {
        case .absent, .removed: false
        case .unsupported, .kernel, .starting, .running, .backoff, .failed, .handedOver: true
        }
    }

    var start: Start? { if case .starting(let start) = self { start } else { nil } }
    var want: DriverFunction.Want? {
        switch self {
        case .starting(let start): start.want
        case .backoff(_, let want): want
        case .absent, .unsupported, .kernel, .running, .failed, .handedOver, .removed: nil
        }
    }

    /// As clients are told of it.
    var state: DeviceStatus.State {
        switch self {
        case .absent, .removed: .absent
        case .unsupported: .unsupported
        case .kernel: .kernel
        case .starting: .starting
        case .running, .handedOver: .running
        case .backoff: .backoff
        case .failed: .failed
        }
    }

    /// Why it is so, where there is more to say.
    var reason: String? {
        switch self {
        case .absent(let why): why
        case .unsupported(let why), .kernel(let why), .backoff(let why, _), .failed(let why), .removed(let why): why
        case .running(let remark): remark
        case .starting, .handedOver: nil
        }
    }
}
