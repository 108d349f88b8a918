// A device that is or was attached: its driver's life, from one incarnation to the next.

import Bundles
import CLinux
import FlightRecorder
import Logging
import Spawn
import USB
import Wire

/// One device. It stays known after it was unplugged, with those who watch it.
@SupervisorActor
final class DriverFunction {
    /// What follows the end of the process that runs.
    enum Afterwards {
        /// What the restart policy says: nobody asked it to end.
        case policy
        case startAgain
        /// A timer starts it again; what is held of the device stays.
        case startLater
        case stayDown
    }

    var id: String
    private(set) var path: String
    private(set) var source: any DeviceSource
    let dependencies: Dependencies
    private(set) var information: USBDeviceInformation
    private(set) var subject: MatchSubject
    private(set) var state: DeviceStatus.State = .absent
    /// Why it is in that state, where there is more to say.
    private(set) var reason: String?
    /// What last went wrong with it: for whoever looks for the layer that is at fault.
    var trouble: Trouble?
    var restarts = 0
    var generation: UInt32 = 0
    private(set) var facts: DriverFacts?
    private(set) var incarnation: DriverIncarnation?
    var interruption: DriverStart.Interruption?

    var streams: [String: ManagedStream] = [:]
    /// Streams that the driver was told to open and has not closed.
    var asked: Set<String> = []
    let givenUp: GivenUpMemory
    var tickets: [CallTicket] = []
    var nextCall: UInt64 = 1
    var abandoned = AbandonedCalls()
    /// What the driver shows of the device, passed on unread.
    var shown: JSONValue?
    /// Its streams, as a driver has last told them.
    private(set) var knownStreams: [String] = []

    var afterwards = Afterwards.policy
    private var policy: RestartPolicy
    var choice: DriverChoice
    var record = RecoveryRecord()
    var isPresent = false
    private(set) var isRemoved = false
    /// Changes with every start, so that what was begun for an earlier one is told apart.
    var attempt = 0
    private var opened: OpenedDevice?
    var succession = Succession()
    /// What goes on when the driver ends, and the memory of the transfers that do.
    var hold: DeviceHold?
    var carried: [String: CarriedRing] = [:]
    var conversations: [String: KeptConversation] = [:]
    /// What its drivers note their transfers in.
    var recorder: RecorderMemory?
    /// A driver has taken up what is held: there is something to take over.
    var isHoldDriven = false
    private var ladder = RecoveryLadder()
    /// What the next start begins with.
    var step = RecoveryStep.openAnew
    /// The source has given the device out and not been told that it is free again.
    var isHeld = false
    /// A death whose report waits for whether the device is still there.
    private var undecided: CrashMaterial?
    /// The restart that is under way was counted; it was none if the device turns out to be gone.
    private var isCounted = false
    /// When the running driver was given the device: nanoseconds of CLOCK_MONOTONIC.
    private(set) var drivenSince: UInt64?
    let restartTimer = ReactorTimer()
    /// What the system is short of, while a start waits for that.
    var want: Want?
    let news: DeviceNews
    var onEnd: [() -> Void] = []

    init(id: String, information: USBDeviceInformation, source: any DeviceSource, bundle: DriverBundle?, dependencies: Dependencies) {
        self.id = id
        path = information.path
        self.information = information
        subject = MatchSubject(information)
        self.source = source
        choice = DriverChoice(bundle)
        self.dependencies = dependencies
        policy = RestartPolicy(dependencies.configuration.restarts)
        news = DeviceNews(dependencies.configuration.limits)
        givenUp = GivenUpMemory(patience: dependencies.configuration.timing.ringPatience)
    }

    var logger: Logger {
        var logger = dependencies.logger
        logger[metadataKey: "device"] = "\(id)"
        return logger
    }
    var bundle: DriverBundle? { choice.bundle }
    var timing: SupervisorConfiguration.Timing { dependencies.configuration.timing }
    var limits: SupervisorConfiguration.Limits { dependencies.configuration.limits }
    var isAttached: Bool { isPresent }

    func announce(_ event: String, _ message: String) { dependencies.announce(self, event, message) }

    func enter(_ state: DeviceStatus.State, _ reason: String? = nil) {
        self.state = state
        self.reason = reason
    }

    // MARK: Coming and going

    /// It is plugged in somewhere else than before.
    func move(to source: any DeviceSource, bundle: DriverBundle?) {
        precondition(!isPresent, "a device moves while it is absent")
        self.source = source
        adopt(bundle)
    }

