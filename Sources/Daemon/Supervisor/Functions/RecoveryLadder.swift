// How far down a device is taken up again after a death: a pure value.

/// What the next incarnation starts from. Further down costs more and trusts less of what was left.
enum RecoveryStep: Int, Hashable, Sendable, Comparable {
    /// The device and the transfers in flight are taken over, and the transfer that was being handled is handled again: no frame is missing.
    case takeOver
    /// The same, but that transfer is dropped: the driver may have died on it. Its frame is marked damaged.
    case takeOverDropping
    /// The device is opened anew, and the stream resumed from the recovery record: frames are missing until the device delivers again.
    case openAnew
    /// The device, which answered nothing any more, is reset besides.
    case revive
    /// The device is reset, and the record is not used.
    case reset

    var takesOver: Bool { self <= .takeOverDropping }
    var resetsDevice: Bool { self >= .revive }
    var usesRecord: Bool { self < .reset }

    static func < (a: RecoveryStep, b: RecoveryStep) -> Bool { a.rawValue < b.rawValue }
}

/// One step further down at each death in a row; progress leads back to the top.
struct RecoveryLadder: Sendable {
    private var deaths = 0
    /// A death in this row was not counted.
    private var isSpared = false
    /// Deaths in this row that were answered by less than a reset, for the sake of the device's
    /// other functions.
    private var forbearance = 0
    /// So many times something milder is tried while another function streams.
    static let mostForbearance = 2

    /// After a death. `progress`: a frame since that incarnation was started. `hasHandled`: it had
    /// a transfer of the stream in its hands. `canTakeOver`: the device was never let go.
    /// `isUnresponsive`: it answered nothing any more, which opening it anew does not fix.
    /// `othersStream`: another function of the device streams, which a reset would interrupt.
    mutating func died(
        progress: Bool, hasHandled: Bool, canTakeOver: Bool, isUnresponsive: Bool = false, othersStream: Bool = false
    ) -> RecoveryStep {
        if progress { forbearance = 0 }
        let step = nextStep(progress: progress, hasHandled: hasHandled, canTakeOver: canTakeOver, isUnresponsive: isUnresponsive)
        guard step.resetsDevice, othersStream, forbearance < Self.mostForbearance else { return step }
        forbearance += 1
        return .openAnew
    }

    private mutating func nextStep(progress: Bool, hasHandled: Bool, canTakeOver: Bool, isUnresponsive: Bool) -> RecoveryStep {
        if progress { isSpared = false }
        // Whatever it died of, it was not the transfer: there is no reason to drop that. But it may have been what it was given, so once only.
        if !progress, !hasHandled, canTakeOver, deaths == 1, !isUnresponsive, !isSpared {
            isSpared = true
            return .takeOver
        }
        deaths = progress ? 1 : min(deaths + 1, 1000)
        if isUnresponsive, deaths < 4 {
            deaths = 3
            return .revive
        }
        switch deaths {
        case 1: return canTakeOver ? .takeOver : .openAnew
        case 2: return canTakeOver ? .takeOverDropping : .openAnew
        case 3: return canTakeOver ? .openAnew : .reset
        default: return .reset
        }
    }

    /// The device was plugged in anew, or a person asked for a restart.
    mutating func reset() { (deaths, isSpared, forbearance) = (0, false, 0) }
}
