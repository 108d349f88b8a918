// A person's session without a person: PipeWire and WirePlumber of their own, and the cameras in it.

import Foundation
import Glibc
import Spawn
import Testing

/// What there is to test with.
enum PipeWirePrograms {
    static let session = ["pipewire", "wireplumber", "dbus-daemon", "pw-dump", "pw-cli", "gst-launch-1.0"]

    /// Built with PipeWire: the name of its library stands in it.
    static let isBuilt =
        FileManager.default.contents(atPath: Programs.folder + "/userdriver-pipewire")?.range(of: Data("libpipewire-0.3.so".utf8)) != nil

    /// Also the plugin of GStreamer's, which is a package of its own.
    static let areInstalled =
        session.allSatisfy { access("/usr/bin/" + $0, X_OK) == 0 }
        && ["x86_64-linux-gnu", "aarch64-linux-gnu"].contains { access("/usr/lib/\($0)/gstreamer-1.0/libgstpipewire.so", R_OK) == 0 }
}

/// `stop` ends everything it started.
final class PipeWireSession: Sendable {
    let bench: Bench
    let folder: String
    private let bus: Running
    private let servers: Servers
    let surface: Running

    /// PipeWire is replaced by the test that ends it.
    actor Servers {
        private(set) var running: [Running] = []
        func set(_ running: [Running]) { self.running = running }
    }

    static let raw = "userdriver.1209_0001_EMU0001"
    static let jpeg = raw + ".mjpeg"
    static let h264 = raw + ".h264"

    private init(bench: Bench, folder: String, bus: Running, servers: Servers, surface: Running) {
        self.bench = bench
        self.folder = folder
        self.bus = bus
        self.servers = servers
        self.surface = surface
    }

    /// A session in which the bench's camera has its nodes.
    static func start(_ bench: Bench) async throws -> PipeWireSession {
        let folder = try Bench.makeRuntime()
        let bus = try await MessageBus.start("session", in: folder, environment: environment(of: folder, bench))
        let servers = Servers()
        await servers.set(try await startServers(in: folder, bench))
        let surface = try Programs.start("userdriver-pipewire", [], environment: environment(of: folder, bench))
        let session = PipeWireSession(bench: bench, folder: folder, bus: bus, servers: servers, surface: surface)
        try await session.waitForNodes()
        return session
    }

    private static func startServers(in folder: String, _ bench: Bench) async throws -> [Running] {
        let pipewire = try start("pipewire", [], in: folder, bench)
        try await waitForFile(folder + "/pipewire-0")
        return [pipewire, try start("wireplumber", [], in: folder, bench)]
    }

    private static func environment(of folder: String, _ bench: Bench) -> [String: String] {
        [
            "XDG_RUNTIME_DIR": folder, "HOME": folder, "XDG_CONFIG_HOME": folder + "/config", "XDG_STATE_HOME": folder + "/state",
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=\(folder)/bus", "USERDRIVER_RUNTIME_DIR": bench.runtime,
            // The machine's own is nobody's business here.
            "DBUS_SYSTEM_BUS_ADDRESS": "disabled:",
            // Where there is a portal, by whom it asks.
            "XDG_DESKTOP_PORTAL_DIR": folder + "/portals", "XDG_CURRENT_DESKTOP": "userdriver",
            // Which is filled by the first that looks for plugins.
            "GST_REGISTRY": NSTemporaryDirectory() + "/userdriver-test-gstreamer",
        ]
    }

    private static func start(_ program: String, _ arguments: [String], in folder: String, _ bench: Bench) throws -> Running {
        let path = program.hasPrefix("/") ? program : "/usr/bin/" + program
        return try Running(path: path, name: program, arguments: arguments, environment: environment(of: folder, bench))
    }

    /// A program of the session.
    func start(_ program: String, _ arguments: String...) throws -> Running { try start(program, arguments) }

    func start(_ program: String, _ arguments: [String]) throws -> Running { try Self.start(program, arguments, in: folder, bench) }

    /// Pictures that some program was too slow for, as the service says once nobody streams.
    var passed: UInt64 { surface.errors.matches(of: /too slow for (\d+) pictures/).reduce(0) { $0 + (UInt64($1.1) ?? 0) } }

    /// GStreamer's: `count` pictures of a node's in these caps, each in a file of its own.
    func record(_ node: String, _ caps: String, count: Int, to name: String) throws -> Running {
        let pictures = folder + "/" + name
        try FileManager.default.createDirectory(atPath: pictures, withIntermediateDirectories: true)
        return try start(
            "gst-launch-1.0", "-e", "pipewiresrc", "target-object=\(node)", "num-buffers=\(count)", "!", caps, "!", "multifilesink",
            "location=\(pictures)/%05d")
    }

