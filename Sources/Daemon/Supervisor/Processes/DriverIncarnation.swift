// One driver process: its channel, its output, its progress, its end.

import CLinux
import FileDescriptors
import Glibc
import Sandbox
import Spawn
import Threads
import Wire

/// A driver process from its birth to its end, which is always told.
@SupervisorActor
final class DriverIncarnation {
    enum Event {
        /// It is ready to be given a device.
        case hello
        case message(MessageFromDriver)
        /// It has ended; nothing comes after this.
        case ended(ExitReport)
    }

    private enum Phase {
        case awaitingHello, ready, starting, running
        case stopping
        case killed(cause: String)
    }

    /// Longer than from one heartbeat to the next.
    private static let streamStart = Duration.seconds(2)
    private static let outputPerTurn = 16 << 10
    /// How long one that says too much is not listened to.
    private static let throttling = Duration.milliseconds(50)
    /// How long something that the system is short of is waited for before it is tried again.
    private static let shortageDelay = Duration.milliseconds(50)
    /// Calls that libraries may try in vain before the driver's own code begins.
    private static let maximumRefusals = 64

    let executable: SealedExecutable
    let processID: Int32
    /// Readable once it has ended.
    var pidfd: Int32 { child.descriptor }
    private let child: ChildProcess
    private let channel: Channel
    let progress: ProgressMemory
    /// What it prints. `nil` once it has ended.
    private var output: OwnedDescriptor?
    private let settings: Settings
    /// Whom its events are told. A standby changes hands.
    var report: (Event) -> Void
    private var born = ContinuousClock.now
    private var phase = Phase.awaitingHello
    private(set) var watchdog: Watchdog
    var meters = [ActivityMeter](repeating: ActivityMeter(), count: ProgressPage.slotCount)
    private var tail = LineTail()
    private var (fault, hang): (CallError?, Watchdog.Hang?) = (nil, nil)
    private var isUnresponsive = false
    private var shortage: String?
    private var talk: Quota
    private let (throttle, retry) = (ReactorTimer(), ReactorTimer())
    private var refusals = 0
    private var channelToken: UInt64?
    private var outputToken: UInt64?
    private var childToken: UInt64?
    private var callsToken: UInt64?
    /// The limit for starting, and then for the next heartbeat.
    private let patience = ReactorTimer()
    private let ticker = ReactorTimer()
    private var streamExpectedUntil: UInt64 = 0
    private let teardownTimer = ReactorTimer()
    /// Whether it was given a recovery record.
    private(set) var hasRecord = false
    private(set) var givenDeviceAt: UInt64?  // ns of CLOCK_MONOTONIC
    /// It may be given a device before the process before it has ended.
    private(set) var handover = false
    /// It goes on in another ring when it is told to.
    private(set) var movesRings = false
    /// How long it goes on after this supervisor, as it was told last.
    private var afterlife = Duration.zero

    var hasSaidHello: Bool { if case .awaitingHello = phase { false } else { true } }

    /// Spawns the process. `report` is called on the supervisor's thread, never before this returns.
    init(
        executable: SealedExecutable, name: String, settings: Settings, report: @escaping @SupervisorActor (Event) -> Void
    ) throws {
        let progress = try ProgressMemory()
        let pair = try Channel.pair()
        channel = Channel(pair.ours, otherEnd: .stranger)
        guard let pipe = Pipe() else { throw SystemFailure(operation: "pipe2", errno: errno) }
        let reads = pipe.reads.number
        clinux_set_nonblocking(reads, 1)
        child = try ChildProcess(
            executing: executable.descriptor,
            ChildProcess.Plan(
                arguments: [name], environment: [DriverContract.nameVariable: name],
                descriptors: [nil, pipe.writes.number, pipe.writes.number, pair.theirs.number, progress.descriptor],
                // This thread lives as long as the process, so the signal means: the supervisor is gone.
                deathSignal: SIGKILL, newSession: true, sandbox: settings.sandbox))
        output = consume pipe.reads
        self.executable = executable
        self.progress = progress
        self.settings = settings
        talk = Quota(settings.talk)
        self.report = report
        processID = child.processID
        watchdog = Watchdog(settings.watchdog)
        channelToken = Reactor.shared.watch(channel.descriptor, for: .readable) { [weak self] in self?.channelReady($0) }
        outputToken = Reactor.shared.watch(reads, for: .readable) { [weak self] in self?.outputReady($0) }
        childToken = Reactor.shared.watch(child.descriptor, for: .readable) { [weak self] _ in self?.childEnded() }
        if let calls = child.forbiddenCalls {
            callsToken = Reactor.shared.watch(calls.descriptor, for: .readable) { [weak self] in self?.callWasStopped($0) }
        }
        let limit = settings.watchdog.startLimit
        patience.set(after: limit) { [weak self] in self?.startTookTooLong(limit) }
    }

