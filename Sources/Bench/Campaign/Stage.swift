// Everything a campaign plays with: emulated cameras, a daemon, clients.

import FoundationEssentials
import Glibc
import Spawn
import UnixSignals
import UserDriverClient
import Wire

struct StageError: Error, CustomStringConvertible {
    var description: String
}

/// What became of all cameras' frames, by what each said of its streams.
struct CameraTally: Codable, Sendable {
    var sent: UInt64 = 0
    /// Not drawn in time: the machine's doing.
    var undrawn: UInt64 = 0
    /// Nobody fetched them in time.
    var unfetched: UInt64 = 0

    /// Adds what an emulated camera has said.
    mutating func add(_ said: String) {
        for line in said.split(separator: "\n") {
            guard line.hasPrefix("The stream has ended: ") else { continue }
            let numbers = line.split { !$0.isNumber }.compactMap { UInt64($0) }
            guard numbers.count == 3 else { continue }
            sent += numbers[0]
            undrawn += numbers[1]
            unfetched += numbers[2]
        }
    }

    /// The cameras did not say what became of their frames: then nothing is known of whose a missing one was.
    var isMissing: Bool { sent == 0 }

    var text: String {
        isMissing
            ? "The cameras did not report what became of their frames."
            : "The cameras sent \(sent) frames; \(undrawn) were not drawn in time, \(unfetched) were not fetched in time."
    }
}

/// How a stage ended.
struct StageEnd: Sendable {
    /// Processes that did not end by themselves.
    var leftBehind: [String]
    var cameras: CameraTally
}

/// Started by `init`, ended by `ending`.
final class Stage: Sendable {
    let client: UserDriverClient
    let daemon: Int32
    /// One a camera, in the order of `cameras`.
    let viewers: [[Viewer]]
    let cameras: [String]
    /// The cameras wait for the host (`emulate --late hold`).
    let isHeld: Bool
    /// The processes that are the cameras.
    let emulators: [Int32]
    private let folder: String
    private let children: [ChildProcess]

