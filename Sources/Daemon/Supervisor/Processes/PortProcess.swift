// The process that owns a USB/IP device's socket, from its birth to its end.

import CLinux
import FileDescriptors
import Glibc
import Logging
import Sandbox
import Spawn
import Synchronization
import Wire

/// One `usbip-proxy`. It has no files, no devices and no authority: a socket, and memory that it
/// shares with the drivers of the device's functions.
@SupervisorActor
final class PortProcess {
    private let child: ChildProcess
    private let channel: Channel
    private let logger: Logger
    private var channelToken: UInt64?
    private var childToken: UInt64?
    private var callsToken: UInt64?
    private let retry = ReactorTimer()
    private(set) var isAlive = true
    /// What it prints: its own words at its end, or whatever somebody who has taken it over likes.
    private let output: OwnedDescriptor
    private var outputToken: UInt64?
    private var tail = LineTail()
    private var allowance = LogAllowance()
    /// The functions that are open through it. With the last it ends.
    private var functions: Set<Int> = []
    /// Rings that it has refused. It has no reason to refuse one more often than it is asked to carry one.
    private var refusals = 0
    private var carried = 0

    private static let outputPerTurn = 16 << 10
    /// Nothing that it has to say is that long.
    private static let mostOutput = 256 << 10
    private var printed = 0
    private var isLoading = true
    private var refusedCalls = 0
    private static let maximumRefusedCalls = 64

    /// Spawns the process and gives it the socket, which stays the caller's.
    init(executable: SealedExecutable, sandbox: PreparedSandbox?, socket: Int32, usbipDeviceID: UInt32, logger: Logger) throws {
        let pair = try Channel.pair()
        channel = Channel(pair.ours, otherEnd: .stranger)
        self.logger = logger
        guard let pipe = Pipe() else { throw SystemFailure(operation: "pipe", errno: errno) }
        child = try ChildProcess(
            executing: executable.descriptor,
            ChildProcess.Plan(
                arguments: ["usbip-proxy"], environment: [DriverContract.nameVariable: "usbip-proxy"],
                descriptors: [nil, pipe.writes.number, pipe.writes.number, pair.theirs.number],
                // This thread lives as long as the process, so the signal means: the supervisor is gone.
                deathSignal: SIGKILL, newSession: true, sandbox: sandbox))
        output = pipe.reads
        clinux_set_nonblocking(output.number, 1)
        outputToken = Reactor.shared.watch(output.number, for: .readable) { [weak self] _ in self?.readOutput(limit: Self.outputPerTurn) }
        channelToken = Reactor.shared.watch(channel.descriptor, for: .readable) { [weak self] _ in self?.receive() }
        // The process is collected whoever holds this object still.
        childToken = Reactor.shared.watch(child.descriptor, for: .readable) { _ in self.childEnded() }
        if let calls = child.forbiddenCalls {
            callsToken = Reactor.shared.watch(calls.descriptor, for: .readable) { [weak self] _ in self?.callWasStopped() }
        }
        send(.start(usbipDeviceID: usbipDeviceID), [socket])
    }

    /// It does what it must not, or has ended. While it loads, what its libraries try is refused, as a driver's is.
    private func callWasStopped() {
        if let call = child.forbiddenCalls?.next() {
            receive()
            if isLoading, refusedCalls < Self.maximumRefusedCalls {
                refusedCalls += 1
                logger.debug("usbip-proxy was refused a call while it was loading", metadata: ["call": "\(call)"])
                child.forbiddenCalls?.refuse(call)
                return
            }
            logger.error("usbip-proxy made a forbidden call and is being ended", metadata: ["call": "\(call)"])
            end()
        }
        forgetCalls()
    }

    private func forgetCalls() {
        if let callsToken, let calls = child.forbiddenCalls { Reactor.shared.forget(callsToken, calls.descriptor) }
        callsToken = nil
    }

    /// For the next driver of a function: its end of a connection to the port.
    func connectDriver(of function: Int, rights: PortRights) throws -> OwnedDescriptor {
        guard let pair = SocketPair(.stream) else { throw SystemFailure(operation: "socketpair", errno: errno) }
        functions.insert(function)
        send(.driver(function: function, rights: rights), [pair.theirs.number])
        return pair.ours
    }

    func carry(_ grant: TransferGrant, function: Int, interval: Int32, memory: Int32, wake: Int32) {
        carried += 1
        send(.carry(grant, function: function, interval: interval), [memory, wake])
    }

    func endRing(_ number: Int, function: Int) { send(.end(function: function, number: number), []) }

    /// A function is let go of; with the last one the process ends.
    func leave(function: Int) {
        functions.remove(function)
        if functions.isEmpty { end() } else { send(.leave(function: function), []) }
    }