    func arrived(_ information: USBDeviceInformation) {
        path = information.path
        self.information = information
        subject = MatchSubject(information)
        isPresent = true
        trouble = nil
        forgetDeaths()
        guard let bundle else {
            enter(.unsupported, dependencies.absence(subject))
            announce("unsupported", "\(name) is here. \(reason ?? "")")
            return
        }
        announce("attached", "\(name) is here; \(bundle.manifest.id) drives it.")
        startWhenFree()
    }

    func left(_ why: String = "It was unplugged.") {
        guard isPresent else { return }
        isPresent = false
        attempt += 1
        restartTimer.lift()
        if bundle != nil { interruption = .deviceAbsent }
        enter(.absent, why)
        announce("absent", "\(name) is gone. \(why)")
        afterwards = .stayDown
        // It can't do anything any more: no need to wait long.
        incarnation?.stop(patience: min(timing.stopPatience, .milliseconds(500)))
        releaseDevice()
        deviceBecameAbsent(why)
    }

    /// Ends the driver for good. `then` is called when no process is left.
    func remove(_ why: String, then: @escaping @SupervisorActor () -> Void) {
        isRemoved = true
        isPresent = false
        attempt += 1
        restartTimer.lift()
        afterwards = .stayDown
        endAll(why)
        enter(.absent, why)
        onEnd.append(then)
        // A driver that still runs tells the device to stop.
        if let incarnation { incarnation.stop() } else { releaseDevice() }
        noteEnd()
    }

    func forgetDeaths() {
        policy.reset()
        ladder.reset()
        step = .openAnew
    }

    /// Tells whoever waits for it that no process is left.
    func noteEnd() {
        guard incarnation == nil else { return }
        let waiting = onEnd
        onEnd = []
        for work in waiting { work() }
    }

    // MARK: Starting

    /// Starts now, or once the process that is being ended has ended.
    func startWhenFree() {
        if incarnation == nil {
            start()
        } else {
            enter(.starting)
            afterwards = .startAgain
        }
    }

    private func start() {
        guard let bundle, isPresent, !isRemoved, incarnation == nil else { return }
        restartTimer.lift()
        enter(.starting)
        afterwards = .policy
        facts = nil
        attempt += 1
        var grant = bundle.manifest.grant(for: subject)
        grant.resets = step.resetsDevice
        openDevice(grant)
        let attempt = attempt
        Task { @SupervisorActor [weak self] in
            do {
                // Reading the executable may wait for a disk.
                let executable = try await Task.detached { try bundle.executable() }.value
                guard let self, attempt == self.attempt else { return }
                try self.spawn(executable, bundle)
            } catch {
                guard let self, attempt == self.attempt else { return }
                if let shortage = Shortage(error) { return self.waitOut(shortage) }
                self.logger.error("the driver can't be started", metadata: ["error": "\(error)"])
                self.attempt += 1
                self.releaseDevice()
                self.decide(progress: false, lifetime: .zero, cause: "can't be started: \(error)", material: nil)
            }
        }
    }

    /// The device is opened while the process comes up.
    private func openDevice(_ grant: DeviceGrant) {
        let (attempt, source, information) = (attempt, source, information)
        let kept = step.takesOver && hold?.isUsable == true ? hold : nil
        if kept == nil { dropHold() }
        let wasHeld = isHeld
        isHeld = false
        let leaving = succession.leaving
        Task { @SupervisorActor [weak self] in
            await leaving?.value
            do throws(DeviceOpenFailure) {
                let device: OpenedDevice
                if let kept {
                    device = try await source.reopen(information, grant, held: kept)
                } else {
                    if wasHeld { await source.released(information) }
                    device = try await source.open(information, grant)
                }
                guard let self, attempt == self.attempt else {
                    // What was kept is the next attempt's by now, unless it was let go.
                    if kept == nil || self?.hold !== kept {
                        device.hold?.end()
                        await source.released(information)
                    }
                    return
                }
                self.isHeld = true
                self.hold = device.hold
                self.opened = device
                self.giveDevice()
            } catch {
                guard let self, attempt == self.attempt else { return }
                if case .shortage = error { return self.openFailed(error, attempt) }
                if kept != nil {
                    // What was kept is of no use any more: the next best is to begin anew.
                    self.step = .openAnew
                    self.isHeld = true
                    self.openDevice(grant)
                } else {
                    self.openFailed(error, attempt)
                }
            }
        }
    }