    // MARK: What it is told

    /// Gives the driver its device. False when that does not fit into a message.
    /// - Parameters:
    ///   - isHandover: what it takes over is driven by another process until it is ready.
    ///   - patience: times the limits for its start and for its first frame.
    func start(_ start: DriverStart, descriptors: [Int32], isHandover: Bool = false, patience times: Int = 1) -> Bool {
        guard case .ready = phase else { return true }
        guard send(.start(start), descriptors: descriptors) else { return false }
        guard case .ready = phase else { return true }
        phase = .starting
        givenDeviceAt = clinux_monotonic_ns()
        born = .now
        hasRecord = start.record != nil
        watchdog.patience = UInt64(clamping: times)
        let isLong = start.takeover == nil || isHandover
        let limit = isLong ? settings.watchdog.startLimit * min(times, 4) : settings.watchdog.takeoverLimit
        patience.set(after: limit) { [weak self] in self?.startTookTooLong(limit) }
        return true
    }

    /// False when the message is too large: that is for the caller to answer for. A driver that doesn't read is ended.
    @discardableResult
    func send(_ message: MessageToDriver, descriptors: [Int32] = []) -> Bool {
        switch phase {
        case .stopping, .killed: return true
        case .awaitingHello, .ready, .starting, .running: break
        }
        do throws(WireError) {
            try channel.enqueue(message, descriptors: descriptors)
            updateChannelInterest()
        } catch {
            if error.code == .oversize { return false }
            if error.code == .shortage {
                suffer("\(error)")
                return true
            }
            // A driver that has just died is told by its pidfd.
            if error.code != .disconnected { kill("\(error)", steps: settings.hangTeardown) }
        }
        return true
    }

    /// How long it goes on when this supervisor ends; zero: it ends with it. For one that has a device.
    func survive(_ afterlife: Duration) {
        switch phase {
        case .starting, .running: break
        case .awaitingHello, .ready, .stopping, .killed: return
        }
        guard afterlife != self.afterlife else { return }
        self.afterlife = afterlife
        send(.survive(seconds: UInt32(clamping: afterlife.components.seconds)))
    }

    /// Leaves it to the next supervisor: it goes on, and nothing is heard of it any more. False for one that would end with this supervisor.
    func leave() -> Bool {
        guard case .running = phase, afterlife > .zero, !channel.hasBacklog else { return false }
        forgetEverything()
        channel.shutdown()
        return true
    }

    /// Asks it to stop, and sees to it that it does.
    func stop(patience: Duration? = nil) {
        if case .stopping = phase { return }
        if case .killed = phase { return }
        send(.stop)
        phase = .stopping
        self.patience.lift()
        ticker.lift()
        teardownTimer.set(after: patience ?? settings.stopPatience) { [weak self] in self?.take(self?.settings.teardown ?? []) }
    }

    /// Ends it because of something it did or did not do. `thread`: whose doing it was, and whose backtrace is of interest.
    func kill(_ cause: String, steps: [TeardownStep] = [], thread: Int32? = nil) {
        if case .killed = phase { return }
        phase = .killed(cause: cause)
        patience.lift()
        ticker.lift()
        take(steps, thread: thread)
    }

    /// Ends it because the system is short of something.
    private func suffer(_ what: String) {
        shortage = what
        kill(what)
    }

    /// Takes the first step now and the others in their time; after the last comes SIGKILL.
    private func take(_ steps: [TeardownStep], thread: Int32? = nil) {
        signal(steps.first?.signal ?? SIGKILL, thread: thread)
        guard let step = steps.first else { return }
        teardownTimer.set(after: step.patience) { [weak self] in self?.take(Array(steps.dropFirst())) }
    }

    private func signal(_ number: Int32, thread: Int32?) {
        do throws(SpawnError) {
            if let thread { try child.kill(number, thread: thread) } else { try child.kill(number) }
        } catch {
            tail.append(line: "\(error)")
        }
    }

    // MARK: What it says

    private func updateChannelInterest() {
        guard let channelToken else { return }
        var wanted: Reactor.Readiness = throttle.isSet ? [] : .readable
        if channel.isShort {
            // Writable it is already.
            if !retry.isSet { retry.set(after: Self.shortageDelay) { [weak self] in self?.flush() } }
        } else if channel.hasBacklog {
            wanted.insert(.writable)
        }
        Reactor.shared.change(channelToken, channel.descriptor, to: wanted)
    }

    private func flush() {
        guard channelToken != nil else { return }
        do throws(WireError) {
            try channel.flush()
            updateChannelInterest()
        } catch {
            closeChannel()
        }
    }

