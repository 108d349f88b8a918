// A Varlink connection over a Unix stream socket, with descriptors.

import CLinux
public import FileDescriptors
import Glibc
import Synchronization

/// A connected socket that Varlink messages go over, which it owns. A client uses `send` and `receive`, which wait; a server `enqueue`,
/// `flush` and `receiveNow`, which never do.
///
/// Sending may be done from any thread, receiving from one at a time. Descriptors that are sent stay the caller's; descriptors that are
/// received are the caller's to close.
public final class VarlinkSocket: Sendable {
    /// Who is at the other end, as of when it connected.
    public struct Peer: Hashable, Sendable {
        public var processID: Int32
        public var userID: UInt32
        public var groupID: UInt32
    }

    private struct Incoming: ~Copyable {
        var decoder: VarlinkDecoder
    }
    private struct Outgoing: ~Copyable {
        var queue: OutgoingQueue
    }

    /// For poll and epoll. Closed by `otherEnd`.
    public let descriptor: Int32
    /// Bytes of a message that is received.
    public let maximumMessage: Int
    private let otherEnd: OtherEnd
    private let incoming: Mutex<Incoming>
    private let outgoing: Mutex<Outgoing>
    private static let chunk = 64 << 10

    public init(
        _ socket: consuming OwnedDescriptor, otherEnd: OtherEnd = .trusted, maximumMessage: Int = 1 << 20, maximumValues: Int = .max,
        maximumBacklog: Int = 4 << 20, maximumDescriptors: Int = 64
    ) {
        descriptor = socket.handOver()
        self.maximumMessage = maximumMessage
        self.otherEnd = otherEnd
        incoming = Mutex(
            Incoming(decoder: VarlinkDecoder(maximumMessage: maximumMessage, limits: JSONLimits(values: maximumValues))))
        outgoing = Mutex(
            Outgoing(queue: OutgoingQueue(OutgoingQueue.Bounds(bytes: maximumBacklog, descriptors: maximumDescriptors))))
    }

    /// Connects to a server's socket file.
    public static func connect(path: String) throws(WireError) -> VarlinkSocket {
        let connected = clinux_unix_stream(path, 0)
        guard let socket = OwnedDescriptor(opened: connected) else {
            throw WireError(.system, operation: "connect(\(path))", detail: String(cString: strerror(-connected)))
        }
        return VarlinkSocket(socket)
    }

    /// Binds and listens at a path where nothing may be yet. The listening socket does not block.
    public static func listen(path: String) throws(WireError) -> OwnedDescriptor {
        let bound = clinux_unix_stream(path, 1)
        guard let listener = OwnedDescriptor(opened: bound) else {
            throw WireError(.system, operation: "bind(\(path))", detail: String(cString: strerror(-bound)))
        }
        clinux_set_nonblocking(listener.number, 1)
        return listener
    }

    public func peer() throws(WireError) -> Peer {
        var peer = Peer(processID: 0, userID: 0, groupID: 0)
        let result = clinux_peer(descriptor, &peer.processID, &peer.userID, &peer.groupID)
        guard result >= 0 else { throw WireError(errno: -result, operation: "getsockopt(SO_PEERCRED)") }
        return peer
    }

    /// Sends a message, waiting for room.
    public func send(_ message: some Encodable, descriptors: [Int32] = []) throws(WireError) {
        let bytes = try JSON.encodeMessage(message) + [0]
        try outgoing.withLock { outgoing throws(WireError) in
            precondition(outgoing.queue.isEmpty, "a connection is either waited on or queued for")
            try bytes.withUnsafeBytesTyped { bytes throws(WireError) in
                var sent = 0
                while sent < bytes.count {
                    let part = UnsafeRawBufferPointer(rebasing: bytes[sent...])
                    let outcome = try SocketIO.send(descriptor, part, descriptors: sent == 0 ? descriptors : [], waiting: true)
                    if case .sent(let count) = outcome { sent += count }
                }
            }
        }
    }

    /// Waits for a message. `nil` when the other end has closed. After any error the connection is unusable.
    public func receive<Message: Decodable & Sendable>(
        _ type: Message.Type = Message.self
    ) throws(WireError) -> (message: Message, descriptors: [Int32])? {
        var budget = TurnBudget()
        return switch try arrival(type, waiting: true, &budget) {
        case .nothing, .end: nil
        case .message(let message, let descriptors): (message, descriptors)
        }
    }

    /// Sends a message now, or keeps it until `flush`. Throws `backlog` when the other end does not read.
    public func enqueue(_ message: some Encodable, descriptors: [Int32] = []) throws(WireError) {
        let bytes = try JSON.encodeMessage(message) + [0]
        try outgoing.withLock { outgoing throws(WireError) in
            try outgoing.queue.send(bytes, descriptors: descriptors, on: descriptor)
        }
    }

    /// Whether `enqueue` kept something: `flush` should be called when the socket is writable.
    public var hasBacklog: Bool { outgoing.withLock { !$0.queue.isEmpty } }

    /// `enqueue` kept something because the system is short of resources: the socket is writable all the same, so call `flush` after a
    /// while.
    public var isShort: Bool { outgoing.withLock { $0.queue.isShort && !$0.queue.isEmpty } }

    /// Bytes that `enqueue` kept.
    public var backlog: Int { outgoing.withLock { $0.queue.queuedBytes } }

    /// Sends what `enqueue` kept and there is room for. True when nothing is left.
    @discardableResult
    public func flush() throws(WireError) -> Bool {
        try outgoing.withLock { outgoing throws(WireError) in try outgoing.queue.flush(on: descriptor) }
    }

    /// Takes a message that has arrived. After any error the connection is unusable.
    public func receiveNow<Message: Decodable & Sendable>(_ type: Message.Type = Message.self) throws(WireError) -> Channel.Arrival<Message>
    {
        var budget = TurnBudget()
        return try receiveNow(type, &budget)
    }

    /// The same, of a turn's budget.
    public func receiveNow<Message: Decodable & Sendable>(
        _ type: Message.Type = Message.self, _ budget: inout TurnBudget
    ) throws(WireError) -> Channel.Arrival<Message> {
        try arrival(type, waiting: false, &budget)
    }

    /// Ends the connection for both ends; a waiting `receive` returns. The descriptor is closed when the socket is released.
    public func shutdown() { _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) }

    deinit { otherEnd.close(descriptor) }

    private func arrival<Message: Decodable & Sendable>(
        _ type: Message.Type, waiting: Bool, _ budget: inout TurnBudget
    ) throws(WireError) -> Channel.Arrival<Message> {
        try incoming.withLock { incoming throws(WireError) in
            if let next = try incoming.decoder.next(type) {
                budget.spend(incoming.decoder.lastCount)
                return .message(next.message, descriptors: next.descriptors)
            }
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk, alignment: 16)
            defer { buffer.deallocate() }
            while true {
                switch try SocketIO.receive(descriptor, from: otherEnd, into: buffer, waiting: waiting) {
                case .nothing: return .nothing
                case .end:
                    guard !incoming.decoder.isAmidMessage else { throw WireError(.truncated, operation: "recvmsg") }
                    return .end
                case .bytes(let count, let descriptors, let truncated):
                    guard !truncated else {
                        SocketIO.close(descriptors)
                        throw WireError(.truncated, operation: "recvmsg", detail: "more descriptors than fit")
                    }
                    try incoming.decoder.append(buffer[..<count], descriptors: descriptors)
                }
                if let next = try incoming.decoder.next(type) {
                    budget.spend(incoming.decoder.lastCount)
                    return .message(next.message, descriptors: next.descriptors)
                }
            }
        }
    }
}
