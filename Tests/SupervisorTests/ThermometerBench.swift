// Somebody else's driver from its folder to its calls: put together, signed by its own key, run
// over an emulated device.

import FoundationEssentials
import Glibc
import Logging
import Spawn
import Testing
import USBEmulation
import UserDriverClient
import Wire

@testable import Supervisor

/// A supervisor with a thermometer, and the command `userdriver`.
final class ThermometerBench: Sendable {
    let folder = TemporaryFolder()
    let server: EmulationServer
    let supervisor: Supervisor
    let client: UserDriverClient

    static let source = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(
        path: "Thermometer", directoryHint: .isDirectory
    ).path

    var bundle: String { folder.path + "/source/thermometer.driver" }

    init() async throws {
        // As its author would: a folder, a signature, a list of signers, an installation.
        let bundle = folder.path + "/source/thermometer.driver"
        try Self.assemble(bundle)
        let key = folder.path + "/key"
        try await Self.run("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "author@example.org", "-f", key])
        try StateFile.write(
            Array("author@example.org ".utf8) + (try StateFile.read(key + ".pub", maximumBytes: 4096)), to: folder.path + "/signers")
        let userdriver = Bench.executable("userdriver")
        try await Self.run(userdriver, ["driver", "sign", bundle, "--key", key])
        try await Self.run(
            userdriver,
            [
                "driver", "install", bundle, "--directory", folder.path + "/drivers", "--allowed-signers", folder.path + "/signers",
                "--no-reload",
            ])
        server = EmulationServer(devices: [("1-1", LoopbackDevice())], port: 0)
        let port = try server.start()
        mkdir(folder.path + "/state", 0o700)
        var configuration = SupervisorConfiguration(
            runtimeDirectory: folder.path, stateDirectory: folder.path + "/state", driverFolders: [folder.path + "/drivers"],
            attachments: [try AttachmentURL("usbip://127.0.0.1:\(port)/1-1")])
        configuration.usesUSB = false
        configuration.libraryFolders = Bench.runtimeFolders
        configuration.allowedSigners = [folder.path + "/signers"]
        configuration.portExecutable = Bench.executable("usbip-proxy")
        configuration.timing.firstRestartDelay = .milliseconds(1)
        configuration.timing.longestRestartDelay = .milliseconds(20)
        // Those that a test kills have done nothing wrong.
        configuration.timing.restartsToOpenCircuit = 1000
        var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        if getenv("USERDRIVER_TEST_LOG") != nil { logger = Logger(label: "test") { StreamLogHandler.standardError(label: $0) } }
        supervisor = await Supervisor(configuration: configuration, logger: logger)
        try await supervisor.start()
        client = UserDriverClient(runtimeDirectory: RuntimeDirectory(folder.path))
        _ = try await running()
    }

    static func assemble(_ bundle: String) throws {
        try FileManager.default.createDirectory(atPath: bundle, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: source + "/driver.yaml", toPath: bundle + "/driver.yaml")
        try FileManager.default.copyItem(atPath: source + "/interfaces", toPath: bundle + "/interfaces")
        try FileManager.default.copyItem(atPath: Bench.executable("thermometer-driver"), toPath: bundle + "/thermometer-driver")
    }

    /// The device, once it is driven.
    @discardableResult
    func running() async throws -> DeviceStatus {
        let events = try await client.events()
        if let device = try await client.devices().first, device.state == .running { return device }
        for try await _ in events { if let device = try await client.devices().first, device.state == .running { return device } }
        throw CallError("End", "the events ended")
    }

    func stop() async {
        await supervisor.stop()
        server.stop()
    }

    @discardableResult
    static func run(_ path: String, _ arguments: [String]) async throws -> Output {
        let result = try await output(path, arguments)
        try #require(result.status == 0, "\(path) \(arguments): \(result.errors)")
        return result
    }

    struct Output: Sendable {
        var status: Int32
        var text: String
        var errors: String
    }

    /// `userdriver` against this bench's daemon.
    func userdriver(_ arguments: String...) async throws -> Output {
        try await Self.output(Bench.executable("userdriver"), arguments, runtime: folder.path)
    }

    static func output(_ path: String, _ arguments: [String], runtime: String = "/nonexistent") async throws -> Output {
        let folder = TemporaryFolder()
        let files = ["out", "err"].map { open(folder.path + "/" + $0, O_CREAT | O_RDWR | O_CLOEXEC, 0o600) }
        defer { files.forEach { close($0) } }
        let executable = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(executable) }
        let child = try ChildProcess(
            executing: executable,
            ChildProcess.Plan(
                arguments: [path] + arguments, environment: ["USERDRIVER_RUNTIME_DIR": runtime, "PATH": "/usr/bin:/bin"],
                descriptors: [nil, files[0], files[1]]))
        let end = try await Task.detached { try child.wait() }.value
        let status: Int32 = if case .exited(let status) = end { status } else { -1 }
        func text(_ name: String) throws -> String {
            String(decoding: try StateFile.read(folder.path + "/" + name, maximumBytes: 4 << 20), as: UTF8.self)
        }
        return Output(status: status, text: try text("out"), errors: try text("err"))
    }
}
