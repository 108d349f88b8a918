// Avahi of a test's own: a message bus that nobody else is on, and a daemon that speaks on loopback
// alone.

import Foundation
import Glibc
import Spawn
import Testing

/// `stop` ends everything it started.
final class AvahiSession: Sendable {
    /// avahi-daemon writes to /run/avahi-daemon, and there is one at a time.
    static let obstacle: String? = {
        let programs = ["/usr/sbin/avahi-daemon", "/usr/bin/avahi-browse", "/usr/bin/dbus-daemon"]
        if let missing = programs.first(where: { access($0, X_OK) != 0 }) { return "\(missing) is not installed" }
        if geteuid() != 0 { return "avahi-daemon can be started by root only" }
        if access("/run/avahi-daemon/pid", F_OK) == 0 { return "this machine's own Avahi runs" }
        if access(Programs.folder + "/userdriver-announce", X_OK) != 0 {
            return "userdriver-announce is not built: run make build-announce"
        }
        return nil
    }()

    let folder: String
    private let bus: Running
    private let daemon: Daemon

    /// Replaced by tests that end it.
    private actor Daemon {
        private(set) var running: Running
        init(_ running: Running) { self.running = running }
        func set(_ running: Running) { self.running = running }
    }

    var environment: [String: String] { ["DBUS_SYSTEM_BUS_ADDRESS": "unix:path=\(folder)/bus", "HOME": folder] }

    private init(folder: String, bus: Running, daemon: Running) {
        self.folder = folder
        self.bus = bus
        self.daemon = Daemon(daemon)
    }

    static func start() async throws -> AvahiSession {
        let folder = try Bench.makeRuntime()
        let settings = """
            [server]
            host-name=userdriver-test
            use-ipv6=no
            allow-interfaces=lo
            [publish]
            publish-hinfo=no
            publish-workstation=no
            """
        try settings.write(toFile: folder + "/avahi.conf", atomically: true, encoding: .utf8)
        let bus = try await MessageBus.start("system", in: folder)
        return AvahiSession(folder: folder, bus: bus, daemon: try await startDaemon(in: folder))
    }

    private static func startDaemon(in folder: String) async throws -> Running {
        let daemon = try Running(
            path: "/usr/sbin/avahi-daemon", name: "avahi-daemon",
            arguments: ["--file=\(folder)/avahi.conf", "--no-chroot", "--no-drop-root", "--no-rlimits", "--no-proc-title"],
            environment: ["DBUS_SYSTEM_BUS_ADDRESS": "unix:path=\(folder)/bus"])
        try await daemon.waitForOutput(errors: true) { $0.contains("Server startup complete") }
        return daemon
    }

    func restart() async throws {
        _ = try await daemon.running.stop()
        await daemon.set(try await Self.startDaemon(in: folder))
    }

    /// What is announced: `NAME PORT TXT`, the name as DNS has it.
    func services(_ type: String) async throws -> [String] {
        let result = try await Running(
            path: "/usr/bin/avahi-browse", name: "avahi-browse", arguments: ["-rtp", type], environment: environment
        ).finish()
        return result.text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ";", omittingEmptySubsequences: false)
            guard fields.first == "=", fields.count > 9 else { return nil }
            #expect(fields[1] == "lo" && fields[7] == "127.0.0.1", "on loopback alone: \(line)")
            return "\(fields[3]) \(fields[8]) \(fields[9...].joined(separator: ";"))"
        }
    }

    func scanners() async throws -> [String] { try await services("_uscan._tcp") }

    @discardableResult
    func waitForScanners(timeout: Duration = .seconds(60), _ condition: ([String]) -> Bool) async throws -> [String] {
        try await waitForServices("_uscan._tcp", timeout: timeout, condition)
    }

    /// Browses until what is announced satisfies `condition`; avahi-browse itself takes its time.
    @discardableResult
    func waitForServices(
        _ type: String, timeout: Duration = .seconds(60), _ condition: ([String]) -> Bool
    ) async throws -> [String] {
        let deadline = ContinuousClock.now + timeout
        while true {
            let found = try await services(type)
            if condition(found) { return found }
            guard ContinuousClock.now < deadline else { throw Timeout(what: "what is announced", seen: "\(found)") }
        }
    }

    func stop() async throws {
        _ = try await daemon.running.stop()
        _ = try await bus.stop()
        try? FileManager.default.removeItem(atPath: folder)  // a leftover in a temporary folder fails nobody
    }
}