    private func spawn(_ executable: SealedExecutable, _ bundle: DriverBundle) throws {
        incarnation = try dependencies.standbys.process(of: bundle, executable: executable) { [weak self] event in self?.handle(event) }
        generation &+= 1
        if interruption == .driverRestarted {
            restarts += 1
            isCounted = true
        }
        logger.debug("driver process", metadata: ["pid": "\(incarnation?.processID ?? 0)", "generation": "\(generation)"])
        save()
        giveDevice()
    }

    private func openFailed(_ failure: DeviceOpenFailure, _ attempt: Int) {
        guard attempt == self.attempt else { return }
        self.attempt += 1
        let material = undecided
        undecided = nil
        switch failure {
        case .gone(let why):
            // What looked like the driver's death was the device's; a crash with last words is told all the same.
            if let material, material.crashPage != nil { write(material, decision: "the device is gone") }
            if isCounted { restarts -= 1 }
            isCounted = false
            left("It can't be reached: \(why).")
        case .leftToKernel(let why):
            if let material { write(material, decision: "the device is left to the kernel's driver") }
            leaveToKernel(why)
        case .shortage(let why):
            if let material { write(material, decision: "restarted once there is enough of what it takes") }
            if let incarnation {
                afterwards = .startLater
                incarnation.stop(patience: .zero)
            }
            waitOut(Shortage(why))
        case .refused(let why):
            if let material { write(material, decision: "restarted at once") }
            if let incarnation {
                afterwards = .stayDown
                incarnation.stop(patience: .zero)
            }
            decide(progress: false, lifetime: .zero, cause: "the device can't be opened: \(why)", material: nil)
        }
    }

    /// Once both the process and the device are ready.
    private func giveDevice() {
        guard let incarnation, incarnation.hasSaidHello, let device = opened else { return }
        let takesOver = step.takesOver && isHoldDriven
        guard succession.inheritedProcess == nil || takesOver && incarnation.handover else {
            return afterHandover { [weak self] in self?.giveDevice() }
        }
        opened = nil
        if let material = undecided {
            undecided = nil
            write(material, decision: "restarted at once")
        }
        isCounted = false
        var streamInterfaces: UInt32 = 0
        var descriptors = [device.descriptor]
        if case .file(let descriptor, let interfaces) = hold?.keeper {
            descriptors.append(descriptor)
            streamInterfaces = interfaces
        }
        let recorder = recorderForDriver()
        if let recorder { descriptors.append(recorder.descriptor) }
        let start: DriverStart
        do {
            start = DriverStart(
                deviceID: id, transport: device.transport, device: try JSONValue(encoding: information),
                usbipDeviceID: device.usbipDeviceID, streamInterfaces: streamInterfaces, generation: generation,
                configuration: bundle?.manifest.configuration(for: subject) ?? [:], record: step.usesRecord ? record.value : nil,
                streams: openStreams(), interruption: interruption,
                takeover: takesOver ? (step == .takeOverDropping ? .dropping : .replay) : nil, hasRecorder: recorder != nil)
        } catch {
            return failForGood("It can't be described to a driver: \(error).")
        }
        dependencies.successionStore?.watch(incarnation.processID, incarnation.pidfd)
        asked = Set(start.streams.keys)
        if takesOver { giveKeptRings(to: incarnation) }
        guard incarnation.start(start, descriptors: descriptors, isHandover: succession.inheritedProcess != nil, patience: policy.patience)
        else {
            return startDidNotFit(start, incarnation)
        }
        drivenSince = clinux_monotonic_ns()
        save()
    }

    /// The control file that no driver was given.
    func dropOpened() { opened = nil }

    func releaseDevice() {
        opened = nil
        dropHold()
        guard isHeld else { return }
        isHeld = false
        let (source, information) = (source, information)
        Task { await source.released(information) }
    }

    // MARK: What the driver says

