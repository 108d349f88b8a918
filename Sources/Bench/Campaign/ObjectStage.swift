// What an objects campaign plays with: a device, a daemon that is killed and started again, a
// client that is too.

import CLinux
import FoundationEssentials
import Glibc
import Spawn
import Threads
import USBEmulation
import UserDriverClient
import Wire

/// An emulated device, a daemon with a store for what survives it, a driver that delivers objects.
actor ObjectStage {
    nonisolated let folder: String
    nonisolated let client: UserDriverClient
    private let bin: String
    private let server: EmulationServer
    private let port: UInt16
    private let kept: KeptDescriptors
    private var daemon: ChildProcess?
    private var starts = 0

    /// - Parameter bin: the folder of userdriverd, usbip-proxy and test-driver.
    init(bin: String) throws {
        var template = Array("/tmp/userdriver-objects-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw StageError(description: "There is no temporary folder.") }
        folder = String(cString: made)
        self.bin = bin
        client = UserDriverClient(runtimeDirectory: RuntimeDirectory(folder))
        server = EmulationServer(devices: [("1-1", LoopbackDevice())], port: 0)
        port = try server.start()
        kept = try KeptDescriptors(path: folder + "/notify")
        let bundle = folder + "/drivers/objects.driver"
        try FileManager.default.createDirectory(atPath: bundle + "/interfaces", withIntermediateDirectories: true)
        // What the test driver answers, as far as it is asked here.
        let interface = """
            interface io.userdriver.camera

            method GetControl(device: ?string, name: string) -> ()

            """
        try interface.write(toFile: bundle + "/interfaces/io.userdriver.camera.varlink", atomically: true, encoding: .utf8)
        try FileManager.default.copyItem(atPath: bin + "/test-driver", toPath: bundle + "/good")
        let manifest = """
            id: objects
            version: "1"
            kind: test
            executable: good
            provides:
              - interface: io.userdriver.camera
                methods:
                  GetControl: {idempotent: true}
            match:
              - {class: 255}
            interfaces:
              - {class: 255}

            """
        try manifest.write(toFile: bundle + "/driver.yaml", atomically: true, encoding: .utf8)
    }

    /// Starts the daemon, with what the one before had kept.
    func startDaemon() throws {
        kept.drain()
        let inherited = kept.all
        let output = open("\(folder)/daemon", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw StageError(description: "\(folder)/daemon can't be written.") }
        defer { close(output) }
        let arguments = [
            bin + "/userdriverd", "--runtime-dir", folder, "--state-dir", folder + "/state", "--no-usb", "--attach",
            "usbip://127.0.0.1:\(port)/1-1", "--drivers", folder + "/drivers", "--allow-unsigned", "--keep-streams", "--no-sandbox",
        ]
        // $LISTEN_PID is the daemon's own number, which only it can say.
        daemon = try ChildProcess(
            path: try Self.file("/bin/sh"),
            ChildProcess.Plan(
                arguments: ["sh", "-c", "LISTEN_PID=$$; export LISTEN_PID; exec \"$@\"", "sh"] + arguments,
                environment: [
                    "NOTIFY_SOCKET": kept.path, "LISTEN_FDS": "\(inherited.count)",
                    "LISTEN_FDNAMES": inherited.map(\.name).joined(separator: ":"), "PATH": "/usr/bin:/bin", "HOME": folder,
                ], descriptors: [nil, output, output] + inherited.map(\.descriptor), newSession: true))
        starts += 1
    }

    /// What a symbolic link stands for: links are not executed.
    private static func file(_ path: String) throws -> String {
        guard let real = realpath(path, nil) else { throw StageError(description: "There is no \(path).") }
        defer { free(real) }
        return String(cString: real)
    }

    /// Kills the daemon, and starts the next one.
    func killDaemon() throws {
        guard let daemon else { return }
        try daemon.kill(SIGKILL)
        _ = try daemon.wait()
        try startDaemon()
    }

    /// Kills the driver that there is now, if there is one.
    func killDriver() async throws -> Bool {
        do throws(ClientError) {
            guard let process = try await client.devices().first?.pid, process > 1 else { return false }
            return kill(process, SIGKILL) == 0
        } catch {
            // The daemon was killed just now, and its successor is on its way.
            guard error.isTransient || error.code == .timedOut else { throw error }
            return false
        }
    }

    /// A client that collects one job's objects into a file.
    nonisolated func startClient(_ job: ObjectJobPlan) throws -> ChildProcess {
        let output = open("\(folder)/client", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw StageError(description: "\(folder)/client can't be written.") }
        defer { close(output) }
        return try ChildProcess(
            path: try Self.file(bin + "/campaign"),
            ChildProcess.Plan(
                arguments: [
                    "campaign", "object-client", folder, "--job", job.token, "--seed", "\(job.seed)", "--count", "\(job.count)",
                    "--largest",
                    "\(job.largest)", "--log", job.log(in: folder),
                ], descriptors: [nil, output, output]))
    }

    func end(keepsFolder: Bool) throws {
        if let daemon { try daemon.tearDown() }
        server.stop()
        if !keepsFolder { try FileManager.default.removeItem(atPath: folder) }
    }
}

/// One job of a campaign.
struct ObjectJobPlan: Sendable {
    var token: String
    var seed: UInt64
    var count: Int
    var largest: Int

    func log(in folder: String) -> String { "\(folder)/\(token).log" }

    /// What clients have written down: for each object its id, its index, and whether every byte
    /// was right.
    func results(in folder: String) -> [(id: UInt64, index: Int, verdict: Substring)] {
        (Processes.text(log(in: folder)) ?? "").split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count == 3, let id = UInt64(words[0]), let index = Int(words[1]) else { return nil }
            return (id, index, words[2])
        }
    }
}