    private func channelReady(_ readiness: Reactor.Readiness) {
        if readiness.contains(.writable) { flush() }
        if readiness.isDisjoint(with: [.hungUp, .failed]) {
            if readiness.contains(.readable) { receive(TurnBudget()) }
        } else {
            receiveAll()
        }
    }

    /// What lies in the channel, which holds some 200 KB: of a driver that says no more, or is late.
    private func receiveAll() { receive(TurnBudget(bytes: 512 << 10, time: Duration.milliseconds(100).nanoseconds), isThrottled: false) }

    /// As much as a turn's budget and the driver's quota let it say.
    private func receive(_ turn: TurnBudget, isThrottled: Bool = true) {
        var budget = turn
        while !budget.isSpent {
            guard channelToken != nil else { return }
            if isThrottled, talk.isExhausted() { return pause() }
            let before = budget.spent
            defer { if budget.spent > before { talk.spend(budget.spent - before) } }
            do throws(WireError) {
                switch try channel.receiveNow(MessageFromDriver.self, &budget) {
                case .nothing: return
                case .end:
                    closeChannel()
                    return
                // A driver has nothing to hand over, and descriptors are not taken.
                case .message(let message, _): take(message)
                }
            } catch {
                if error.code == .shortage { return pause() }
                kill("it broke the channel's contract: \(error)")
                // What came with descriptors stays in the channel, which is not looked at again.
                if [.system, .disconnected, .descriptors].contains(error.code) { closeChannel() }
                return
            }
        }
    }

    /// It is not listened to for a while: it waits, as its channel and its pipe are full.
    private func pause() {
        guard !throttle.isSet else { return }
        throttle.set(after: Self.throttling) { [weak self] in self?.updateInterest() }
        updateInterest()
    }

    private func updateInterest() {
        updateChannelInterest()
        if let outputToken, let number = output.number { Reactor.shared.change(outputToken, number, to: throttle.isSet ? [] : .readable) }
    }

    /// A process without a channel is of no use. It is mostly about to end by itself.
    private func closeChannel() {
        guard let token = channelToken else { return }
        Reactor.shared.forget(token, channel.descriptor)
        channelToken = nil
        switch phase {
        case .stopping, .killed: break
        case .awaitingHello, .ready, .starting, .running:
            patience.set(after: .milliseconds(500)) { [weak self] in self?.kill("it closed its channel") }
        }
    }

    private func take(_ message: MessageFromDriver) {
        switch (phase, message) {
        case (.killed, _): break
        case (.awaitingHello, .hello(let hello)):
            guard hello.protocolVersion == DriverHello.protocolVersion else {
                kill("it speaks version \(hello.protocolVersion) of the channel, not \(DriverHello.protocolVersion)")
                return
            }
            phase = .ready
            handover = hello.handover
            movesRings = hello.movesRings
            patience.lift()
            report(.hello)
        case (.awaitingHello, _), (_, .hello):
            kill("it broke the channel's contract: it must say hello first, and once")
        case (.starting, .started):
            phase = .running
            expectHeartbeat()
            report(.message(message))
        case (_, .started):
            if case .stopping = phase { return }
            kill("it broke the channel's contract: it started something it was not given")
        case (_, .log(let level, let text)):
            tail.append(line: "\(level.prefix(10)): \(text)")
            report(.message(message))
        case (_, .failed(let why)):
            fault = why.bounded
        case (_, .unresponsive(let why)):
            fault = why.bounded
            isUnresponsive = true
        case (.running, .heartbeat):
            measure(progress.activities, clinux_monotonic_ns())
            expectHeartbeat()
            report(.message(message))
        default: report(.message(message))
        }
    }

    private func outputReady(_ readiness: Reactor.Readiness) {
        guard readiness.isDisjoint(with: [.hungUp, .failed]) else { return readOutput(limit: Self.outputPerTurn) }
        if talk.isExhausted() { pause() } else { readOutput(limit: Self.outputPerTurn) }
    }