    /// - Parameter usbfs: the cameras are plugged into this machine's kernel (vhci_hcd, by `usbip`), and reached over usbfs as real ones are.
    init(
        bin: String, cameras count: Int, clients: Int, emulate: [String], format: String, width: Int, height: Int, usbfs: Bool = false
    ) async throws {
        var template = Array("/tmp/userdriver-campaign-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw StageError(description: "There is no temporary folder.") }
        let folder = String(cString: made)
        var children: [ChildProcess] = []
        var viewers: [[Viewer]] = []
        do {
            var urls: [String] = []
            for number in 0..<count {
                let output = "\(folder)/camera-\(number)"
                children.append(
                    try Self.start(
                        "\(bin)/userdriver", ["emulate", "webcam", "--verbose", "--port", "0", "--serial", "CAM\(number)"] + emulate,
                        output: output))
                urls.append(try await Self.firstLine(of: output))
            }
            if usbfs { for url in urls { try Self.plugIn(url, output: folder + "/usbip") } }
            let devices = usbfs ? ["--detach-kernel-drivers"] : ["--no-usb"] + urls.flatMap { ["--attach", $0] }
            let daemon = try Self.start(
                "\(bin)/userdriverd", ["--runtime-dir", folder, "--state-dir", folder + "/state"] + devices,
                output: folder + "/daemon")
            children.append(daemon)
            client = UserDriverClient(runtimeDirectory: RuntimeDirectory(folder))
            try await client.waitUntilRunning(timeout: .seconds(30))
            let ids = (0..<count).map { "CAM\($0)" }
            isHeld = emulate.contains("hold")
            self.cameras = ids
            self.emulators = children.dropLast().map(\.processID)
            self.folder = folder
            self.children = children
            self.daemon = daemon.processID
            let request = CameraRequest(format: format, width: width, height: height)
            for id in ids {
                try await Self.untilRuns(id, client)
                viewers.append((0..<clients).map { _ in Viewer() })
                for viewer in viewers[viewers.count - 1] { try viewer.start(client.camera(id), request) }
            }
            self.viewers = viewers
        } catch {
            try Self.end(viewers, children)
            try FileManager.default.removeItem(atPath: folder)
            throw error
        }
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
        let all = viewers.flatMap { $0 }
        let ends = Set(all.compactMap(\.now.ended)).sorted().joined(separator: " ")
        throw StageError(
            description: "Of \(all.count) clients \(all.count { $0.now.frames > 10 }) have more than ten frames within a minute. \(ends)")
    }

    /// What `body` comes to. Everything is ended after it, also when it throws, and when somebody wants this process to end.
    func ending<Result>(after body: () async throws -> Result) async throws -> (Result, StageEnd) {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let interruption = Task.detached { [self] in
            for await signal in signals {
                do { _ = try end() } catch { complain("\(error)") }
                exit(128 + signal.rawValue)
            }
        }
        defer { interruption.cancel() }
        let result: Result
        do {
            result = try await body()
        } catch {
            _ = try end()
            throw error
        }
        return (result, try end())
    }

    private func end() throws -> StageEnd {
        let drivers = Processes.children(of: daemon)
        try Self.end(viewers, children)
        var tally = CameraTally()
        for number in cameras.indices { tally.add(Self.text(of: "\(folder)/camera-\(number)")) }
        try FileManager.default.removeItem(atPath: folder)
        // What ends with its parent takes a moment.
        let deadline = ContinuousClock.now + .seconds(5)
        while ContinuousClock.now < deadline, drivers.contains(where: { kill($0, 0) == 0 }) { usleep(10_000) }
        return StageEnd(
            leftBehind: drivers.filter { kill($0, 0) == 0 }.map { "\($0) \(Processes.name(of: $0))" }, cameras: tally)
    }

    private static func text(of path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    private static func end(_ viewers: [[Viewer]], _ children: [ChildProcess]) throws {
        for viewer in viewers.flatMap({ $0 }) { viewer.stop() }
        for child in children.reversed() { _ = try child.tearDown([TeardownStep(signal: SIGTERM, patience: .seconds(10))]) }
    }

    /// Plugs the device at `usbip://HOST:PORT/BUS-ID` into the kernel.
    static func plugIn(_ url: String, output: String) throws {
        let parts = url.split(separator: "/")
        let address = parts.count == 3 ? parts[1].split(separator: ":") : []
        guard address.count == 2 else { throw StageError(description: "\(url) is not an address of an emulated camera.") }
        let places: [String] = ["/usr/sbin/usbip", "/usr/bin/usbip"]
        guard let path = places.first(where: { access($0, X_OK) == 0 }) else {
            throw StageError(description: "usbip is missing: `apt install usbip`.")
        }
        let child = try start(
            path, ["--tcp-port", String(address[1]), "attach", "-r", String(address[0]), "-b", String(parts[2])], output: output)
        guard try child.wait(timeout: .seconds(30)) == .exited(status: 0) else {
            let said = text(of: output)
            throw StageError(description: "\(url) can't be plugged in, which needs root and the module vhci_hcd: \(said)")
        }
    }

    static func start(_ path: String, _ arguments: [String], output: String, environment: [String: String] = [:]) throws -> ChildProcess {
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
            ChildProcess.Plan(
                arguments: [name] + arguments, environment: environment.merging(["PATH": "/usr/bin:/bin"]) { $1 },
                descriptors: [nil, file, file]))
    }

    /// The address that an emulated camera prints first.
    private static func firstLine(of path: String) async throws -> String {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            let text = text(of: path)
            if text.contains("\n"), let line = text.split(separator: "\n").first, line.hasPrefix("usbip://") { return String(line) }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw StageError(description: "An emulated camera does not start.")
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
