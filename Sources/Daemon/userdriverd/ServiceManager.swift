// What systemd asks of a service, without its library: sockets that it made, descriptors that it kept, and how the service is.

import Glibc
import Supervisor

/// The service manager that started this process, if one did: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
struct ServiceManager: Sendable {
    let notifier: Notifier?
    /// How often it wants to hear from the service, at least.
    let watchdog: Duration?
    /// A listening socket that it made for the service.
    let listener: Int32?
    /// What an earlier daemon left in its store.
    let stored: [StoredDescriptor]
    /// What it handed over and nobody knows what to do with; closed by now.
    let unexpected: [String]

    private static let firstDescriptor: Int32 = 3
    /// More are not looked at.
    private static let maximumDescriptors: Int32 = 4096

    /// Takes what the manager left in the environment, and takes it out there: it is meant for this process alone.
    static func fromEnvironment() -> ServiceManager {
        func variable(_ name: String) -> String? {
            defer { unsetenv(name) }
            return getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        let process = String(getpid())
        let (notify, period, watched) = (variable("NOTIFY_SOCKET"), variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"))
        let (listenProcess, count, names) = (variable("LISTEN_PID"), variable("LISTEN_FDS"), variable("LISTEN_FDNAMES"))
        var watchdog: Duration?
        if watched == nil || watched == process, let period, let microseconds = Int64(period), microseconds > 0 {
            watchdog = .microseconds(microseconds)
        }
        var handed = Handed()
        if listenProcess == process, let count = count.flatMap({ Int32($0) }), 1...maximumDescriptors ~= count {
            let names = (names ?? "").split(separator: ":", omittingEmptySubsequences: false)
            for index in 0..<count {
                handed.take(firstDescriptor + index, Int(index) < names.count ? String(names[Int(index)]) : "")
            }
        }
        return ServiceManager(
            notifier: notify.map { Notifier(address: $0) }, watchdog: watchdog, listener: handed.listener, stored: handed.stored,
            unexpected: handed.unexpected)
    }

    /// Descriptors that were handed over, told apart by name and by what they are.
    private struct Handed {
        var listener: Int32?
        var stored: [StoredDescriptor] = []
        var unexpected: [String] = []

        mutating func take(_ descriptor: Int32, _ name: String) {
            guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
                unexpected.append("descriptor \(descriptor) (\(name.prefix(100))): it is not open")
                return
            }
            if Supervisor.isStoreName(name) {
                stored.append(StoredDescriptor(name: name, descriptor: descriptor))
            } else if listener == nil, Self.listens(descriptor) {
                listener = descriptor
            } else {
                unexpected.append(
                    "descriptor \(descriptor) (\(name.prefix(100))): neither a listening Unix stream socket nor one of the store's names")
                close(descriptor)
            }
        }

        /// Nothing but a listening Unix stream socket can be served. Makes it non-blocking.
        private static func listens(_ descriptor: Int32) -> Bool {
            func option(_ name: Int32) -> Int32? {
                var value: Int32 = 0
                var length = socklen_t(MemoryLayout<Int32>.size)
                return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
            }
            guard option(SO_DOMAIN) == AF_UNIX, option(SO_TYPE) == Int32(SOCK_STREAM.rawValue), option(SO_ACCEPTCONN) == 1 else {
                return false
            }
            let flags = fcntl(descriptor, F_GETFL)
            return flags >= 0 && fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0
        }
    }

    /// Says how the supervisor is until the task is cancelled, twice as often as the watchdog asks. It runs on the supervisor's own thread: when
    /// that hangs, the manager hears nothing, which is what it watches for.
    @SupervisorActor
    func report(_ supervisor: Supervisor) async {
        guard let notifier else { return }
        let interval = watchdog.map { min($0 / 2, .seconds(5)) } ?? .seconds(5)
        var said = ""
        while !Task.isCancelled {
            let status = supervisor.summary
            let news = status == said ? "" : "\nSTATUS=\(status)"
            if notifier.send("WATCHDOG=1" + news, isUrgent: false) == nil { said = status }
            do { try await Task.sleep(for: interval) } catch { return }
        }
    }
}
