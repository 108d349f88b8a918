// What the daemon tells systemd, and what it has it keep: datagrams to $NOTIFY_SOCKET, without its library.

import CLinux
import FileDescriptors
import Glibc
import Supervisor

/// The socket at which the service manager listens: sd_notify(3).
struct Notifier: DescriptorStore {
    /// A leading `@` stands for an abstract address.
    let address: String

    /// How long a manager that has not read what it was told before is waited for: its queue is short, and descriptors come in bursts.
    private static let patience = Duration.milliseconds(100)

    /// Sends assignments, one a line: `READY=1`, with a descriptor where one belongs to them. What went wrong, if anything.
    ///
    /// - Parameter isUrgent: what is said again soon need not be waited for; the rest is, for 100 ms at most.
    @discardableResult
    func send(_ state: String, descriptor: Int32? = nil, isUrgent: Bool = true) -> String? {
        var socketAddress = sockaddr_un()
        socketAddress.sun_family = sa_family_t(AF_UNIX)
        let path = Array(address.utf8)
        let capacity = MemoryLayout.size(ofValue: socketAddress.sun_path)
        guard path.count < capacity, path.first == UInt8(ascii: "/") || path.first == UInt8(ascii: "@") else {
            return "$NOTIFY_SOCKET is not the address of a Unix socket"
        }
        withUnsafeMutableBytes(of: &socketAddress.sun_path) { bytes in
            for (index, byte) in path.enumerated() { bytes[index] = byte }
            if path[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        }
        let made = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard let file = OwnedDescriptor(opened: made) else { return "socket: \(String(cString: strerror(errno)))" }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        let connected = withUnsafePointer(to: &socketAddress) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(file.number, $0, length) }
        }
        guard connected == 0 else { return "connect(\(address)): \(String(cString: strerror(errno)))" }
        if isUrgent {
            var queue = pollfd(fd: file.number, events: Int16(POLLOUT), revents: 0)
            poll(&queue, 1, Int32(Self.patience / .milliseconds(1)))
        }
        let bytes = Array(state.utf8)
        let descriptors = descriptor.map { [$0] } ?? []
        let sent = clinux_send(file.number, bytes, UInt(bytes.count), descriptors, Int32(descriptors.count), 0)
        return sent == bytes.count ? nil : "sendmsg(\(address)): \(String(cString: strerror(Int32(sent < 0 ? -sent : Int(EMSGSIZE)))))"
    }

    // A file whose device is unplugged hangs up, and systemd lets go of it by itself.
    func keep(_ descriptor: Int32, as name: String) -> String? { send("FDSTORE=1\nFDNAME=\(name)", descriptor: descriptor) }
    func remove(_ name: String) -> String? { send("FDSTOREREMOVE=1\nFDNAME=\(name)") }
}
