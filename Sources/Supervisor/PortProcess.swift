// The process that owns a USB/IP device's socket, from its birth to its end.

import CLinux
import Glibc
import Logging
import Sandbox
import Spawn
import Synchronization
import Wire

/// One `usbip-port`. It has no files, no devices and no authority: a socket, and memory that it shares with one driver.
@SupervisorActor
final class PortProcess {
    private let child: ChildProcess
    private let channel: Channel
    private let logger: Logger
    private var channelToken: UInt64?
    private var childToken: UInt64?
    private var callsToken: UInt64?
    private(set) var isAlive = true
    private var isLoading = true
    private var refusals = 0
    private static let maximumRefusals = 64

    /// Spawns the process and gives it the socket, which stays the caller's.
    init(executable: SealedExecutable, sandbox: PreparedSandbox?, socket: Int32, usbipDeviceID: UInt32, logger: Logger) throws {
        let (ours, theirs) = try Channel.pair()
        channel = Channel(descriptor: ours)
        self.logger = logger
        defer { close(theirs) }
        child = try ChildProcess(
            executing: executable.descriptor,
            ChildProcess.Plan(
                arguments: ["usbip-port"], descriptors: [nil, 2, 2, theirs],
                // This thread lives as long as the process, so the signal means: the supervisor is gone.
                deathSignal: SIGKILL, newSession: true, sandbox: sandbox))
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
            if isLoading, refusals < Self.maximumRefusals {
                refusals += 1
                logger.debug("usbip-port was refused a call while it was loading", metadata: ["call": "\(call)"])
                child.forbiddenCalls?.refuse(call)
                return
            }
            logger.error("usbip-port made a forbidden call and is ended", metadata: ["call": "\(call)"])
            end()
        }
        forgetCalls()
    }

    private func forgetCalls() {
        if let callsToken, let calls = child.forbiddenCalls { Reactor.shared.forget(callsToken, calls.descriptor) }
        callsToken = nil
    }

    /// For the next driver: its end of a connection to the port, which the caller closes.
    func connectDriver() throws -> Int32 {
        var pair: [Int32] = [-1, -1]
        let result = clinux_stream_pair(&pair)
        guard result >= 0 else { throw SystemFailure(operation: "socketpair", errno: -result) }
        send(.driver, [pair[1]])
        close(pair[1])
        return pair[0]
    }

    func carry(_ grant: TransferGrant, interval: Int32, memory: Int32, wake: Int32) {
        send(.carry(grant, interval: interval), [memory, wake])
    }

    func endRing(_ number: Int) { send(.end(number: number), []) }

    /// Ends it at once, and with it the connection to the server.
    func end() {
        guard isAlive else { return }
        isAlive = false
        do throws(SpawnError) { try child.kill(SIGKILL) } catch {
            logger.error("usbip-port can't be ended", metadata: ["error": "\(error)"])
        }
    }

    private func send(_ message: MessageToPort, _ descriptors: [Int32]) {
        guard isAlive else { return }
        do throws(WireError) {
            try channel.enqueue(message, descriptors: descriptors)
        } catch {
            // One that has just died is told by its pidfd; one that does not read is of no use.
            end()
        }
    }

    private func receive() {
        while channelToken != nil {
            do throws(WireError) {
                switch try channel.receiveNow(MessageFromPort.self) {
                case .nothing: return
                case .end: closeChannel()
                case .message(let message, let descriptors):
                    for descriptor in descriptors { close(descriptor) }
                    isLoading = false
                    switch message {
                    case .loaded: break
                    case .gone(let reason): logger.info("a USB/IP device is gone", metadata: ["reason": "\(reason.prefix(500))"])
                    case .refused(let number, let reason):
                        logger.error("a stream can't be carried", metadata: ["ring": "\(number)", "reason": "\(reason.prefix(500))"])
                    }
                }
            } catch {
                logger.error("usbip-port broke the channel's contract", metadata: ["error": "\(error)"])
                closeChannel()
                end()
            }
        }
    }

    private func closeChannel() {
        if let channelToken { Reactor.shared.forget(channelToken, channel.descriptor) }
        channelToken = nil
    }

    private func childEnded() {
        do throws(SpawnError) {
            guard try child.collect() != nil else { return }
        } catch {
            logger.debug("usbip-port was collected by somebody else", metadata: ["error": "\(error)"])
        }
        isAlive = false
        receive()
        closeChannel()
        forgetCalls()
        if let childToken { Reactor.shared.forget(childToken, child.descriptor) }
        childToken = nil
    }
}

/// The program `usbip-port`, read once.
final class PortProgram: Sendable {
    let sandboxes: DriverSandboxes
    private let path: String
    private let sealed = Mutex<SealedExecutable?>(nil)

    init(path: String, sandboxes: DriverSandboxes) {
        self.path = path
        self.sandboxes = sandboxes
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
