// What goes out on a socket that several threads send on, and that none of them waits for.

import CLinux
import Glibc
import Threads
import USB

/// Messages in order, each whole: at once as far as the socket has room, else from a queue that the
/// reader sends when there is. A reader that waited for the server to read, which waits for the
/// reader, would wait for ever.
final class URBOutput: @unchecked Sendable {
    // Sendable: `monitor` guards what changes.
    enum Sent {
        case done
        /// The rest is in the queue.
        case waits
        case failed(Int32)
    }
    enum Flushed {
        case done
        /// There is no room; until when there should be.
        case waits(until: UInt64)
        case failed(Int32)
        case stalled
    }

    /// A server that takes nothing for so long has failed.
    private static let patience: UInt64 = 5_000_000_000
    /// Whoever may wait does so while more is in the queue.
    private static let mostQueued = 1 << 20

    private let monitor = Monitor()
    private let hasRoom = MonitorCondition()
    private var queue: [UInt8] = []
    private var sentOfQueue = 0
    private var lastProgress: UInt64 = 0

    /// - Parameter body: hands over the pieces.
    func send(to socket: Int32, _ body: ((UnsafeRawBufferPointer) -> Void) -> Void) -> Sent {
        monitor.lock()
        defer { monitor.unlock() }
        var failure: Int32 = 0
        body { bytes in
            guard failure == 0 else { return }
            var rest = bytes
            if queue.isEmpty { rest = Self.sendNow(bytes, to: socket, &failure) }
            guard !rest.isEmpty, failure == 0 else { return }
            if queue.isEmpty { lastProgress = clinux_monotonic_ns() }
            queue.append(contentsOf: rest)
        }
        if failure != 0 { return .failed(failure) }
        return queue.isEmpty ? .done : .waits
    }

    /// Sends from the queue what there is room for.
    func flush(to socket: Int32) -> Flushed {
        monitor.lock()
        defer { monitor.unlock() }
        guard !queue.isEmpty else { return .done }
        var failure: Int32 = 0
        let left = queue.withUnsafeBytes {
            Self.sendNow(UnsafeRawBufferPointer(rebasing: $0[sentOfQueue...]), to: socket, &failure).count
        }
        guard failure == 0 else {
            drop()
            return .failed(failure)
        }
        let now = clinux_monotonic_ns()
        if queue.count - sentOfQueue > left {
            sentOfQueue = queue.count - left
            lastProgress = now
        }
        if left == 0 {
            queue = []
            sentOfQueue = 0
        }
        if left <= Self.mostQueued { hasRoom.broadcast() }
        if left == 0 { return .done }
        let end = lastProgress + Self.patience
        guard now >= end else { return .waits(until: end) }
        drop()
        return .stalled
    }

    /// Nothing of it will be sent any more.
    private func drop() {
        queue = []
        sentOfQueue = 0
        hasRoom.broadcast()
    }

    /// Waits while the queue is full. Not on the thread that flushes.
    func waitForRoom(unless isOver: () -> Bool) {
        monitor.lock()
        defer { monitor.unlock() }
        while queue.count - sentOfQueue > Self.mostQueued, !isOver() {
            hasRoom.wait(monitor, until: clinux_monotonic_ns() + 100_000_000)
        }
    }

    /// What is left.
    private static func sendNow(
        _ bytes: UnsafeRawBufferPointer, to socket: Int32, _ failure: inout Int32
    ) -> UnsafeRawBufferPointer {
        var sent = 0
        while sent < bytes.count, let base = bytes.baseAddress {
            let count = clinux_send_now(socket, base + sent, UInt(bytes.count - sent))
            if count > 0 {
                sent += count
            } else {
                if count != -Int(EAGAIN) { failure = Int32(clamping: -count) }
                break
            }
        }
        return UnsafeRawBufferPointer(rebasing: bytes[sent...])
    }
}
