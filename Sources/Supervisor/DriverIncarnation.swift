// One driver process: its channel, its output, its progress, its end.

import CLinux
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
        case ended(Obituary)
    }

    struct Obituary {
        var end: ChildProcess.End
        /// What ended it, in a phrase.
        var cause: String
        /// It was asked to stop, and did.
        var wasAsked: Bool
        /// The driver's own last message, where it gave up by itself.
        var reason: String?
        /// It gave up because the device answered nothing any more.
        var isMute: Bool
        var lastWords: LastWords?
        var lastLines: [String]
        /// A frame since it was started.
        var madeProgress: Bool
        /// Its stream's thread has taken a transfer.
        var hasHandled: Bool
        var lifetime: Duration
    }

    private enum Phase {
        case awaitingHello, ready, starting, running
        case stopping
        case killed(cause: String)
    }

    struct Settings {
        var watchdog: Watchdog.Configuration
        var stopPatience: Duration
        var teardown: [TeardownStep]
        var hangTeardown: [TeardownStep]
        /// `nil` for a driver that nothing holds in (`--no-sandbox`).
        var sandbox: PreparedSandbox?
    }

    /// Messages taken in one go, so that a driver that floods its channel leaves time for others.
    /// Longer than from one heartbeat to the next.
    private static let streamStart = Duration.seconds(1)
    private static let messagesPerTurn = 64
    private static let outputPerTurn = 16 << 10
    /// Calls that libraries may try in vain before the driver's own code begins.
    private static let maximumRefusals = 64

    let executable: SealedExecutable
    let processID: Int32
    /// Readable once it has ended.
    var pidfd: Int32 { child.descriptor }
    private let child: ChildProcess
    private let channel: Channel
    private let progress: ProgressMemory
    private let output: Int32
    private let settings: Settings
    /// Whom its events are told. A standby changes hands.
    var report: (Event) -> Void
    private var born = ContinuousClock.now
    private var phase = Phase.awaitingHello
    private var watchdog: Watchdog
    private var tail = LineTail()
    private var reason: String?
    private var isMute = false
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
    private(set) var wasGivenDevice = false
    /// It may be given a device before the process before it has ended.
    private(set) var relieves = false
    /// How long it goes on after this supervisor, as it was told last.
    private var afterlife = Duration.zero

    var hasSaidHello: Bool { if case .awaitingHello = phase { false } else { true } }
    var counters: ProgressCounters { progress.counters }

    /// Spawns the process. `report` is called on the supervisor's thread, never before this returns.
    init(
        executable: SealedExecutable, name: String, settings: Settings, report: @escaping @SupervisorActor (Event) -> Void
    ) throws {
        let progress = try ProgressMemory()
        let (ours, theirs) = try Channel.pair()
        channel = Channel(descriptor: ours)
        defer { close(theirs) }
        var pipe: [Int32] = [-1, -1]
        let piped = clinux_pipe(&pipe)
        guard piped == 0 else { throw SystemFailure(operation: "pipe2", errno: -piped) }
        defer { close(pipe[1]) }
        clinux_set_nonblocking(pipe[0], 1)
        do {
            child = try ChildProcess(
                executing: executable.descriptor,
                ChildProcess.Plan(
                    arguments: [name], environment: [DriverContract.nameVariable: name],
                    descriptors: [nil, pipe[1], pipe[1], theirs, progress.descriptor],
                    // This thread lives as long as the process, so the signal means: the supervisor is gone.
                    deathSignal: SIGKILL, newSession: true, sandbox: settings.sandbox))
        } catch {
            close(pipe[0])
            throw error
        }
        output = pipe[0]
        self.executable = executable
        self.progress = progress
        self.settings = settings
        self.report = report
        processID = child.processID
        watchdog = Watchdog(settings.watchdog)
        channelToken = Reactor.shared.watch(channel.descriptor, for: .readable) { [weak self] in self?.channelReady($0) }
        outputToken = Reactor.shared.watch(output, for: .readable) { [weak self] _ in self?.readOutput(limit: Self.outputPerTurn) }
        childToken = Reactor.shared.watch(child.descriptor, for: .readable) { [weak self] _ in self?.childEnded() }
        if let calls = child.forbiddenCalls {
            callsToken = Reactor.shared.watch(calls.descriptor, for: .readable) { [weak self] in self?.callWasStopped($0) }
        }
        let limit = settings.watchdog.startLimit
        patience.set(after: limit) { [weak self] in self?.startTookTooLong(limit) }
    }

    // MARK: What it is told

    /// Gives the driver its device. False when that does not fit into a message.
    /// - Parameter isRelief: what it takes over is driven by another process until it is ready.
    func start(_ start: DriverStart, descriptors: [Int32], isRelief: Bool = false) -> Bool {
        guard case .ready = phase else { return true }
        phase = .starting
        wasGivenDevice = true
        born = .now
        hasRecord = start.record != nil
        let limit = start.takeover == nil || isRelief ? settings.watchdog.startLimit : settings.watchdog.takeoverLimit
        patience.set(after: limit) { [weak self] in self?.startTookTooLong(limit) }
        return send(.start(start), descriptors: descriptors)
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
            // A driver that has just died is told by its pidfd.
            if error.code != .disconnected { kill("\(error)", steps: settings.hangTeardown) }
        }
        return true
    }

    /// How long it goes on when this supervisor ends; zero: it ends with it. For one that has a device.
    func outlive(_ afterlife: Duration) {
        switch phase {
        case .starting, .running: break
        case .awaitingHello, .ready, .stopping, .killed: return
        }
        guard afterlife != self.afterlife else { return }
        self.afterlife = afterlife
        send(.outlive(seconds: UInt32(clamping: afterlife.components.seconds)))
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
        Reactor.shared.change(channelToken, channel.descriptor, to: channel.hasBacklog ? [.readable, .writable] : .readable)
    }

    private func channelReady(_ readiness: Reactor.Readiness) {
        if readiness.contains(.writable) {
            do throws(WireError) {
                try channel.flush()
                updateChannelInterest()
            } catch {
                closeChannel()
                return
            }
        }
        if !readiness.isDisjoint(with: [.readable, .hungUp, .failed]) { receive(limit: Self.messagesPerTurn) }
    }

    private func receive(limit: Int) {
        for _ in 0..<limit {
            guard channelToken != nil else { return }
            do throws(WireError) {
                switch try channel.receiveNow(MessageFromDriver.self) {
                case .nothing: return
                case .end:
                    closeChannel()
                    return
                case .message(let message, let descriptors):
                    // A driver has nothing to hand over.
                    for descriptor in descriptors { close(descriptor) }
                    take(message)
                }
            } catch {
                if error.code == .system || error.code == .disconnected { closeChannel() }
                kill("it broke the channel's contract: \(error)")
                return
            }
        }
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
            relieves = hello.relieves
            patience.lift()
            report(.hello)
        case (.awaitingHello, _), (_, .hello):
            kill("it broke the channel's contract: it says hello first, and once")
        case (.starting, .started):
            phase = .running
            expectHeartbeat()
            report(.message(message))
        case (_, .started):
            if case .stopping = phase { return }
            kill("it broke the channel's contract: it has started what it was not given")
        case (_, .log(let level, let text)):
            tail.append(line: "\(level.prefix(10)): \(text)")
            report(.message(message))
        case (_, .failed(let text)):
            reason = String(text.prefix(2000))
        case (_, .mute(let text)):
            reason = String(text.prefix(2000))
            isMute = true
        case (.running, .heartbeat):
            expectHeartbeat()
            report(.message(message))
        default: report(.message(message))
        }
    }

    private func readOutput(limit: Int) {
        guard let outputToken else { return }
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
            total += count
        }
    }

    // MARK: Whether it hangs

    private func startTookTooLong(_ limit: Duration) {
        receive(limit: Self.messagesPerTurn)
        switch phase {
        case .awaitingHello, .starting: hang(.notReady(limit))
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
        receive(limit: Self.messagesPerTurn)
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
        let counters = progress.counters
        let now = clinux_monotonic_ns()
        if let hang = watchdog.look(counters, now: now) {
            self.hang(hang)
        } else if counters.isStreaming || now < streamExpectedUntil {
            ticker.set(after: settings.watchdog.tick) { [weak self] in self?.tick() }
        }
    }

    private func hang(_ hang: Watchdog.Hang) { kill(hang.description, steps: settings.hangTeardown) }

    // MARK: What it must not do

    private func callWasStopped(_ readiness: Reactor.Readiness) {
        guard readiness.contains(.readable), let call = child.forbiddenCalls?.next() else {
            // Hung up: no process is left behind the filter.
            if !readiness.contains(.readable) { forgetCalls() }
            return
        }
        if case .killed = phase { return }
        // Its hello may lie in the channel already.
        receive(limit: Self.messagesPerTurn)
        if case .awaitingHello = phase, refusals < Self.maximumRefusals {
            refusals += 1
            tail.append(line: "The sandbox refused \(call) while the driver was loading.")
            child.forbiddenCalls?.refuse(call)
            return
        }
        if case .killed = phase { return }
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
        receive(limit: 1000)
        readOutput(limit: 256 << 10)
        forgetEverything()
        tail.finish()
        report(.ended(obituary(end)))
    }

    private func forgetEverything() {
        if let childToken { Reactor.shared.forget(childToken, child.descriptor) }
        if let channelToken { Reactor.shared.forget(channelToken, channel.descriptor) }
        if let outputToken { Reactor.shared.forget(outputToken, output) }
        (childToken, channelToken, outputToken) = (nil, nil, nil)
        forgetCalls()
        close(output)
        for timer in [patience, ticker, teardownTimer] { timer.lift() }
    }

    private func obituary(_ end: ChildProcess.End) -> Obituary {
        var cause = end.description
        var wasAsked = false
        if case .killed(let why) = phase { cause += ", by the supervisor: \(why)" }
        if case .stopping = phase { wasAsked = true }
        if let reason { cause += ": \(reason)" }
        return Obituary(
            end: end, cause: cause, wasAsked: wasAsked, reason: reason, isMute: isMute, lastWords: progress.lastWords,
            lastLines: tail.lines,
            madeProgress: progress.counters.frames > 0, hasHandled: progress.counters.streamTurns > 0, lifetime: born.duration(to: .now))
    }
}
