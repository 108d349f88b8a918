// A driver's process makes room for another: because somebody asks for it, or because another driver is for the device.

import Bundles
import Wire

extension DriverFunction {
    /// Ends the driver and starts it again; closes an open circuit.
    func restart() throws(CallError) {
        switch state {
        case .absent: throw CallError("DeviceUnavailable", "\(name) is not attached.")
        case .unsupported: throw CallError("NotSupported", reason ?? "No driver is installed for this device.")
        case .kernel: throw CallError("DeviceUnavailable", reason ?? Self.leftToKernel)
        case .starting, .running:
            guard incarnation != nil else { return forgetDeaths() }
            announce("restart", "\(name): the driver is restarted as asked.")
            replaceProcess("it is restarted as asked")
        case .backoff, .failed:
            // What drivers may have died of is not handed on once more.
            if state == .failed { record.drop() }
            forgetDeaths()
            announce("restart", "\(name): the driver is started again as asked.")
            startWhenFree()
        }
    }

    /// The process that runs, if one does, makes room for a new one; streams go on.
    private func replaceProcess(_ why: String) {
        forgetDeaths()
        guard let incarnation else {
            // What a start in progress had begun is void.
            attempt += 1
            releaseDevice()
            return startWhenFree()
        }
        startWhenFree()
        // Its streams go on: the next one takes them over.
        if carried.isEmpty, conversations.isEmpty { incarnation.stop() } else { incarnation.kill(why) }
    }

    // MARK: A reset for another function

    /// There is a process, or one is about to be.
    var isDriven: Bool { isPresent && (incarnation != nil || state == .starting) }

    /// The device is about to be reset: the driver ends, and what is held of the device goes.
    /// `then` is called when nothing of it is left.
    func makeWay(_ why: String, then: @escaping @SupervisorActor () -> Void) {
        attempt += 1
        restartTimer.lift()
        interruption = .driverRestarted
        step = .openAnew
        enter(.starting(FunctionPhase.Start(cause: .afterReset)))
        announce("notice", "\(name) starts over: \(why).")
        tellViewers(.notice("The driver starts over: \(why)."))
        onEnd.append(then)
        if let incarnation { incarnation.kill(why) } else { releaseDevice() }
        noteEnd()
    }

    // MARK: Another driver

    /// Another driver, or another version of it, or none, is for this device from now on. What runs is replaced as by a restart.
    func adopt(_ offered: DriverBundle?) {
        let change = choice.offer(offered, configuration: timing.probation, now: .now)
        if let old = change.old { dependencies.standbys.retire(old) }
        guard isPresent else { return }
        switch change {
        case .none: break
        case .found: arrived()
        case .replaced(let old, let new):
            announce("replaced", "\(name): \(new.title) takes over from \(old.title).")
            replaceProcess("\(new.title) takes its place")
        case .lost:
            attempt += 1
            restartTimer.lift()
            let why = dependencies.absence(subject)
            enter(.unsupported(why: why))
            announce("unsupported", "\(name) no longer has a driver. \(why)")
            endAll(why)
            // A driver that still runs tells the device to stop.
            if let incarnation { incarnation.stop() } else { releaseDevice() }
        }
    }
}
