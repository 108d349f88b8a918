// Everything a campaign plays with: emulated cameras, a daemon, clients.

import FoundationEssentials
import Glibc
import Spawn
import UserDriverClient
import Wire

struct StageError: Error, CustomStringConvertible {
    var description: String
}

/// Started by `init`, ended by `end`.
final class Stage: Sendable {
    let client: UserDriverClient
    let daemon: Int32
    /// One a camera, in the order of `cameras`.
    let viewers: [[Viewer]]
    let cameras: [String]
    /// The processes that are the cameras.
    let emulators: [Int32]
    private let folder: String
    private let children: [ChildProcess]

    init(bin: String, cameras count: Int, clients: Int, emulate: [String], format: String, width: Int, height: Int) async throws {
        var template = Array("/tmp/userdriver-campaign-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw StageError(description: "There is no temporary folder.") }
        let folder = String(cString: made)
        var children: [ChildProcess] = []
        var urls: [String] = []
        for number in 0..<count {
            let output = "\(folder)/camera-\(number)"
            children.append(
                try Self.start(
                    "\(bin)/userdriver", ["emulate", "webcam", "--port", "0", "--serial", "CAM\(number)"] + emulate, output: output))
            urls.append(try await Self.firstLine(of: output))
        }
        let attachments = urls.flatMap { ["--attach", $0] }
        let daemon = try Self.start(
            "\(bin)/userdriverd", ["--runtime-dir", folder, "--state-dir", folder + "/state", "--no-usb"] + attachments,
            output: folder + "/daemon")
        children.append(daemon)
        client = UserDriverClient(runtimeDirectory: RuntimeDirectory(folder))
        try await client.waitUntilRunning(timeout: .seconds(30))
        let ids = (0..<count).map { "CAM\($0)" }
        self.cameras = ids
        self.emulators = children.dropLast().map(\.processID)
        self.folder = folder
        self.children = children
        self.daemon = daemon.processID
        let request = CameraRequest(format: format, width: width, height: height)
        var viewers: [[Viewer]] = []
        for id in ids {
            try await Self.untilRuns(id, client)
            let group = (0..<clients).map { _ in Viewer() }
            for viewer in group { try viewer.start(client.camera(id), request) }
            viewers.append(group)
        }
        self.viewers = viewers
    }

    /// Of all clients.
    var total: (frames: UInt64, missing: UInt64, torn: UInt64) {
        viewers.flatMap { $0 }.map(\.now).reduce((0, 0, 0)) { ($0.0 + $1.frames, $0.1 + $1.missing, $0.2 + $1.torn) }
    }

    /// Returns once each client has frames.
    func untilAllWatch() async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if viewers.allSatisfy({ $0.allSatisfy { $0.now.frames > 10 } }) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw StageError(description: "Not every client has frames within a minute.")
    }

    /// Ends everything; processes that did not end by themselves.
    func end() throws -> [String] {
        let drivers = Processes.children(of: daemon)
        for viewer in viewers.flatMap({ $0 }) { viewer.stop() }
        for child in children.reversed() { _ = try child.tearDown([TeardownStep(signal: SIGTERM, patience: .seconds(10))]) }
        // What ends with its parent takes a moment.
        let deadline = ContinuousClock.now + .seconds(5)
        while ContinuousClock.now < deadline, drivers.contains(where: { kill($0, 0) == 0 }) { usleep(10_000) }
        let left = drivers.filter { kill($0, 0) == 0 }.map { "\($0) \(Processes.name(of: $0))" }
        try FileManager.default.removeItem(atPath: folder)
        return left
    }

    private static func start(_ path: String, _ arguments: [String], output: String) throws -> ChildProcess {
        let file = open(output, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0o600)
        let executable = open(path, O_RDONLY | O_CLOEXEC)
        defer {
            close(file)
            close(executable)
        }
        guard file >= 0, executable >= 0 else { throw StageError(description: "\(path) can't be started; `make build` makes it.") }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return try ChildProcess(
            executing: executable,
            ChildProcess.Plan(arguments: [name] + arguments, environment: ["PATH": "/usr/bin:/bin"], descriptors: [nil, file, file]))
    }

    /// The address that an emulated camera prints first.
    private static func firstLine(of path: String) async throws -> String {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
            if text.contains("\n"), let line = text.split(separator: "\n").first, line.hasPrefix("usbip://") { return String(line) }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw StageError(description: "An emulated camera does not come up.")
    }

    private static func untilRuns(_ id: String, _ client: UserDriverClient) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if try await client.devices().contains(where: { $0.id.hasSuffix(":" + id) && $0.state == .running }) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw StageError(description: "\(id) is not driven within a minute.")
    }
}
