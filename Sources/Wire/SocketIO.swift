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

    /// Bytes sent, `nil` when there is no room now (only when not waiting). The descriptors stay the caller's.
    static func send(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, descriptors: [Int32], waiting: Bool) throws(WireError) -> Int? {
        precondition(descriptors.count <= Int(CLINUX_MAX_DESCRIPTORS), "at most \(CLINUX_MAX_DESCRIPTORS) descriptors a message")
        while true {
            let result = clinux_send(
                socket, bytes.baseAddress, UInt(bytes.count), descriptors, Int32(descriptors.count),
                waiting ? 0 : Int32(MSG_DONTWAIT))
            if result >= 0 { return result }
            switch Int32(-result) {
            case EINTR: continue
            case EAGAIN where !waiting: return nil
            case let number: throw WireError(errno: number, operation: "sendmsg")
            }
        }
    }

    static func receive(_ socket: Int32, into buffer: UnsafeMutableRawBufferPointer, waiting: Bool) throws(WireError) -> Received {
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
            switch Int32(-result) {
            case EINTR: continue
            case EAGAIN where !waiting: return .nothing
            case ECONNRESET: return .end
            case let number: throw WireError(errno: number, operation: "recvmsg")
            }
        }
    }

    static func close(_ descriptors: [Int32]) {
        for descriptor in descriptors { Glibc.close(descriptor) }
    }
}
