// The socket that clients come to.

import CLinux
import FileDescriptors
import Glibc
import Logging
import Wire

/// Accepts clients at a Unix socket, up to a number of them.
@SupervisorActor
final class VarlinkServer {
    private static let acceptsPerTurn = 16

    /// The socket file that was made here and goes at the end, `nil` if somebody else made it.
    private let path: String?
    private let limits: SupervisorConfiguration.Limits
    private let idleLimit: Duration
    private let logger: Logger
    private let handle: @SupervisorActor (ClientCall) -> Void
    /// `nil` once it is stopped.
    private var listener: OwnedDescriptor?
    private var token: UInt64?
    private var connections: [ObjectIdentifier: ClientConnection] = [:]
    private let pause = ReactorTimer()
    /// Why nobody could be accepted when it was tried last: said once.
    private var obstacle: String?

    /// Binds at `path`, where an old socket file is replaced: the caller holds the lock of the runtime folder.
    convenience init(
        path: String, limits: SupervisorConfiguration.Limits, idleLimit: Duration, logger: Logger,
        handle: @escaping @SupervisorActor (ClientCall) -> Void
    ) throws {
        var status = stat()
        if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
        let listener = try VarlinkSocket.listen(path: path)
        guard chmod(path, 0o660) == 0 else {
            throw SystemFailure(operation: "chmod(\(path))", errno: errno)
        }
        self.init(listener: listener, path: path, limits: limits, idleLimit: idleLimit, logger: logger, handle: handle)
    }

    /// Serves a socket that listens already, and must not block. The file stays without `path`.
    init(
        listener: consuming OwnedDescriptor, path: String? = nil, limits: SupervisorConfiguration.Limits, idleLimit: Duration,
        logger: Logger,
        handle: @escaping @SupervisorActor (ClientCall) -> Void
    ) {
        self.listener = consume listener
        self.path = path
        self.limits = limits
        self.idleLimit = idleLimit
        self.logger = logger
        self.handle = handle
        listen()
    }

    /// Closes the socket and every connection.
    func stop() {
        pause.lift()
        unlisten()
        listener = nil
        if let path { unlink(path) }
        for connection in connections.values { connection.close() }
    }

    private func listen() {
        guard let listener = listener.number, token == nil else { return }
        token = Reactor.shared.watch(listener, for: .readable) { [weak self] _ in self?.accept() }
    }

    private func unlisten() {
        if let token, let listener = listener.number { Reactor.shared.forget(token, listener) }
        token = nil
    }

    private func accept() {
        for _ in 0..<Self.acceptsPerTurn {
            // Who comes now waits in the socket instead of here.
            guard !DescriptorCloser.shared.isBehind else { return rest(because: "sockets of clients that have left are not closed yet") }
            guard let listener = listener.number else { return }
            guard let accepted = OwnedDescriptor(opened: Glibc.accept(listener, nil, nil)) else {
                switch errno {
                case EAGAIN, EINTR, ECONNABORTED: return
                // No descriptors or no memory.
                default: return rest(because: String(cString: strerror(errno)))
                }
            }
            obstacle = nil
            _ = fcntl(accepted.number, F_SETFD, FD_CLOEXEC)
            take(
                VarlinkSocket(
                    accepted, otherEnd: .stranger, maximumMessage: limits.messageBytes, maximumValues: limits.messageValues,
                    maximumBacklog: limits.backlogBytes, maximumDescriptors: limits.unreadDescriptors))
        }
    }

    /// Tries again in a while instead of at once and for ever.
    private func rest(because why: String) {
        if obstacle != why { logger.warning("clients can't be accepted at the moment", metadata: ["error": "\(why)"]) }
        obstacle = why
        unlisten()
        pause.set(after: .milliseconds(200)) { [weak self] in self?.listen() }
    }

    private func take(_ socket: VarlinkSocket) {
        let peer: VarlinkSocket.Peer
        do throws(WireError) {
            peer = try socket.peer()
            guard hasRoom(for: peer) else {
                let message = JSONValue.string("The supervisor has \(connections.count) clients already.")
                try socket.enqueue(
                    VarlinkReply(error: ManagementInterface.name + ".LimitReached", parameters: ["message": message]))
                return
            }
        } catch {
            logger.debug("a client left at once", metadata: ["error": "\(error)"])
            return
        }
        let connection = ClientConnection(socket: socket, peer: peer, idleLimit: idleLimit, handle: handle) { [weak self] connection, why in
            self?.connections[ObjectIdentifier(connection)] = nil
            if let why { self?.logger.info("a client was cut off", metadata: ["pid": "\(peer.processID)", "reason": "\(why)"]) }
        }
        connections[ObjectIdentifier(connection)] = connection
        logger.trace("client", metadata: ["pid": "\(peer.processID)", "uid": "\(peer.userID)"])
    }

    /// One user who is nobody in particular does not keep the others out.
    private func hasRoom(for peer: VarlinkSocket.Peer) -> Bool {
        guard connections.count < limits.clients else { return false }
        guard ClientRights.of(user: peer.userID, daemonUser: geteuid()) == .using else { return true }
        return connections.values.count { $0.peer.userID == peer.userID } < limits.clientsPerUser
    }
}
