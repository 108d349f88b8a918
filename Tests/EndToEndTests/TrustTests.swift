// Signed drivers end to end: what a build trusts, what is installed while a camera streams, what is refused.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

/// A publisher with a key of their own, and a folder of drivers that a daemon takes its drivers from.
private struct Publisher {
    let folder: String
    var drivers: String { folder + "/drivers" }
    var signers: String { folder + "/allowed_signers" }
    var daemonArguments: [String] { ["--drivers", drivers, "--allowed-signers", signers, "--revoked-keys", folder + "/revoked_keys"] }

    init() async throws {
        folder = "/tmp/udt-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let keygen = Process()
        keygen.executableURL = URL(fileURLWithPath: "/usr/bin/ssh-keygen")
        keygen.arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "publisher@example.org", "-f", folder + "/key"]
        try keygen.run()
        keygen.waitUntilExit()
        try await succeed("trust", folder + "/key.pub", "--file", signers, "--no-reload")
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }  // a leftover in a temporary folder fails nobody

    /// Runs a verb of `userdriver driver`, which has to succeed.
    @discardableResult
    func succeed(_ arguments: String..., runtime: String? = nil) async throws -> Programs.Result {
        let environment = ["USERDRIVER_RUNTIME_DIR": runtime ?? folder + "/no-daemon"]
        let result = try await Programs.run("userdriver", ["driver"] + arguments, environment: environment)
        try #require(result.status == .exited(status: 0), "\(arguments): \(result.errors)")
        return result
    }

    /// A bundle of that version; with another executable where one is given.
    func bundle(version: String, executable: String? = nil) throws -> String {
        let path = folder + "/source-\(version)/webcam.driver"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let manifest = try String(contentsOfFile: Programs.folder + "/webcam.driver/driver.yaml", encoding: .utf8)
        let lines = manifest.split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.hasPrefix("version:") ? "version: \"\(version)\"" : $0
        }
        try lines.joined(separator: "\n").write(toFile: path + "/driver.yaml", atomically: true, encoding: .utf8)
        let program = executable ?? Programs.folder + "/webcam.driver/webcam-driver"
        try FileManager.default.copyItem(atPath: program, toPath: path + "/webcam-driver")
        try FileManager.default.copyItem(atPath: Programs.folder + "/webcam.driver/interfaces", toPath: path + "/interfaces")
        return path
    }

    func install(version: String, executable: String? = nil, runtime: String? = nil) async throws {
        let path = try bundle(version: version, executable: executable)
        try await succeed("sign", path, "--key", folder + "/key")
        try await succeed("install", path, "--directory", drivers, "--allowed-signers", signers, runtime: runtime)
    }
}

extension EndToEndTests {
    @Suite struct Trust {
        @Test func `a build's own drivers are signed by its own key, which status and list say`() async throws {
            let bench = try await Bench.start()
            let device = try await bench.client.device()
            #expect(device.signer == "development@localhost")
            #expect(device.warnings.isEmpty || !device.warnings.contains("unsigned"))
            #expect(try await bench.userdriver("status").text.contains("signed by development@localhost"))
            let list = try await bench.userdriver("driver", "list")
            #expect(list.text.contains("io.userdriver.webcam") && list.text.contains("development@localhost"), "\(list.text)")
            #expect(try await bench.userdriver("driver", "verify", Programs.folder + "/webcam.driver").status == .exited(status: 0))
            try await bench.stop()
        }

        @Test func `a time that ends before it begins trusts nobody`() async throws {
            let folder = try Bench.makeRuntime()
            let key = try Running(
                path: "/usr/bin/ssh-keygen", name: "ssh-keygen", arguments: ["-q", "-t", "ed25519", "-N", "", "-f", folder + "/key"],
                environment: [:])
            #expect(try await key.finish().status == .exited(status: 0))
            let result = try await Programs.run(
                "userdriver",
                [
                    "driver", "trust", folder + "/key.pub", "--file", folder + "/signers", "--name", "z", "--no-reload", "--valid-after",
                    "20300101", "--valid-before", "20200101",
                ], environment: [:])
            #expect(result.status == .exited(status: 2) && result.errors.contains("--valid-before"), "\(result.errors)")
            #expect(access(folder + "/signers", F_OK) != 0)
        }

