// One function of a device that is or was attached: its driver's life, from one incarnation to the
// next.

import Bundles
import CLinux
import FlightRecorder
import Logging
import Spawn
import USB
import Wire

/// One function. It stays known after its device was unplugged, with those who watch it.
@SupervisorActor
final class DriverFunction {
    let device: Device
    let dependencies: Dependencies
    private(set) var function: USBFunction
    private(set) var subject: MatchSubject
    private(set) var phase = FunctionPhase.absent(why: nil)
    /// What last went wrong with it: for whoever looks for the layer that is at fault.
    var trouble: Trouble?
    var restarts = 0
    var generation: UInt32 = 0
    private(set) var facts: DriverFacts?
    var incarnation: DriverIncarnation?
    var interruption: DriverStart.Interruption?

    var streams: [String: ManagedStream] = [:]
    /// Programs that may not watch any more.
    var revoked: Set<ProcessIdentity> = []
    /// Streams that the driver was told to open and has not closed.
    var asked: Set<String> = []
    let givenUp: GivenUpMemory
    var tickets: [CallTicket] = []
    var nextCall: UInt64 = 1
    var abandoned = AbandonedCalls()
    /// Calls that the driver's process has answered with a result.
    var answers = 0
    /// What the driver shows of the device, passed on unread; its streams, as a driver has last
    /// told them.
    var shown: JSONValue?
    private(set) var knownStreams: [String] = []

    var policy: RestartPolicy
    var choice: DriverChoice
    var record = RecoveryRecord()
    /// Changes with every start, so that what was begun for an earlier one is told apart.
    var attempt = 0
    var succession = Succession()
    /// What goes on when the driver ends, and the memory of the transfers that do.
    var hold: DeviceHold?
    var carried: [String: CarriedRing] = [:]
    var conversations: [String: KeptConversation] = [:]
    /// What its drivers note their transfers in.
    var recorder: RecorderMemory?
    /// A driver has taken up what is held: there is something to take over.
    var isHoldDriven = false
    var ladder = RecoveryLadder()
    /// What the next start begins with.
    var step = RecoveryStep.openAnew
    /// The source has given the device out and not been told that it is free again.
    var isHeld = false
    let restartTimer = ReactorTimer()
    let news: DeviceNews
    var onEnd: [() -> Void] = []

    /// Without a match it stands for a device that no driver is for.
    init(device: Device, match: FunctionMatch?, dependencies: Dependencies) {
        self.device = device
        function = match?.function ?? USBFunction(wholeOf: device.information)
        subject = match?.subject ?? MatchSubject(device.information)
        choice = DriverChoice(match?.bundle)
        self.dependencies = dependencies
        policy = RestartPolicy(dependencies.configuration.restarts)
        news = DeviceNews(dependencies.configuration.limits)
        givenUp = GivenUpMemory(patience: dependencies.configuration.timing.ringPatience)
    }

    var id: String { device.id(of: self) }
    var path: String { device.path }
    var source: any DeviceSource { device.source }
    var information: USBDeviceInformation { device.information }

    var logger: Logger {
        var logger = dependencies.logger
        logger[metadataKey: "device"] = "\(id)"
        return logger
    }
    var state: DeviceStatus.State { phase.state }
    var reason: String? { phase.reason }
    var isPresent: Bool { phase.isPresent }
    /// When the running driver was given the device: nanoseconds of CLOCK_MONOTONIC.
    var drivenSince: UInt64? { incarnation?.givenDeviceAt }

    func announce(_ event: String, _ message: String) { dependencies.announce(self, event, message, nil) }

    /// The next phase. A report that waited for the device's fate is written, as whatever comes
    /// next is not the device's absence.
    func enter(_ next: FunctionPhase) {
        let waiting = phase.start?.undecided
        phase = next
        if let waiting, next.start?.undecided == nil { write(waiting, decision: "restarted at once") }
    }

    /// A start that goes on from what the phase before it had.
    private func enterStart(_ cause: FunctionPhase.Start.Cause, undecided: CrashMaterial? = nil) {
        enter(.starting(FunctionPhase.Start(cause: cause, undecided: undecided ?? phase.start?.undecided, want: phase.want)))
    }

    @discardableResult
    func changeStart<Result>(_ change: (inout FunctionPhase.Start) -> Result) -> Result? {
        guard case .starting(var start) = phase else { return nil }
        defer { phase = .starting(start) }
        return change(&start)
    }

    /// The start that is under way turns out to be none: the device has gone. What looked like the
    /// driver's death was the device's; a crash with last words is told all the same.
    func startWasVoid() {
        let (undecided, wasCounted) =
            changeStart { start in
                defer { (start.undecided, start.isCounted) = (nil, false) }
                return (start.undecided, start.isCounted)
            } ?? (nil, false)
        if let undecided, undecided.crashPage != nil { write(undecided, decision: "the device is gone") }
        if wasCounted { restarts -= 1 }
    }

    // MARK: Coming and going

    /// The device is back, or is described anew: which interfaces the function has now, and its
    /// driver.
    func meet(_ match: FunctionMatch?) {
        describe(match)
        adopt(match?.bundle)
    }

