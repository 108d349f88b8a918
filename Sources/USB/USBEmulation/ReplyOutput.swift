// Replies on their way to the client.

import CLinux
import Glibc

/// Sends at once, one call a reply; what the socket has no room for is kept until it has.
struct ReplyOutput: ~Copyable {
    private let socket: Int32
    private let pending = ByteStore()
    private var start = 0
    private var end = 0
    /// The connection is broken; the errno.
    private(set) var failure: Int32?

    init(socket: Int32) { self.socket = socket }

    /// Nothing more should be completed until the client has read what there is.
    var isBlocked: Bool { start < end || failure != nil }

    mutating func send(_ bytes: UnsafeMutableRawBufferPointer) {
        send(bytes, UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Two pieces as one. Nothing of them is kept but what the socket has no room for.
    mutating func send(_ first: UnsafeMutableRawBufferPointer, _ second: UnsafeRawBufferPointer) {
        guard failure == nil else { return }
        var sent = 0
        if start == end {
            let count = clinux_send_now2(socket, first.baseAddress, UInt(first.count), second.baseAddress, UInt(second.count))
            if count >= 0 { sent = count } else if count != -Int(EAGAIN) { failure = Int32(clamping: -count) }
        }
        guard failure == nil else { return }
        keep(UnsafeRawBufferPointer(first).dropFirst(sent))
        keep(second.dropFirst(max(0, sent - first.count)))
    }

    private mutating func keep(_ rest: Slice<UnsafeRawBufferPointer>) {
        guard !rest.isEmpty else { return }
        pending.reserve(end + rest.count, keeping: end)
        pending.slice(end..<end + rest.count).copyMemory(from: UnsafeRawBufferPointer(rebasing: rest))
        end += rest.count
    }

    /// Goes on, once the socket has room.
    mutating func flush() {
        guard failure == nil, start < end else { return }
        let rest = pending.slice(start..<end)
        let count = clinux_send_now(socket, rest.baseAddress, UInt(rest.count))
        if count >= 0 { start += count } else if count != -Int(EAGAIN) { failure = Int32(clamping: -count) }
        if start == end {
            start = 0
            end = 0
            pending.shrink(above: 1 << 20)
        }
    }
}