    /// Ends it at once, and with it the connection to the server.
    func end() {
        guard isAlive else { return }
        isAlive = false
        do throws(SpawnError) { try child.kill(SIGKILL) } catch {
            logger.error("usbip-proxy can't be ended", metadata: ["error": "\(error)"])
        }
    }

    private func send(_ message: MessageToPort, _ descriptors: [Int32]) {
        guard isAlive else { return }
        do throws(WireError) {
            try channel.enqueue(message, descriptors: descriptors)
            flushLater()
        } catch {
            // One that has just died is told by its pidfd; one that does not read is of no use.
            end()
        }
    }

    /// What it has not read yet, or the system was short of something for.
    private func flushLater() {
        guard channel.hasBacklog, !retry.isSet else { return }
        retry.set(after: .milliseconds(20)) { [weak self] in
            guard let self, self.isAlive else { return }
            do throws(WireError) {
                try self.channel.flush()
                self.flushLater()
            } catch {
                self.end()
            }
        }
    }

    private func receive() {
        var budget = TurnBudget()
        while channelToken != nil, !budget.isSpent {
            do throws(WireError) {
                switch try channel.receiveNow(MessageFromPort.self, &budget) {
                case .nothing: return
                case .end: closeChannel()
                case .message(let message, _):
                    isLoading = false
                    take(message)
                }
            } catch {
                logger.error("usbip-proxy broke the channel's contract", metadata: ["error": "\(error)"])
                closeChannel()
                end()
            }
        }
    }

    private func take(_ message: MessageFromPort) {
        switch message {
        case .loaded: break
        case .gone(let reason):
            if let line = allowance.line("a USB/IP device is gone") {
                logger.info("\(line)", metadata: ["reason": "\(reason.prefix(500))"])
            }
        case .refused(let number, let reason):
            refusals += 1
            if let line = allowance.line("a stream can't be carried") {
                logger.error("\(line)", metadata: ["ring": "\(number)", "reason": "\(reason.prefix(500))"])
            }
            guard refusals > carried, isAlive else { return }
            logger.error("usbip-proxy broke the channel's contract: it refused something it was not asked for")
            closeChannel()
            end()
        }
    }

    /// What it prints is kept, its last lines, and told when it has ended.
    private func readOutput(limit: Int) {
        guard let outputToken else { return }
        var buffer = [UInt8](repeating: 0, count: 4096)
        var total = 0
        while total < limit {
            let count = read(output.number, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return }
            guard count > 0 else {
                Reactor.shared.forget(outputToken, output.number)
                self.outputToken = nil
                return
            }
            tail.append(buffer[..<count])
            total += count
        }
        printed += total
        if printed > Self.mostOutput, isAlive {
            logger.error("usbip-proxy prints without end and is being ended")
            end()
        }
    }

    private func closeOutput() {
        // What a short-lived one has said: no more than a pipe holds.
        readOutput(limit: 64 << 10)
        if let outputToken { Reactor.shared.forget(outputToken, output.number) }
        outputToken = nil
        tail.finish()
        for text in tail.lines.suffix(5) {
            if let line = allowance.line(text) { logger.warning("usbip-proxy said", metadata: ["line": "\(line)"]) }
        }
        tail = LineTail()
    }

    private func closeChannel() {
        if let channelToken { Reactor.shared.forget(channelToken, channel.descriptor) }
        channelToken = nil
    }

    private func childEnded() {
        do throws(SpawnError) {
            guard try child.collect() != nil else { return }
        } catch {
            logger.debug("usbip-proxy was reaped by another process", metadata: ["error": "\(error)"])
        }
        isAlive = false
        receive()
        closeChannel()
        closeOutput()
        forgetCalls()
        if let childToken { Reactor.shared.forget(childToken, child.descriptor) }
        childToken = nil
    }
}

/// The program `usbip-proxy`, read once.
final class PortProgram: Sendable {
    let sandboxes: DriverSandboxes
    private let path: String
    private let sealed = Mutex<SealedExecutable?>(nil)

    init(path: String, sandboxes: DriverSandboxes) {
        self.path = path
        self.sandboxes = sandboxes
    }

    /// Why there is none, in a sentence; `nil` if there is. Blocks while it reads.
    var problem: String? {
        do throws(SpawnError) {
            _ = try executable()
            return nil
        } catch {
            return "usbip-proxy can't be started: \(error). It must be beside userdriverd, or in /usr/lib/userdriver."
        }
    }

    /// Blocks while it reads.
    func executable() throws(SpawnError) -> SealedExecutable {
        try sealed.withLock { sealed throws(SpawnError) in
            if let sealed { return sealed }
            let read = try SealedExecutable(path: path)
            sealed = read
            return read
        }
    }
}