        @Test func `a new version is installed while the camera streams`() async throws {
            let publisher = try await Publisher()
            defer { publisher.remove() }
            try await publisher.install(version: "1")
            let bench = try await Bench.start(daemon: publisher.daemonArguments)
            let first = try await bench.client.device()
            #expect(first.signer == "publisher@example.org")
            let client = try bench.startUserdriver("stream", "--frames", "300", "--stats", "json")
            try await bench.waitForDevice { $0.streams.contains { $0.clients > 0 && $0.frames > 30 } }
            try await publisher.install(version: "2", runtime: bench.runtime)
            let result = try await client.finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(facts.frames == 300)
            #expect(facts.torn == 0)
            #expect(facts.restarts == 1)
            print("installed while streaming: \(facts.lost) frames lost, longest gap \(facts.longestGapMs) ms")
            let second = try await bench.client.device()
            #expect(second.pid != first.pid)
            #expect(try await bench.client.drivers().map(\.version) == ["2"])
            #expect(try await bench.client.crashes().isEmpty)
            // And back, by hand.
            try await publisher.succeed(
                "rollback", "webcam", "--directory", publisher.drivers, "--allowed-signers", publisher.signers, runtime: bench.runtime)
            try await bench.waitForDevice { $0.state == .running && $0.pid != second.pid }
            #expect(try await bench.client.drivers().map(\.version) == ["1"])
            try await bench.stop()
        }

        @Test func `a version that dies at once gives way to the one before, and the stream goes on`() async throws {
            let publisher = try await Publisher()
            defer { publisher.remove() }
            try await publisher.install(version: "1")
            let bench = try await Bench.start(daemon: publisher.daemonArguments)
            let client = try bench.startUserdriver("stream", "--frames", "200", "--stats", "json")
            try await bench.waitForDevice { $0.streams.contains { $0.clients > 0 && $0.frames > 30 } }
            try await publisher.install(version: "2", executable: "/bin/false", runtime: bench.runtime)
            let device = try await bench.waitForDevice { $0.state == .running && $0.reason != nil }
            #expect(device.reason?.contains("2 died 3 times in a minute") == true, "\(device)")
            let result = try await client.finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(facts.frames == 200)
            #expect(facts.torn == 0)
            print("a bad version came and went: \(facts.lost) frames lost, longest gap \(facts.longestGapMs) ms")
            #expect(try await bench.client.crashes().count == 3)
            try await bench.stop()
        }

        @Test func `an altered driver is refused, by install, by the daemon and in words`() async throws {
            let publisher = try await Publisher()
            defer { publisher.remove() }
            try await publisher.install(version: "1")
            let installed = publisher.drivers + "/webcam.driver/webcam-driver"
            let file = open(installed, O_WRONLY | O_APPEND)
            #expect(write(file, "x", 1) == 1)
            close(file)
            let bench = try await Bench.start(daemon: publisher.daemonArguments, awaitRunning: false)
            let device = try await bench.waitForDevice { $0.state == .unsupported }
            #expect(device.reason?.contains("the executable is not the one that the manifest names") == true, "\(device)")
            let status = try await bench.userdriver("status")
            #expect(status.text.contains("the executable is not the one that the manifest names"), "\(status.text)")
            let list = try await bench.userdriver("driver", "list", "--json")
            #expect(list.text.contains("\"refused\""))
            let log = try #require(await bench.daemonProcess).errors
            #expect(log.contains("a driver is not used"), "\(log)")
            // Fixed while the daemon runs.
            try await publisher.install(version: "1b", runtime: bench.runtime)
            try await bench.waitForDevice { $0.state == .running }
            // Revoked, and given up at once.
            try await publisher.succeed(
                "revoke", publisher.folder + "/key.pub", "--file", publisher.folder + "/revoked_keys", runtime: bench.runtime)
            let revoked = try await bench.waitForDevice { $0.state == .unsupported }
            #expect(revoked.reason?.contains("is revoked") == true, "\(revoked)")
            try await bench.stop()
        }

        @Test func `an unsigned driver runs only where that is allowed, and status says so`() async throws {
            let publisher = try await Publisher()
            defer { publisher.remove() }
            let source = try publisher.bundle(version: "1")
            let refused = try await Programs.run("userdriver", ["driver", "install", source, "--directory", publisher.drivers])
            #expect(refused.status == .exited(status: 1))
            #expect(refused.errors.contains("It is unsigned"), "\(refused.errors)")
            let bench = try await Bench.start(daemon: ["--drivers", source, "--allow-unsigned"])
            let device = try await bench.client.device()
            #expect(device.warnings.contains("unsigned"))
            #expect(device.signer == nil)
            #expect(try await bench.userdriver("status").text.contains("unsigned"))
            try await bench.stop()
        }
    }
}
