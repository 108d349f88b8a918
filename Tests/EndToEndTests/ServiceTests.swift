// The daemon as systemd's service: a socket that was made for it, and what it says of itself.

import CLinux
import Foundation
import Glibc
import Spawn
import Synchronization
import Testing
import UserDriverClient

/// Stands in for the service manager: it listens at a socket for the daemon, and at another one to it.
private final class Manager: Sendable {
    let runtime: String
    let listener: Int32
    private let notifications: Int32
    let notifyPath: String
    private let said = Said()

    init() throws {
        runtime = try Bench.makeRuntime()
        notifyPath = runtime + "/notify"
        listener = clinux_unix_stream(runtime + "/io.userdriver", 1)
        notifications = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(notifyPath.utf8)) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(notifications, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(listener >= 0 && bound == 0)
        said.read(notifications)
    }

    deinit {
        close(listener)
        // Its reader ends, and closes it.
        shutdown(notifications, Int32(SHUT_RDWR))
    }

    /// Starts the daemon as systemd does: the socket is descriptor 3, and LISTEN_PID its own process.
    func start(
        _ arguments: String = "", watchdogMicroseconds: Int = 200_000, stored: [(name: String, descriptor: Int32)] = []
    ) throws -> ChildProcess {
        let script = "LISTEN_PID=$$ exec \(Programs.folder)/userdriverd --runtime-dir \(runtime) --no-usb \(arguments)"
        return try ChildProcess(
            path: "/bin/bash",
            ChildProcess.Plan(
                arguments: ["bash", "-c", script],
                environment: [
                    "NOTIFY_SOCKET": notifyPath, "WATCHDOG_USEC": "\(watchdogMicroseconds)", "LISTEN_FDS": "\(1 + stored.count)",
                    "LISTEN_FDNAMES": (["userdriverd.socket"] + stored.map(\.name)).joined(separator: ":"),
                ], descriptors: [nil, nil, nil, listener] + stored.map(\.descriptor)))
    }

    /// Waits until the daemon says a line that begins so, after the one that was heard last.
    func hear(_ beginning: String) async throws -> String {
        let said = said
        return try await offPool {
            let deadline = ContinuousClock.now + .seconds(30)
            while let line = said.next(before: deadline) {
                if line.hasPrefix(beginning) { return line }
            }
            throw Timeout(what: "a notification", seen: beginning)
        }
    }
}

/// Lines that were said, in their order: read as they come, since the queue of a datagram socket is ten long and the daemon waits for nobody.
private final class Said: Sendable {
    private let lines = Mutex<[String]>([])
    private let added = DispatchSemaphore(value: 0)

    /// Reads until the other end of `notifications` is shut down.
    func read(_ notifications: Int32) {
        Thread.detachNewThread { [self] in
            var bytes = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(notifications, &bytes, bytes.count, 0)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { break }
                for line in String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n") {
                    lines.withLock { $0.append(String(line)) }
                    added.signal()
                }
            }
            close(notifications)
        }
    }

    /// The next one; nil where none comes in time.
    func next(before deadline: ContinuousClock.Instant) -> String? {
        let left = ContinuousClock.now.duration(to: deadline) / .milliseconds(1)
        guard added.wait(timeout: .now() + .milliseconds(max(0, Int(left)))) == .success else { return nil }
        return lines.withLock { $0.removeFirst() }
    }
}

@Suite(.enabled(if: Programs.areBuilt), .timeLimit(.minutes(3))) struct ServiceTests {
    @Test func servesTheSocketThatWasMadeForItAndSaysHowItIs() async throws {
        let manager = try Manager()
        let client = UserDriverClient(runtimeDirectory: RuntimeDirectory(manager.runtime))
        // The call is made before the daemon is there, and waits in the socket.
        async let devices = client.devices()
        let daemon = try manager.start()
        #expect(try await manager.hear("READY=") == "READY=1")
        #expect(try await devices.isEmpty)
        #expect(try await manager.hear("STATUS=") == "STATUS=0 devices, 0 driven, 0 watchers")
        for _ in 0..<3 { _ = try await manager.hear("WATCHDOG=1") }
        try daemon.kill(SIGTERM)
        #expect(try await manager.hear("STOPPING=") == "STOPPING=1")
        #expect(try await offPool { try daemon.wait(timeout: .seconds(20)) } == .exited(status: 0))
        // The socket is the manager's: it is there for the next one.
        #expect(access(manager.runtime + "/io.userdriver", F_OK) == 0)
        async let again = client.devices()
        let next = try manager.start()
        #expect(try await again.isEmpty)
        try next.kill(SIGTERM)
        _ = try await offPool { try next.wait(timeout: .seconds(20)) }
    }

    /// What a store holds that makes no sense, and what never was in it: closed, and let go where the manager has it still.
    @Test func whatItIsHandedAndCanNotUseIsClosed() async throws {
        let manager = try Manager()
        let file = open("/dev/zero", O_RDONLY | O_CLOEXEC)
        let memory = clinux_memfd("memory", 0)
        defer {
            close(file)
            close(memory)
        }
        let names = ["device-0-state", "device-0-1", "device-9-1", "driver-" + String(repeating: "ab", count: 32), "stranger", ""]
        let daemon = try manager.start(
            "--keep-streams", stored: names.enumerated().map { ($1, $0 % 2 == 0 ? memory : file) })
        var removed: Set<String> = []
        for _ in 0..<4 { removed.insert(try await manager.hear("FDNAME=")) }
        #expect(removed == Set(names.prefix(4).map { "FDNAME=" + $0 }))
        _ = try await manager.hear("READY=")
        #expect(try await UserDriverClient(runtimeDirectory: RuntimeDirectory(manager.runtime)).devices().isEmpty)
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(daemon.processID)/fd").compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(daemon.processID)/fd/\($0)")
        }
        #expect(!open.contains { $0.contains("memfd:memory") || $0 == "/dev/zero" }, "\(open)")
        try daemon.kill(SIGTERM)
        #expect(try await offPool { try daemon.wait(timeout: .seconds(20)) } == .exited(status: 0))
    }

    @Test func aDescriptorThatIsNoListeningSocketIsNotServed() async throws {
        let runtime = try Bench.makeRuntime()
        let file = open("/dev/zero", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let daemon = try ChildProcess(
            path: "/bin/bash",
            ChildProcess.Plan(
                arguments: ["bash", "-c", "LISTEN_PID=$$ exec \(Programs.folder)/userdriverd --runtime-dir \(runtime) --no-usb"],
                environment: ["LISTEN_FDS": "1"], descriptors: [nil, nil, nil, file]))
        while access(runtime + "/io.userdriver", F_OK) != 0 { try await Task.sleep(for: .milliseconds(10)) }
        // It has made a socket of its own.
        #expect(try await UserDriverClient(runtimeDirectory: RuntimeDirectory(runtime)).devices().isEmpty)
        try daemon.kill(SIGTERM)
        #expect(try await offPool { try daemon.wait(timeout: .seconds(30)) } == .exited(status: 0))
    }
}
