// Messages that wait for a slow reader, within bounds: what keeps a supervisor from ever waiting for anybody.

import CLinux
import Glibc

/// A queue of encoded messages with their descriptors, in front of a socket: bounded in bytes, messages and descriptors. It holds duplicates of the
/// descriptors it queues.
struct OutgoingQueue: ~Copyable {
    struct Bounds: Hashable, Sendable {
        var bytes: Int
        var messages = 4096
        /// That the other end has not taken yet: here, and on their way, where they count against the user's limit.
        var descriptors = 64
    }

    private struct Entry {
        var bytes: [UInt8]
        var sent = 0
        var descriptors: [Int32]
    }

    private static let compactionThreshold = 64

    let bounds: Bounds
    private var entries: [Entry] = []
    private var first = 0
    private(set) var queuedBytes = 0
    private var queuedDescriptors = 0
    /// Descriptors that were sent since the other end was last seen to have read everything.
    private var sentDescriptors = 0
    /// The system was short of something when this was tried last: the socket is writable, and trying again at once is of no use.
    private(set) var isShort = false

    init(_ bounds: Bounds) { self.bounds = bounds }

    var isEmpty: Bool { first == entries.count }

    /// Sends at once what there is room for and keeps the rest for `flush`. Throws `backlog` when the queue would grow past a bound, `shortage` when
    /// the system has no descriptor for what is to be kept.
    mutating func send(_ bytes: [UInt8], descriptors: [Int32], on socket: Int32) throws(WireError) {
        try admit(descriptors.count, on: socket)
        var sent = 0
        if isEmpty {
            sent = try transmit(bytes, from: 0, descriptors, on: socket) ?? 0
            if sent == bytes.count { return }
        }
        guard queuedBytes + bytes.count - sent <= bounds.bytes, entries.count - first < bounds.messages else {
            throw WireError(
                .backlog, operation: "sendmsg", detail: "\(entries.count - first) messages of \(queuedBytes) bytes are waiting already")
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
        queuedDescriptors += entry.descriptors.count
        entries.append(entry)
    }

    /// Sends what there is room for now. True when nothing waits any more.
    mutating func flush(on socket: Int32) throws(WireError) -> Bool {
        while first < entries.count {
            let entry = entries[first]
            guard let sent = try transmit(entry.bytes, from: entry.sent, entry.descriptors, on: socket) else { return false }
            queuedBytes -= sent
            queuedDescriptors -= entry.descriptors.count
            SocketIO.close(entry.descriptors)
            entries[first].descriptors = []
            entries[first].sent += sent
            guard entries[first].sent == entry.bytes.count else { return false }
            first += 1
            if first == Self.compactionThreshold {
                entries.removeFirst(first)
                first = 0
            }
        }
        entries = []
        first = 0
        return true
    }

    /// `nil` when there is no room now, or the system is short of something.
    private mutating func transmit(_ bytes: [UInt8], from start: Int, _ descriptors: [Int32], on socket: Int32) throws(WireError) -> Int? {
        let outcome = try bytes.withUnsafeBytesTyped { bytes throws(WireError) in
            try SocketIO.send(socket, UnsafeRawBufferPointer(rebasing: bytes[start...]), descriptors: descriptors, waiting: false)
        }
        switch outcome {
        case .sent(let count):
            isShort = false
            sentDescriptors += descriptors.count
            return count
        case .full:
            isShort = false
            return nil
        case .short:
            isShort = true
            return nil
        }
    }

    /// What is sent and not read yet is held by the system in this user's name: whoever doesn't read gets no more of them.
    private mutating func admit(_ count: Int, on socket: Int32) throws(WireError) {
        guard count > 0, queuedDescriptors + sentDescriptors + count > bounds.descriptors else { return }
        if clinux_unread(socket) == 0 { sentDescriptors = 0 }
        guard queuedDescriptors + sentDescriptors + count <= bounds.descriptors else {
            throw WireError(
                .backlog, operation: "sendmsg", detail: "\(queuedDescriptors + sentDescriptors) descriptors are waiting already")
        }
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
