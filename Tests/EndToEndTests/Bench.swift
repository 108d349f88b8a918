// A supervisor with emulated cameras, in a runtime folder of its own.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

/// What a test plays with. `stop` ends everything it started.
final class Bench: Sendable {
    let runtime: String
    let client: UserDriverClient
    let emulator: Running?
    let url: String
    private let daemon: Daemon

    /// The daemon is replaced by tests that kill it.
    actor Daemon {
        private(set) var running: Running?
        init(_ running: Running?) { self.running = running }
        func set(_ running: Running?) { self.running = running }
    }

    private init(runtime: String, emulator: Running?, url: String, daemon: Running?) {
        self.runtime = runtime
        self.client = UserDriverClient(runtimeDirectory: RuntimeDirectory(runtime))
        self.emulator = emulator
        self.url = url
        self.daemon = Daemon(daemon)
    }

    /// A camera whose bus waits for a host that is late, as none does: what is lost then, we lost.
    static func startEmulator(_ options: [String] = [], port: Int = 0) async throws -> (Running, String) {
        let emulator = try Programs.start("userdriver", ["emulate", "webcam", "--late", "hold", "--port", "\(port)"] + options)
        let text = try await emulator.waitForOutput { $0.contains("\n") }
        let url = try #require(text.split(separator: "\n").first.map(String.init))
        try #require(url.hasPrefix("usbip://"), "the first line is the device's address: \(text)")
        return (emulator, url)
    }

    /// A daemon with one emulated device of that kind that runs.
    static func start(emulating kind: String, _ options: [String]) async throws -> Bench {
        let runtime = try makeRuntime()
        let emulator = try Programs.start("userdriver", ["emulate", kind, "--port", "0"] + options)
        let text = try await emulator.waitForOutput { $0.contains("\n") }
        let url = try #require(text.split(separator: "\n").first.map(String.init))
        try #require(url.hasPrefix("usbip://"), "the first line is the device's address: \(text)")
        let daemon = try startDaemon(runtime: runtime, arguments: ["--attach", url])
        let bench = Bench(runtime: runtime, emulator: emulator, url: url, daemon: daemon)
        _ = try await bench.waitForDevice { $0.state == .running }
        return bench
    }

    static func startDaemon(runtime: String, arguments: [String] = []) throws -> Running {
        try Programs.start("userdriverd", ["--runtime-dir", runtime, "--state-dir", runtime + "/state", "--no-usb"] + arguments)
    }

    /// A new folder that only its owner may look into.
    static func makeRuntime() throws -> String {
        let runtime = "/tmp/udt-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: runtime, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        return runtime
    }

    /// A daemon without a device.
    static func startWithoutDevices() async throws -> Bench {
        let runtime = try makeRuntime()
        let bench = Bench(runtime: runtime, emulator: nil, url: "", daemon: try startDaemon(runtime: runtime))
        try await bench.client.waitUntilRunning(timeout: .seconds(30))
        return bench
    }

    /// A daemon with one emulated camera that runs.
    static func start(emulate options: [String] = [], daemon arguments: [String] = [], awaitRunning: Bool = true) async throws -> Bench {
        let runtime = try makeRuntime()
        let (emulator, url) = try await startEmulator(options)
        let daemon = try startDaemon(runtime: runtime, arguments: ["--attach", url] + arguments)
        let bench = Bench(runtime: runtime, emulator: emulator, url: url, daemon: daemon)
        if awaitRunning { _ = try await bench.waitForDevice { $0.state == .running } }
        return bench
    }

    var daemonProcess: Running? { get async { await daemon.running } }

    func restartDaemon() async throws {
        await daemon.set(try Self.startDaemon(runtime: runtime, arguments: ["--attach", url]))
    }

    /// The port of `url`.
    var port: Int {
        get throws {
            try #require(url.split(separator: "/").dropFirst().first?.split(separator: ":").last.flatMap { Int($0) })
        }
    }

    /// Runs a verb against this bench's daemon.
    func userdriver(_ arguments: String..., timeout: Duration = .seconds(120)) async throws -> Programs.Result {
        try await Programs.run("userdriver", arguments, environment: ["USERDRIVER_RUNTIME_DIR": runtime], timeout: timeout)
    }

    func startUserdriver(_ arguments: String...) throws -> Running {
        try Programs.start("userdriver", arguments, environment: ["USERDRIVER_RUNTIME_DIR": runtime])
    }

    /// Waits until the only device satisfies `condition`, looked at again at each of the supervisor's events, and now and then.
    @discardableResult
    func waitForDevice(timeout: Duration = .seconds(60), _ condition: @escaping @Sendable (DeviceStatus) -> Bool) async throws
        -> DeviceStatus
    {
        let client = self.client
        return try await withThrowingTaskGroup(of: DeviceStatus?.self) { group in
            group.addTask {
                while true {
                    do {
                        // From here on every event is told, so nothing is missed between the look and the wait.
                        let events = try await client.events()
                        if let device = try await client.devices().first, condition(device) { return device }
                        for try await _ in events {
                            if let device = try await client.devices().first, condition(device) { return device }
                        }
                    } catch let error as ClientError where error.isTransient {
                        // The daemon is not there yet: its socket is looked for again below.
                    }
                    try Task.checkCancellation()
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            group.addTask {
                // Frames are counted without an event.
                while true {
                    try await Task.sleep(for: .milliseconds(200))
                    do {
                        if let device = try await client.devices().first, condition(device) { return device }
                    } catch let error as ClientError where error.isTransient {
                        // As above.
                    }
                }
            }
            group.addTask {
                try await Task.sleep(for: timeout)
                return nil
            }
            let found = try await group.next() ?? nil
            group.cancelAll()
            if let found { return found }
            let seen = try await client.devices()
            throw Timeout(what: "a state of the device", seen: "\(seen)")
        }
    }

    func stopDaemon() async throws {
        if let daemon = await daemon.running {
            let result = try await daemon.stop()
            #expect(result.status == .exited(status: 0), "userdriverd: \(result.errors)")
            await self.daemon.set(nil)
        }
    }

    /// Ends everything, and checks that nothing is left behind.
    func stop() async throws {
        try await stopDaemon()
        if let emulator { _ = try await emulator.stop() }
        #expect(Self.processes(mentioning: runtime).isEmpty)
        try? FileManager.default.removeItem(atPath: runtime)  // a leftover in a temporary folder fails nobody
    }

    /// Processes whose command line mentions `text`.
    static func processes(mentioning text: String) -> [Int32] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap(Int32.init).filter { pid in
            guard let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
            return String(decoding: line, as: UTF8.self).contains(text)
        }
    }
}

/// `stream --stats json`'s last line.
struct StreamFacts: Decodable {
    var frames: Int
    var lost: Int
    var torn: Int
    var restarts: Int
    var longestGapMs: Double
    var fps: Double
    var bytes: Int
}