    private func describe(_ match: FunctionMatch?) {
        function = match?.function ?? USBFunction(wholeOf: information)
        subject = match?.subject ?? MatchSubject(information)
    }

    func arrived() {
        trouble = nil
        forgetDeaths()
        guard let bundle else {
            enter(.unsupported(why: dependencies.absence(subject)))
            announce("unsupported", "\(name) is here. \(reason ?? "")")
            return
        }
        announce("attached", "\(name) is here; \(bundle.manifest.id) drives it.")
        startWhenFree()
    }

    func left(_ why: String = "It was unplugged.") {
        guard isPresent else { return }
        attempt += 1
        restartTimer.lift()
        startWasVoid()
        if bundle != nil { interruption = .deviceAbsent }
        enter(.absent(why: why))
        announce("absent", "\(name) is gone. \(why)")
        // It can't do anything any more: no need to wait long.
        incarnation?.stop(patience: min(timing.stopPatience, .milliseconds(500)))
        releaseDevice()
        deviceBecameAbsent(why)
    }

    /// Ends the driver for good. `then` is called when no process is left.
    func remove(_ why: String, then: @escaping @SupervisorActor () -> Void) {
        attempt += 1
        restartTimer.lift()
        endAll(why)
        enter(.removed(why: why))
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
    func startWhenFree(undecided: CrashMaterial? = nil) {
        if incarnation == nil {
            start(undecided: undecided)
        } else {
            enterStart(.afterProcess, undecided: undecided)
        }
    }

    func start(undecided: CrashMaterial? = nil) {
        if case .removed = phase { return }
        guard let bundle, incarnation == nil else { return }
        restartTimer.lift()
        enterStart(.now, undecided: undecided)
        facts = nil
        attempt += 1
        var grant = bundle.manifest.grant(for: subject, function: function)
        grant.resets = step.resetsDevice
        grant.mayTake = dependencies.takes(self)
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
                self.decide(
                    progress: false, lifetime: .zero, fault: CallError("DriverDied", "can't be started: \(error)", layer: "process"),
                    material: nil)
            }
        }
    }

    /// The device is opened while the process comes up.
    private func openDevice(_ grant: DeviceGrant) {
        let (attempt, source, information, function) = (attempt, source, information, function)
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
                    if wasHeld { await source.released(information, function: function) }
                    if grant.resets { await self?.device.prepareReset(for: self) }
                    defer { if grant.resets { self?.device.resetHasEnded() } }
                    device = try await source.open(information, grant)
                }
                guard let self, attempt == self.attempt else {
                    // What was kept is the next attempt's by now, unless it was let go.
                    if kept == nil || self?.hold !== kept {
                        device.hold?.end()
                        await source.released(information, function: function)
                    }
                    return
                }
                self.isHeld = true
                self.hold = device.hold
                if self.phase.start?.cause == .now { self.changeStart { $0.opened = device } }
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
        answers = 0
        if interruption == .driverRestarted {
            restarts += 1
            changeStart { $0.isCounted = true }
        }
        logger.debug("driver process", metadata: ["pid": "\(incarnation?.processID ?? 0)", "generation": "\(generation)"])
        save()
        giveDevice()
    }

    /// Once both the process and the device are ready.
    private func giveDevice() {
        guard let incarnation, incarnation.hasSaidHello, let device = phase.start?.opened else { return }
        let takesOver = step.takesOver && isHoldDriven
        guard succession.inheritedProcess == nil || takesOver && incarnation.handover else {
            return afterHandover { [weak self] in self?.giveDevice() }
        }
        let undecided = changeStart { start in
            defer { (start.opened, start.undecided, start.isCounted) = (nil, nil, false) }
            return start.undecided
        }
        if let undecided = undecided ?? nil { write(undecided, decision: "restarted at once") }
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
                deviceID: id, transport: device.transport, device: try JSONValue(encoding: information.restricted(to: function)),
                usbipDeviceID: device.usbipDeviceID, streamInterfaces: streamInterfaces, generation: generation,
                configuration: bundle?.manifest.configuration(for: subject) ?? [:], record: step.usesRecord ? record.value : nil,
                streams: openStreams(), interruption: interruption,
                takeover: takesOver ? (step == .takeOverDropping ? .dropping : .replay) : nil, hasRecorder: recorder != nil,
                mapsTransfers: device.transport == .usbfs && dependencies.configuration.mapsTransfers)
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
        save()
    }

    func releaseDevice() {
        changeStart { $0.opened = nil }
        dropHold()
        guard isHeld else { return }
        isHeld = false
        let (source, information, function) = (source, information, function)
        Task { await source.released(information, function: function) }
    }

    // MARK: What the driver says

    func handle(_ event: DriverIncarnation.Event) {
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
            case .openRing(let request): openRingInTurn(request)
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
        // Asked to restart or unplugged meanwhile: that goes on.
        guard phase.start?.cause == .now else { return }
        enter(.running(remark: choice.remark))
        announce("running", restarts == 0 ? "\(name) is driven." : "\(name) is driven again, by process \(incarnation?.processID ?? 0).")
        driverIsReady()
        if let bundle { dependencies.standbys.prepare(bundle) }
    }
}
