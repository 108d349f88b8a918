// A driver's end, and a start that fails: what is decided then.

import Logging
import Wire

extension DriverFunction {
    // MARK: Its end

    /// The process is the next supervisor's.
    func abandonIncarnation() { incarnation = nil }

    func ended(_ exitReport: DriverIncarnation.ExitReport) {
        guard let dead = incarnation else { return }
        incarnation = nil
        collectKeeper(of: dead.processID)
        if dead.wasGivenDevice { dependencies.successionStore?.forget(dead.processID) }
        attempt += 1
        let what = phase.afterwards
        let progress = madeProgress(exitReport)
        changeStart { $0.opened = nil }
        driverIsGone()
        switch what {
        case .stayDown:
            releaseDevice()
            noteEnd()
        case .startLater: noteEnd()
        case .startLaterAnew:
            releaseDevice()
            noteEnd()
        case .startAgain:
            step = hold == nil ? .openAnew : .takeOver
            if interruption != .deviceAbsent, dead.wasGivenDevice { interruption = .driverRestarted }
            start()
        case .policy where exitReport.shortage != nil:
            interruption = .driverRestarted
            step = hold == nil ? .openAnew : .takeOver
            waitOut(Shortage(exitReport.shortage ?? ""))
        case .policy:
            if record.driverDied(given: dead.hasRecord && !step.takesOver && !exitReport.isUnresponsive, progress: progress) {
                logger.warning("the recovery record is dropped: two drivers died on it")
            }
            interruption = .driverRestarted
            // A driver that gave up by itself could do nothing with the device as it is; one that
            // never had it has changed nothing about it.
            if dead.wasGivenDevice {
                let canTakeOver = hold != nil && exitReport.fault == nil
                step = ladder.died(
                    progress: progress, hasHandled: exitReport.hasHandled, canTakeOver: canTakeOver,
                    isUnresponsive: exitReport.isUnresponsive, othersStream: device.streams(besides: self))
            }
            decide(
                progress: progress, lifetime: exitReport.lifetime, fault: fault(exitReport),
                material: material(exitReport, dead))
        }
    }

    /// Whether the process got anything done. A driver that only answers calls is as good as one that delivers frames; but where frames are wanted
    /// and none comes, no answer makes up for that.
    private func madeProgress(_ exitReport: DriverIncarnation.ExitReport) -> Bool {
        exitReport.madeProgress || answers > 0 && asked.isEmpty
    }

    /// How the process ended, with what is known of the layer that made it end.
    private func fault(_ exitReport: DriverIncarnation.ExitReport) -> CallError {
        var fault = exitReport.fault ?? CallError(exitReport.hang == nil ? "DriverDied" : "DriverHung", "")
        fault.message = exitReport.cause
        fault.layer = fault.layer ?? exitReport.hang?.layer ?? "process"
        return fault
    }

    func decide(progress: Bool, lifetime: Duration, fault: CallError, material: CrashMaterial?) {
        // It goes on in sentences.
        let cause = fault.message.hasSuffix(".") ? String(fault.message.dropLast()) : fault.message
        let earlier = changeStart { start in
            defer { start.undecided = nil }
            return start.undecided
        }
        if let earlier = earlier ?? nil { write(earlier, decision: "restarted at once") }
        if !progress { trouble = .died(fault) }
        if let failed = choice.died(cause, configuration: timing.probation, now: .now) {
            dependencies.standbys.retire(failed)
            let next = step
            forgetDeaths()
            step = next
            announce("fallback", "\(name): \(choice.remark ?? "")")
        }
        let said = material.map { "driver process \($0.report.pid) ended: \(cause)" } ?? cause
        switch policy.died(progress: progress, lifetime: lifetime, chance: dependencies.chance()) {
        case .restart(after: .zero):
            announce("died", "\(name): \(said). It is restarted at once.")
            startWhenFree(undecided: material)
        case .restart(let delay):
            releaseDevice()
            enter(.backoff(why: "\(cause). Next start in \(delay.text).", want: nil))
            announce("backoff", "\(name): \(said). It is restarted in \(delay.text).")
            if let material { write(material, decision: "restart in \(delay.text)") }
            tellViewers(.notice("The driver has died (\(cause)); it is restarted in \(delay.text)."))
            restartTimer.set(after: delay) { [weak self] in self?.startWhenFree() }
        case .giveUp(let deaths):
            let why =
                "\(cause). The driver died \(deaths) times in a row without making progress; replug the device or use `userdriver restart` to start it again."
            releaseDevice()
            enter(.failed(why: why))
            announce("failed", "\(name): \(why)")
            if let material { write(material, decision: "circuit opened") }
            deviceHasFailed(why)
        }
    }

    // MARK: A device that can't be opened

    func openFailed(_ failure: DeviceOpenFailure, _ attempt: Int) {
        guard attempt == self.attempt else { return }
        self.attempt += 1
        if case .gone(let why) = failure { return device.left("It can't be reached: \(why).") }
        let undecided = changeStart { start in
            defer { start.undecided = nil }
            return start.undecided
        }
        let material = undecided ?? nil
        switch failure {
        case .gone: break
        case .leftToKernel(let why):
            if let material { write(material, decision: "the device is left to the kernel's driver") }
            leaveToKernel(why)
        case .shortage(let why):
            if let material { write(material, decision: "restarted once resources are available") }
            incarnation?.stop(patience: .zero)
            waitOut(Shortage(why))
        case .unavailable(let why):
            if let material { write(material, decision: "restarted at once") }
            incarnation?.stop(patience: .zero)
            var fault = why
            fault.message = "the device can't be opened: \(why)"
            decide(progress: false, lifetime: .zero, fault: fault, material: nil)
        }
    }
}