    private func readOutput(limit: Int) {
        guard let outputToken, let output = output.number else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        var total = 0
        while total < limit {
            let count = read(output, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN { return }
            guard count > 0 else {
                // The process has closed it; its end is told by the pidfd.
                Reactor.shared.forget(outputToken, output)
                self.outputToken = nil
                return
            }
            tail.append(buffer[..<count])
            talk.spend(count)
            total += count
        }
    }

    // MARK: Whether it hangs

    private func startTookTooLong(_ limit: Duration) {
        receiveAll()
        switch phase {
        case .awaitingHello, .starting:
            // What it waits for may not have reached it.
            if channel.isShort { suffer("its messages can't be sent: the system is short of resources") } else { hang(.notReady(limit)) }
        case .ready, .running, .stopping, .killed: break
        }
    }

    private func expectHeartbeat() {
        let limit = settings.watchdog.heartbeatLimit
        let deadline = clinux_monotonic_ns() + limit.nanoseconds
        patience.set(after: limit) { [weak self] in self?.heartbeatMissed(deadline) }
        if !ticker.isSet { tick() }
    }

    private func heartbeatMissed(_ deadline: UInt64) {
        guard case .running = phase else { return }
        // What it said may wait to be read, and a supervisor that was late itself has no one to blame.
        receiveAll()
        guard case .running = phase, !patience.isSet else { return }
        if clinux_monotonic_ns() > deadline + settings.watchdog.lateness.nanoseconds {
            expectHeartbeat()
        } else {
            hang(.noHeartbeat(settings.watchdog.heartbeatLimit))
        }
    }

    /// Looks at the counters, and goes on looking while it streams. A stream that was asked for may begin a moment later: the time until the next
    /// heartbeat, which looks again, is looked through as well.
    func watchProgress() {
        guard case .running = phase else { return }
        streamExpectedUntil = clinux_monotonic_ns() + Self.streamStart.nanoseconds
        if !ticker.isSet { tick() }
    }

    private func tick() {
        guard case .running = phase else { return }
        let activities = progress.activities
        let now = clinux_monotonic_ns()
        measure(activities, now)
        if let finding = watchdog.look(activities, now: now) {
            hang(finding.hang, name: name(of: finding))
        } else if activities.contains(where: \.isWatched) || now < streamExpectedUntil {
            ticker.set(after: settings.watchdog.tick) { [weak self] in self?.tick() }
        }
    }

    private func hang(_ hang: Watchdog.Hang, name: String = "") {
        self.hang = hang
        kill(hang.description + name, steps: settings.hangTeardown)
    }

    // MARK: What it must not do

    private func callWasStopped(_ readiness: Reactor.Readiness) {
        guard readiness.contains(.readable), let call = child.forbiddenCalls?.next() else {
            // Hung up: no process is left behind the filter.
            if !readiness.contains(.readable) { forgetCalls() }
            return
        }
        receive(TurnBudget())  // Its hello may lie in the channel already.
        if case .killed = phase { return }
        if case .awaitingHello = phase, refusals < Self.maximumRefusals {
            refusals += 1
            tail.append(line: "The sandbox refused \(call) while the driver was loading.")
            child.forbiddenCalls?.refuse(call)
            return
        }
        tail.append(line: "The sandbox stopped \(call).")
        kill("forbidden call: \(call.name)", steps: TeardownStep.stoppedCall, thread: call.thread)
    }

    private func forgetCalls() {
        if let callsToken, let calls = child.forbiddenCalls { Reactor.shared.forget(callsToken, calls.descriptor) }
        callsToken = nil
    }

    // MARK: Its end

    private func childEnded() {
        let end: ChildProcess.End
        do throws(SpawnError) {
            guard let collected = try child.collect() else { return }
            end = collected
        } catch {
            // Somebody else has collected it: it has ended, and nobody knows how.
            end = .exited(status: -1)
        }
        guard childToken != nil else { return }
        // Its last messages lie in the sockets still.
        receiveAll()
        readOutput(limit: 256 << 10)
        forgetEverything()
        tail.finish()
        report(.ended(exitReport(end)))
    }

    private func forgetEverything() {
        if let childToken { Reactor.shared.forget(childToken, child.descriptor) }
        if let channelToken { Reactor.shared.forget(channelToken, channel.descriptor) }
        if let outputToken, let number = output.number { Reactor.shared.forget(outputToken, number) }
        (childToken, channelToken, outputToken) = (nil, nil, nil)
        forgetCalls()
        output = nil
        for timer in [patience, ticker, teardownTimer, throttle, retry] { timer.lift() }
    }

    private func exitReport(_ end: ChildProcess.End) -> ExitReport {
        var cause = end.description
        var wasAsked = false
        if case .killed(let why) = phase { cause += ", by the supervisor: \(why)" }
        if case .stopping = phase { wasAsked = true }
        if let fault { cause += ": \(fault.message)" }
        let activities = progress.activities
        return ExitReport(
            end: end, cause: cause, wasAsked: wasAsked, fault: fault, hang: hang, shortage: shortage, isUnresponsive: isUnresponsive,
            crashPage: progress.crashPage, lastLines: tail.lines,
            madeProgress: activities.contains { $0.units > 0 }, hasHandled: activities.contains { $0.turns > 0 },
            lifetime: born.duration(to: .now))
    }
}
