// What systemd asks of a service, without its library: sockets that it made, and datagrams that say how the service is.

import Glibc
import Supervisor

/// The service manager that started this process, if one did: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
struct ServiceManager: Sendable {
    /// The address that the manager listens at; a leading `@` stands for an abstract one.
    let notifySocket: String?
    /// How often it wants to hear from the service, at least.
    let watchdog: Duration?
    /// A listening socket that it made for the service.
    let listener: Int32?

    private static let firstDescriptor: Int32 = 3

    /// Takes what the manager left in the environment, and takes it out there: it is meant for this process alone.
    static func fromEnvironment() throws(StartError) -> ServiceManager {
        func variable(_ name: String) -> String? {
            defer { unsetenv(name) }
            return getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        let process = String(getpid())
        let (notify, period, watched) = (variable("NOTIFY_SOCKET"), variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"))
        let (listenProcess, count) = (variable("LISTEN_PID"), variable("LISTEN_FDS"))
        _ = variable("LISTEN_FDNAMES")
        var watchdog: Duration?
        if watched == nil || watched == process, let period, let microseconds = Int64(period), microseconds > 0 {
            watchdog = .microseconds(microseconds)
        }
        var listener: Int32?
        if listenProcess == process, let count {
            guard count == "1" else {
                throw StartError(description: "The service manager handed over \(count) sockets; one is expected, the Varlink socket.")
            }
            listener = try adopt(firstDescriptor)
        }
        return ServiceManager(notifySocket: notify, watchdog: watchdog, listener: listener)
    }

    /// Checks what was handed over, as nothing but a listening Unix stream socket can be served.
    private static func adopt(_ descriptor: Int32) throws(StartError) -> Int32 {
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
        }
        guard option(SO_DOMAIN) == AF_UNIX, option(SO_TYPE) == Int32(SOCK_STREAM.rawValue), option(SO_ACCEPTCONN) == 1 else {
            throw StartError(description: "Descriptor \(descriptor), which the service manager left, is no listening Unix stream socket.")
        }
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0, fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
            throw StartError(description: "Descriptor \(descriptor), which the service manager left: \(String(cString: strerror(errno))).")
        }
        return descriptor
    }

    /// Sends assignments, one a line: `READY=1`. Never waits. Returns what went wrong, if anything.
    @discardableResult
    func notify(_ state: String) -> String? {
        guard let notifySocket else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(notifySocket.utf8)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard path.count < capacity, path.first == UInt8(ascii: "/") || path.first == UInt8(ascii: "@") else {
            return "$NOTIFY_SOCKET is no address of a Unix socket"
        }
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            for (index, byte) in path.enumerated() { bytes[index] = byte }
            if path[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return "socket: \(String(cString: strerror(errno)))" }
        defer { close(descriptor) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        let bytes = Array(state.utf8)
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { sendto(descriptor, bytes, bytes.count, 0, $0, length) }
        }
        return sent == bytes.count ? nil : "sendto(\(notifySocket)): \(String(cString: strerror(errno)))"
    }

    /// Says how the supervisor is until the task is cancelled, twice as often as the watchdog asks. It runs on the supervisor's own thread: when
    /// that hangs, the manager hears nothing, which is what it watches for.
    @SupervisorActor
    func report(_ supervisor: Supervisor) async {
        guard notifySocket != nil else { return }
        let interval = watchdog.map { min($0 / 2, .seconds(5)) } ?? .seconds(5)
        var said = ""
        while !Task.isCancelled {
            let status = supervisor.summary
            let news = status == said ? "" : "\nSTATUS=\(status)"
            said = status
            notify("WATCHDOG=1" + news)
            do { try await Task.sleep(for: interval) } catch { return }
        }
    }
}
