// A service manager's descriptor store, as far as a daemon that is killed needs one: what it is
// told to keep, the next one is given.

import CLinux
import Glibc
import Synchronization
import Threads

/// Listens as `$NOTIFY_SOCKET`: `FDSTORE=1` and `FDSTOREREMOVE=1` of sd_notify(3).
final class KeptDescriptors: Sendable {
    struct Kept: Sendable {
        var name: String
        var descriptor: Int32
    }
    let path: String
    private let socket: Int32
    private let kept = Mutex<[Kept]>([])

    init(path: String) throws {
        self.path = path
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            for (index, byte) in path.utf8.prefix(bytes.count - 1).enumerated() { bytes[index] = byte }
        }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, length) }
        }
        guard bound == 0 else { throw StageError(description: "\(path): \(String(cString: strerror(errno)))") }
        _ = try WorkerThread(name: "descriptors") { [weak self, socket] in
            while true {
                var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
                poll(&entry, 1, -1)
                guard let self, entry.revents & Int16(POLLNVAL) == 0 else { return }
                self.drain()
            }
        }
    }

    /// Takes what has been said so far.
    func drain() {
        kept.withLock { kept in
            while let (text, descriptors) = receive() { Self.take(text, descriptors, &kept) }
        }
    }

    /// What a daemon that is started now is given: descriptors stay this object's.
    var all: [Kept] { kept.withLock { $0 } }

    private func receive() -> (String, [Int32])? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        var descriptors = [Int32](repeating: -1, count: Int(CLINUX_MAX_DESCRIPTORS))
        var (count, truncated): (Int32, Int32) = (0, 0)
        let length = clinux_receive(socket, &bytes, UInt(bytes.count), &descriptors, &count, &truncated, Int32(MSG_DONTWAIT))
        guard length > 0 else { return nil }
        return (String(decoding: bytes.prefix(length), as: UTF8.self), Array(descriptors.prefix(Int(count))))
    }

    private static func take(_ text: String, _ descriptors: [Int32], _ kept: inout [Kept]) {
        let lines = text.split(separator: "\n")
        let name = lines.first { $0.hasPrefix("FDNAME=") }.map { String($0.dropFirst(7)) } ?? ""
        var unused = descriptors
        if lines.contains("FDSTORE=1"), let first = descriptors.first {
            kept.append(Kept(name: name, descriptor: first))
            unused.removeFirst()
        }
        if lines.contains("FDSTOREREMOVE=1") {
            unused += kept.filter { $0.name == name }.map(\.descriptor)
            kept.removeAll { $0.name == name }
        }
        for descriptor in unused { close(descriptor) }
    }
}
