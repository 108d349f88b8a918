// One end of the pair of sockets between supervisor and driver: a JSON message a packet, descriptors attached.

import CLinux
public import FileDescriptors
import Glibc
import Synchronization

/// One end of a SOCK_SEQPACKET pair, which it owns. A driver uses `send` and `receive`, which wait; a supervisor `enqueue`, `flush` and
/// `receiveNow`, which never do.
///
/// Sending may be done from any thread, receiving from one at a time. Descriptors that are sent stay the caller's; descriptors that are
/// received are the caller's to close, and those of a message that is refused are closed here.
public final class Channel: Sendable {
    /// Bytes of a message. `record` and `event` carry a driver's own JSON and are bound by it too.
    public static let maximumPacket = 64 << 10
    /// Values in a message, of which 64 KiB can hold 32,000; the largest of ours have some thousands.
    public static let maximumValues = 16_384
    /// Bytes that may wait for a driver that doesn't read, before it counts as hung.
    public static let maximumBacklog = 1 << 20

    /// What there was to receive, without waiting.
    public enum Arrival<Message> {
        case nothing
        /// The other end has closed, or ended.
        case end
        case message(Message, descriptors: [Int32])
    }

    private struct Outgoing: ~Copyable {
        var queue = OutgoingQueue(OutgoingQueue.Bounds(bytes: Channel.maximumBacklog, messages: 1024))
    }

    /// For poll and epoll. Closed by `otherEnd`.
    public let descriptor: Int32
    private let otherEnd: OtherEnd
    private let outgoing = Mutex(Outgoing())

    public init(_ socket: consuming OwnedDescriptor, otherEnd: OtherEnd = .trusted) {
        descriptor = socket.handOver()
        self.otherEnd = otherEnd
    }

    /// Two connected ends: one becomes a `Channel` here, the other goes to a child.
    public static func pair() throws(WireError) -> SocketPair {
        guard let pair = SocketPair(.packets) else { throw WireError(errno: errno, operation: "socketpair") }
        return pair
    }

    /// Sends a message, waiting for room.
    public func send(_ message: some Encodable, descriptors: [Int32] = []) throws(WireError) {
        let bytes = try encode(message)
        _ = try bytes.withUnsafeBytesTyped { bytes throws(WireError) in
            try SocketIO.send(descriptor, bytes, descriptors: descriptors, waiting: true)
        }
    }

    /// Waits for a message. `nil` when the other end has closed. A refused message (`malformed`, `truncated`) throws once; the channel
    /// continues with the next.
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
        let bytes = try encode(message)
        try outgoing.withLock { outgoing throws(WireError) in
            try outgoing.queue.send(bytes, descriptors: descriptors, on: descriptor)
        }
    }

    /// Whether `enqueue` kept something: `flush` should be called when the socket is writable.
    public var hasBacklog: Bool { outgoing.withLock { !$0.queue.isEmpty } }

    /// `enqueue` kept something because the system is short of resources: the socket is writable all the same, so call `flush` after a
    /// while.
    public var isShort: Bool { outgoing.withLock { $0.queue.isShort && !$0.queue.isEmpty } }

    /// Sends what `enqueue` kept and there is room for. True when nothing is left.
    @discardableResult
    public func flush() throws(WireError) -> Bool {
        try outgoing.withLock { outgoing throws(WireError) in try outgoing.queue.flush(on: descriptor) }
    }

    /// Takes a message that has arrived. Refused messages throw as in `receive`.
    public func receiveNow<Message: Decodable & Sendable>(_ type: Message.Type = Message.self) throws(WireError) -> Arrival<Message> {
        var budget = TurnBudget()
        return try receiveNow(type, &budget)
    }

    /// The same, of a turn's budget, which refused messages count against too.
    public func receiveNow<Message: Decodable & Sendable>(
        _ type: Message.Type = Message.self, _ budget: inout TurnBudget
    ) throws(WireError) -> Arrival<Message> {
        try arrival(type, waiting: false, &budget)
    }

    /// Ends the connection for both ends; a waiting `receive` returns. The descriptor is closed when the channel is released.
    public func shutdown() { _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) }

    deinit { otherEnd.close(descriptor) }

    /// A message from a packet's bytes.
    public static func decode<Message: Decodable & Sendable>(_ type: Message.Type, from packet: some Collection<UInt8>) throws(WireError)
        -> Message
    {
        guard packet.count <= maximumPacket else { throw WireError(.oversize, operation: "decoding \(type)") }
        return try JSON.decodeMessage(type, from: packet, limits: JSONLimits(values: maximumValues))
    }

    private func encode(_ message: some Encodable) throws(WireError) -> [UInt8] {
        let bytes = try JSON.encodeMessage(message)
        guard bytes.count <= Self.maximumPacket else {
            throw WireError(.oversize, operation: "encoding \(type(of: message))", detail: "\(bytes.count) bytes")
        }
        return bytes
    }

    private func arrival<Message: Decodable & Sendable>(
        _ type: Message.Type, waiting: Bool, _ budget: inout TurnBudget
    ) throws(WireError) -> Arrival<Message> {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.maximumPacket, alignment: 16)
        defer { buffer.deallocate() }
        switch try SocketIO.receive(descriptor, from: otherEnd, into: buffer, waiting: waiting) {
        case .nothing: return .nothing
        case .end: return .end
        case .bytes(let count, let descriptors, let truncated):
            budget.spend(count)
            do throws(WireError) {
                guard !truncated else { throw WireError(.truncated, operation: "recvmsg") }
                return .message(try Self.decode(type, from: buffer[..<count]), descriptors: descriptors)
            } catch {
                SocketIO.close(descriptors)
                throw error
            }
        }
    }
}