    private func handle(_ event: DriverIncarnation.Event) {
        switch event {
        case .hello: giveDevice()
        case .ended(let exitReport): ended(exitReport)
        case .message(let message):
            switch message {
            case .started(let facts):
                afterHandover {}
                started(facts)
            case .record(let value):
                if !record.replace(value) { logger.warning("the driver's record is too large and was not kept") }
            case .openRing(let request):
                // Two that write into a ring would be one too many.
                afterHandover { [weak self, weak incarnation] in
                    guard let self, let incarnation, self.incarnation === incarnation else { return }
                    self.openRing(request)
                    self.save(after: message)
                }
            case .ringMoved(let name, let request): ringMoved(name, request)
            case .openTransfers(let request): openTransfersInTurn(request)
            case .openConversation(let request): openConversation(request)
            case .conversationClosed(let name): closeConversation(name)
            case .ringChanged(let name, let description): ringChanged(name, description)
            case .ringClosed(let name, let reason): ringClosed(name, reason)
            case .heartbeat(let statistics): note(statistics)
            case .reply(let reply): answered(reply)
            case .openMemory(let request): openMemory(request)
            case .event(let name, let parameters): driverEvent(name, parameters)
            case .log(let level, let text): driverLine(level, text)
            case .object(let word): objectWord(word)
            case .hello, .failed, .unresponsive: break
            }
            save(after: message)
        }
    }

    private func started(_ facts: DriverFacts) {
        self.facts = facts
        knownStreams = Array(facts.streams.prefix(limits.streamsPerDevice))
        isHoldDriven = true
        want = nil
        // Asked to restart or unplugged meanwhile: that goes on.
        guard isPresent, case .policy = afterwards else { return }
        enter(.running, choice.remark)
        announce("running", restarts == 0 ? "\(name) is driven." : "\(name) is driven again, by process \(incarnation?.processID ?? 0).")
        driverIsReady()
        if let bundle { dependencies.standbys.prepare(bundle) }
    }

    // MARK: Its end

    /// The process is the next supervisor's.
    func abandonIncarnation() { incarnation = nil }

    private func ended(_ exitReport: DriverIncarnation.ExitReport) {
        guard let dead = incarnation else { return }
        incarnation = nil
        if dead.wasGivenDevice { dependencies.successionStore?.forget(dead.processID) }
        drivenSince = nil
        attempt += 1
        let what = afterwards
        opened = nil
        driverIsGone()
        switch what {
        case .stayDown:
            releaseDevice()
            noteEnd()
        case .startLater: noteEnd()
        case .startAgain:
            step = hold == nil ? .openAnew : .takeOver
            if interruption != .deviceAbsent, dead.wasGivenDevice { interruption = .driverRestarted }
            start()
        case .policy where exitReport.shortage != nil:
            interruption = .driverRestarted
            step = hold == nil ? .openAnew : .takeOver
            waitOut(Shortage(exitReport.shortage ?? ""))
        case .policy:
            if record.driverDied(given: dead.hasRecord && !step.takesOver && !exitReport.isUnresponsive, progress: exitReport.madeProgress) {
                logger.warning("the recovery record is dropped: two drivers died on it")
            }
            interruption = .driverRestarted
            // A driver that gave up by itself could do nothing with the device as it is; one that never had it has changed nothing about it.
            if dead.wasGivenDevice {
                let canTakeOver = hold != nil && exitReport.reason == nil
                step = ladder.died(
                    progress: exitReport.madeProgress, hasHandled: exitReport.hasHandled, canTakeOver: canTakeOver, isUnresponsive: exitReport.isUnresponsive)
            }
            decide(progress: exitReport.madeProgress, lifetime: exitReport.lifetime, cause: exitReport.cause, material: material(exitReport, dead))
        }
    }

    private func decide(progress: Bool, lifetime: Duration, cause: String, material: CrashMaterial?) {
        if let earlier = undecided {
            undecided = nil
            write(earlier, decision: "restarted at once")
        }
        if !progress { trouble = .died(cause) }
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
            undecided = material
            startWhenFree()
        case .restart(let delay):
            releaseDevice()
            enter(.backoff, "\(cause). Next start in \(delay.text).")
            announce("backoff", "\(name): \(said). It is restarted in \(delay.text).")
            if let material { write(material, decision: "restart in \(delay.text)") }
            tellViewers(.notice("The driver has died (\(cause)); it is restarted in \(delay.text)."))
            restartTimer.set(after: delay) { [weak self] in self?.startWhenFree() }
        case .giveUp(let deaths):
            let why =
                "\(cause). The driver died \(deaths) times in a row without a frame; it is started again on replug or `userdriver restart`."
            releaseDevice()
            enter(.failed, why)
            announce("failed", "\(name): \(why)")
            if let material { write(material, decision: "circuit opened") }
            deviceHasFailed(why)
        }
    }
}
