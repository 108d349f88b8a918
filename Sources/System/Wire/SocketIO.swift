// sendmsg and recvmsg with descriptors, as both kinds of connection use them.

import CLinux
import Glibc

enum SocketIO {
    enum Received {
        /// Nothing there now (only when not waiting).
        case nothing
        case end
        case bytes(count: Int, descriptors: [Int32], truncated: Bool)
    }

    enum Sent {
        case sent(Int)
        /// There is no room now (only when not waiting).
        case full
        /// The system is short of something (only when not waiting): of room for descriptors on their way, of memory.
        case short
    }

    /// The descriptors stay the caller's.
    static func send(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, descriptors: [Int32], waiting: Bool) throws(WireError) -> Sent {
        precondition(descriptors.count <= Int(CLINUX_MAX_DESCRIPTORS), "at most \(CLINUX_MAX_DESCRIPTORS) descriptors a message")
        while true {
            let result = clinux_send(
                socket, bytes.baseAddress, UInt(bytes.count), descriptors, Int32(descriptors.count),
                waiting ? 0 : Int32(MSG_DONTWAIT))
            if result >= 0 { return .sent(result) }
            switch Int32(-result) {
            case EINTR: continue
            case EAGAIN where !waiting: return .full
            case ETOOMANYREFS where !waiting, ENOBUFS where !waiting, ENOMEM where !waiting: return .short
            case let number: throw WireError(errno: number, operation: "sendmsg")
            }
        }
    }

    static func receive(
        _ socket: Int32, from otherEnd: OtherEnd, into buffer: UnsafeMutableRawBufferPointer, waiting: Bool
    ) throws(WireError) -> Received {
        switch otherEnd {
        case .trusted: try receive(socket, into: buffer, waiting: waiting)
        case .stranger: try receiveBytes(socket, into: buffer, waiting: waiting)
        }
    }

    private static func receive(_ socket: Int32, into buffer: UnsafeMutableRawBufferPointer, waiting: Bool) throws(WireError) -> Received {
        var descriptors = [Int32](repeating: -1, count: Int(CLINUX_MAX_DESCRIPTORS))
        var count: Int32 = 0
        var truncated: Int32 = 0
        while true {
            let result = clinux_receive(
                socket, buffer.baseAddress, UInt(buffer.count), &descriptors, &count, &truncated,
                waiting ? 0 : Int32(MSG_DONTWAIT))
            if result > 0 {
                return .bytes(count: result, descriptors: Array(descriptors.prefix(Int(count))), truncated: truncated != 0)
            }
            if result == 0 {
                close(Array(descriptors.prefix(Int(count))))
                return .end
            }
            guard let received = try Self.received(errno: Int32(-result), waiting: waiting) else { continue }
            return received
        }
    }

    /// From a stranger: what comes with descriptors stays where it is, and `descriptors` is thrown. They are never received here, since closing them
    /// might wait for him (see `DescriptorCloser`).
    private static func receiveBytes(
        _ socket: Int32, into buffer: UnsafeMutableRawBufferPointer, waiting: Bool
    ) throws(WireError) -> Received {
        var truncated: Int32 = 0
        while true {
            let result = clinux_receive_bytes(
                socket, buffer.baseAddress, UInt(buffer.count), &truncated, waiting ? 0 : Int32(MSG_DONTWAIT))
            if result > 0 { return .bytes(count: result, descriptors: [], truncated: truncated != 0) }
            if result == 0 { return .end }
            if result == -Int(EBADMSG) { throw WireError(.descriptors, operation: "recvmsg") }
            guard let received = try Self.received(errno: Int32(-result), waiting: waiting) else { continue }
            return received
        }
    }

    /// `nil` to try again.
    private static func received(errno number: Int32, waiting: Bool) throws(WireError) -> Received? {
        switch number {
        case EINTR: nil
        case EAGAIN where !waiting: .nothing
        case ECONNRESET: .end
        default: throw WireError(errno: number, operation: "recvmsg")
        }
    }

    static func close(_ descriptors: [Int32]) {
        for descriptor in descriptors { Glibc.close(descriptor) }
    }
}

/// Who is at the other end of a socket.
public enum OtherEnd: Sendable {
    /// Descriptors are taken from it, and the socket is closed where it is let go.
    case trusted
    /// A driver or a client, who may mean harm: no descriptors are taken, and the socket is closed by `DescriptorCloser`.
    case stranger

    func close(_ socket: Int32) {
        switch self {
        case .trusted: Glibc.close(socket)
        case .stranger: DescriptorCloser.shared.close(socket)
        }
    }
}
