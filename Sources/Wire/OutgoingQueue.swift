// Messages that wait for a slow reader, within bounds: what keeps a supervisor from ever waiting for anybody.

import CLinux
import Glibc

/// A bounded queue of encoded messages with their descriptors, in front of a socket. It holds duplicates of the descriptors it queues.
struct OutgoingQueue: ~Copyable {
    private struct Entry {
        var bytes: [UInt8]
        var sent = 0
        var descriptors: [Int32]
    }

    let maximumBytes: Int
    private var entries: [Entry] = []
    private var first = 0
    private(set) var queuedBytes = 0

    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    var isEmpty: Bool { first == entries.count }

    /// Sends at once what there is room for and keeps the rest for `flush`. Throws `backlog` when the queue would grow past its bound.
    mutating func send(_ bytes: [UInt8], descriptors: [Int32], on socket: Int32) throws(WireError) {
        var sent = 0
        if isEmpty {
            sent = try bytes.withUnsafeBytesTyped { bytes throws(WireError) in
                try SocketIO.send(socket, bytes, descriptors: descriptors, waiting: false) ?? 0
            }
            if sent == bytes.count { return }
        }
        guard queuedBytes + bytes.count - sent <= maximumBytes else {
            throw WireError(.backlog, operation: "sendmsg", detail: "\(queuedBytes) bytes wait already")
        }
        var entry = Entry(bytes: bytes, sent: sent, descriptors: [])
        if sent == 0 {
            // Descriptors go with a message's first byte, so once that is sent they are too.
            for descriptor in descriptors {
                let duplicate = clinux_duplicate(descriptor)
                guard duplicate >= 0 else {
                    SocketIO.close(entry.descriptors)
                    throw WireError(errno: -duplicate, operation: "fcntl(F_DUPFD_CLOEXEC)")
                }
                entry.descriptors.append(duplicate)
            }
        }
        queuedBytes += bytes.count - sent
        entries.append(entry)
    }

    /// Sends what there is room for now. True when nothing waits any more.
    mutating func flush(on socket: Int32) throws(WireError) -> Bool {
        while first < entries.count {
            let entry = entries[first]
            let sent = try entry.bytes.withUnsafeBytesTyped { bytes throws(WireError) in
                try SocketIO.send(
                    socket, UnsafeRawBufferPointer(rebasing: bytes[entry.sent...]), descriptors: entry.descriptors, waiting: false)
            }
            guard let sent else { return false }
            queuedBytes -= sent
            SocketIO.close(entry.descriptors)
            entries[first].descriptors = []
            entries[first].sent += sent
            guard entries[first].sent == entry.bytes.count else { return false }
            first += 1
        }
        entries = []
        first = 0
        return true
    }

    deinit {
        for entry in entries { SocketIO.close(entry.descriptors) }
    }
}

extension Array where Element == UInt8 {
    /// `withUnsafeBytes` whose closure's error keeps its type.
    func withUnsafeBytesTyped<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        var result: Result<R, E>?
        withUnsafeBytes { bytes in
            do throws(E) {
                result = .success(try body(bytes))
            } catch {
                result = .failure(error)
            }
        }
        guard let result else { preconditionFailure("withUnsafeBytes calls its closure") }
        return try result.get()
    }
}
