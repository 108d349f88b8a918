// The bytes a client has sent and the engine has not looked at yet.

import CLinux
import Glibc
import USBIP

/// Reads whole headers through a buffer, and what belongs to a transfer straight into the transfer's own memory.
struct MessageInput: ~Copyable {
    private static let capacity = 64 << 10
    private let buffer = ByteStore()
    private var start = 0
    private var end = 0
    /// A transfer whose header is there and whose data is still coming.
    private var partial: QueuedTransfer?
    private var filled = 0

    enum Arrival {
        case some
        case nothing
        /// The client has closed the connection, or it broke.
        case end(errno: Int32)
    }

    init() { buffer.reserve(Self.capacity) }

    /// Receives once.
    mutating func receive(from socket: Int32) -> Arrival {
        if start == end {
            start = 0
            end = 0
        } else if start > 0 {
            let rest = buffer.slice(start..<end)
            buffer.bytes.copyMemory(from: UnsafeRawBufferPointer(rest))
            end -= start
            start = 0
        }
        let free = buffer.slice(end..<Self.capacity)
        var count: Int
        if let partial, start == end {
            let missing = partial.payload.slice(filled..<partial.command.payloadLength)
            count = clinux_receive_now2(socket, missing.baseAddress, UInt(missing.count), free.baseAddress, UInt(free.count))
            if count > 0 {
                let direct = min(count, missing.count)
                filled += direct
                end += count - direct
            }
        } else {
            count = clinux_receive_now(socket, free.baseAddress, UInt(free.count))
            if count > 0 { end += count }
        }
        if count > 0 { return .some }
        return count == -Int(EAGAIN) ? .nothing : .end(errno: Int32(clamping: -count))
    }

    /// The next header, once the transfer before it is complete.
    mutating func header() throws(USBIPError) -> URBHeader? {
        guard partial == nil, end - start >= URBHeader.byteCount else { return nil }
        let header = try URBHeader(decoding: UnsafeRawBufferPointer(buffer.slice(start..<end)))
        start += URBHeader.byteCount
        return header
    }

    /// Begins to collect what follows the transfer's header.
    mutating func collect(_ transfer: QueuedTransfer) {
        transfer.payload.reserve(transfer.command.payloadLength)
        partial = transfer
        filled = 0
    }

    /// The transfer that was being collected, once it is whole.
    mutating func collected() -> QueuedTransfer? {
        guard let transfer = partial else { return nil }
        let needed = transfer.command.payloadLength
        let count = min(end - start, needed - filled)
        if count > 0 {
            transfer.payload.slice(filled..<needed).copyMemory(from: UnsafeRawBufferPointer(buffer.slice(start..<start + count)))
            start += count
            filled += count
        }
        guard filled == needed else { return nil }
        partial = nil
        return transfer
    }
}