    /// A recording has so many pictures.
    func waitForPictures(_ count: Int, of name: String) async throws {
        try await Self.waitForFile(folder + "/" + name + "/" + String(repeating: "0", count: 5 - "\(count)".count) + "\(count)")
    }

    /// The pictures of a recording, in order.
    func pictures(of name: String) throws -> [Data] {
        try FileManager.default.contentsOfDirectory(atPath: folder + "/" + name).sorted().compactMap {
            FileManager.default.contents(atPath: "\(folder)/\(name)/\($0)")
        }
    }

    /// These nodes are there.
    func waitForNodes(_ names: [String] = [raw, jpeg]) async throws {
        let monitor = try start("pw-dump", "--monitor", "--no-colors")
        try await monitor.waitForOutput { text in names.allSatisfy { text.contains("\"node.name\": \"\($0)\"") } }
        _ = try await monitor.stop()
    }

    /// What `pw-dump` says of a node.
    func node(_ name: String) async throws -> PipeWireNode {
        let dump = try await start("pw-dump", "--no-colors").finish()
        let objects = try #require(try JSONSerialization.jsonObject(with: dump.output) as? [[String: Any]])
        let facts = objects.first { object in
            let info = object["info"] as? [String: Any]
            return (info?["props"] as? [String: Any])?["node.name"] as? String == name
        }
        return try PipeWireNode(try #require(facts, "there is no node \(name)"))
    }

    func restartPipeWire() async throws {
        for server in await servers.running.reversed() { _ = try await server.stop() }
        try? FileManager.default.removeItem(atPath: folder + "/pipewire-0")  // where it left it
        await servers.set(try await Self.startServers(in: folder, bench))
    }

    func stop() async throws {
        let result = try await surface.stop()
        #expect(result.status == .signaled(SIGTERM, dumped: false), "userdriver-pipewire: \(result.errors)")
        for server in await servers.running.reversed() { _ = try await server.stop() }
        _ = try await bus.stop()
        try? FileManager.default.removeItem(atPath: folder)  // a leftover in a temporary folder fails nobody
        try await bench.stop()
    }

    /// Returns once a file is there.
    private static func waitForFile(_ path: String) async throws {
        try await offPool {
            let watcher = inotify_init1(Int32(IN_CLOEXEC))
            defer { close(watcher) }
            inotify_add_watch(watcher, (path as NSString).deletingLastPathComponent, UInt32(IN_CREATE | IN_MOVED_TO))
            for _ in 0..<10_000 where access(path, F_OK) != 0 {
                var entry = pollfd(fd: watcher, events: Int16(POLLIN), revents: 0)
                guard poll(&entry, 1, 20_000) == 1 else { throw Timeout(what: path, seen: "nothing") }
                var buffer = [UInt8](repeating: 0, count: 4096)
                _ = read(watcher, &buffer, buffer.count)
            }
        }
    }
}

/// A node, as `pw-dump` shows it.
struct PipeWireNode {
    var id: Int
    var properties: [String: String]
    /// Format, size and rates of each offer in a line: `"YUY2 640x480 30/1 15/1"`.
    var formats: [String]
    /// Of each control, what is said of it.
    var controls: [String: [String: Any]]
    /// The values, by the controls' names.
    var values: [String: Int]

    init(_ object: [String: Any]) throws {
        id = try #require(object["id"] as? Int)
        let info = try #require(object["info"] as? [String: Any])
        properties = (info["props"] as? [String: Any] ?? [:]).mapValues { "\($0)" }
        let parameters = info["params"] as? [String: Any] ?? [:]
        formats = (parameters["EnumFormat"] as? [[String: Any]] ?? []).map { format in
            let size = format["size"] as? [String: Any] ?? [:]
            let name = format["format"] as? String ?? format["mediaSubtype"] as? String ?? ""
            return "\(name) \(size["width"] ?? "?")x\(size["height"] ?? "?")"
        }
        controls = [:]
        for control in parameters["PropInfo"] as? [[String: Any]] ?? [] {
            if let name = control["name"] as? String { controls[name] = control }
        }
        values = [:]
        for set in parameters["Props"] as? [[String: Any]] ?? [] {
            for (name, value) in set { values[name] = Self.number(value) }
            let pairs = set["params"] as? [Any] ?? []
            for index in stride(from: 0, to: pairs.count - 1, by: 2) {
                if let name = pairs[index] as? String { values[name] = Self.number(pairs[index + 1]) }
            }
        }
    }

    private static func number(_ value: Any) -> Int? {
        if let truth = value as? Bool { return (value as? Int) ?? (truth ? 1 : 0) }
        return value as? Int
    }
}
