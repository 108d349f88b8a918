// A Varlink connection to the daemon, for a thread that may block.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import Wire

/// Calls and replies over one socket. One thread at a time uses it; `stop` may be called from any.
final class DaemonConnection: Sendable {
    private let directory: RuntimeDirectory
    private let socket: VarlinkSocket
    private let isStopped = Mutex(false)

    init(_ directory: RuntimeDirectory) throws(ClientError) {
        let connected = clinux_unix_stream(directory.socketPath, 0)
        guard let socket = OwnedDescriptor(opened: connected) else { throw Self.refusal(directory, -connected) }
        self.directory = directory
        self.socket = VarlinkSocket(socket)
    }

    /// Why nobody answers at the socket, with what to do about it.
    static func refusal(_ directory: RuntimeDirectory, _ number: Int32) -> ClientError {
        switch number {
        case ENOENT, ENOTDIR, ECONNREFUSED:
            return ClientError(
                .daemonNotRunning,
                "The UserDriver daemon is not running: nothing listens at \(directory.socketPath). "
                    + "Start it with `userdriver up` (or `systemctl start userdriverd`), or say where it is with --runtime-dir.",
                systemError: number)
        case EACCES, EPERM:
            return ClientError(
                .notPermitted,
                "You may not talk to the UserDriver daemon at \(directory.socketPath): \(ClientError.describe(number)). "
                    + "Members of the socket's group may: `sudo usermod -aG userdriver $USER`, then log in again.",
                systemError: number)
        case ENAMETOOLONG:
            return ClientError(
                .invalidParameter, "The runtime folder \(directory.path) is too long for a socket's address (at most 92 bytes).",
                systemError: number)
        default:
            return ClientError.system("Connecting to \(directory.socketPath)", number)
        }
    }

    /// Ends the connection: whoever waits for a reply gets `stopped`.
    func stop() {
        isStopped.withLock { $0 = true }
        socket.shutdown()
    }

    func send(_ method: String, _ parameters: JSONValue, more: Bool = false) throws(ClientError) {
        do throws(WireError) {
            try socket.send(VarlinkCall(method: method, parameters: parameters, more: more))
        } catch {
            // Whoever is cut off in the middle of a call may have been told why.
            if error.code == .disconnected, let reply = lastWord() { _ = try Self.result(reply) }
            throw failure(error)
        }
    }

    private func lastWord() -> VarlinkReply? {
        do throws(WireError) {
            guard case .message(let reply, let descriptors) = try socket.receiveNow(VarlinkReply.self) else { return nil }
            _ = OwnedDescriptors(descriptors)
            return reply
        } catch {
            return nil
        }
    }

    private func failure(_ error: WireError) -> ClientError {
        if isStopped.withLock({ $0 }) { return ClientError(.stopped, "The call was cancelled.") }
        if [.disconnected, .system, .truncated].contains(error.code) { return lost() }
        return ClientError(
            .malformedReply, "What answers at \(directory.socketPath) is not a UserDriver daemon, or is one of another version: \(error).")
    }

    private func lost() -> ClientError {
        if isStopped.withLock({ $0 }) { return ClientError(.stopped, "The call was cancelled.") }
        return ClientError(
            .connectionLost, "The UserDriver daemon at \(directory.socketPath) closed the connection: it ended or is restarting.")
    }

    /// The next reply with the descriptors that came with it, which are the caller's to close. `deadline` is CLOCK_MONOTONIC ns.
    func receive(deadline: UInt64? = nil) throws(ClientError) -> (reply: VarlinkReply, descriptors: [Int32]) {
        while true {
            do throws(WireError) {
                switch try socket.receiveNow(VarlinkReply.self) {
                case .message(let reply, let descriptors): return (reply, descriptors)
                case .nothing: break
                case .end: throw WireError(.disconnected, operation: "recvmsg")
                }
            } catch {
                throw failure(error)
            }
            try waitForBytes(until: deadline)
        }
    }

    private func waitForBytes(until deadline: UInt64?) throws(ClientError) {
        while true {
            var entry = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
            var milliseconds: Int32 = -1
            if let deadline {
                let now = clinux_monotonic_ns()
                guard now < deadline else {
                    throw ClientError(
                        .timedOut,
                        "The UserDriver daemon at \(directory.socketPath) took the call but did not answer in time. "
                            + "If this happens again, the daemon hangs: `systemctl restart userdriverd`, or end `userdriver up` and start it again."
                    )
                }
                milliseconds = Int32(min((deadline - now + 999_999) / 1_000_000, 1_000_000))
            }
            let ready = poll(&entry, 1, milliseconds)
            if ready > 0 { return }
            if ready < 0, errno != EINTR { throw .system("Waiting for the daemon", errno) }
        }
    }

    /// One call, one reply: its parameters, or the error it carries. Descriptors that nobody asked for are closed.
    func call(_ method: String, _ parameters: JSONValue, deadline: UInt64) throws(ClientError) -> JSONValue {
        try send(method, parameters)
        let (reply, descriptors) = try receive(deadline: deadline)
        _ = OwnedDescriptors(descriptors)
        return try Self.result(reply)
    }

    /// The same for a reply that comes with one descriptor, which is the caller's to close; `nil` if none came.
    func callForDescriptor(
        _ method: String, _ parameters: JSONValue, deadline: UInt64
    ) throws(ClientError) -> (reply: JSONValue, descriptor: Int32?) {
        try send(method, parameters)
        let (reply, numbers) = try receive(deadline: deadline)
        var descriptors = OwnedDescriptors(numbers)
        let result = try Self.result(reply)
        return (result, descriptors.takeFirst()?.handOver())
    }

    static func result(_ reply: VarlinkReply) throws(ClientError) -> JSONValue {
        if let error = reply.error { throw ClientError.remote(name: error, reply.parameters) }
        return reply.parameters
    }
}
