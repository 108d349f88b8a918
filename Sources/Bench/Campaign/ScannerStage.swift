// What a scanner campaign plays with: a scanner, a daemon, an endpoint that is killed and started
// again.

import EmulatedScanner
import FoundationEssentials
import Glibc
import Spawn
import Synchronization
import USBEmulation
import UserDriverClient
import Wire

/// What the scanner says of a job, as far as a kill may follow it.
enum ScannerMoment: String, CaseIterable, Sendable {
    /// A client was started.
    case start
    case opened
    /// The first byte of a page is about to come.
    case begun
    /// Somewhere in the page.
    case middle
    /// The host has its last byte.
    case read
    /// A request was answered: for a job, for a page that there is not, for its end.
    case answered
    case over

    init?(_ note: String) {
        if note.contains(" is opened") {
            self = .opened
        } else if note.hasPrefix("Sheet "), note.hasSuffix(" bytes.") {
            self = .begun
        } else if note.hasSuffix("was read to the end.") {
            self = .read
        } else if note.contains(" has ended") {
            self = .over
        } else if ["GET ", "POST ", "DELETE "].contains(where: note.hasPrefix) {
            self = .answered
        } else {
            return nil
        }
    }
}

actor ScannerStage {
    /// How often each was said.
    final class Notes: Sendable {
        private let counts = Mutex<[ScannerMoment: Int]>([:])
        func add(_ moment: ScannerMoment) { counts.withLock { $0[moment, default: 0] += 1 } }
        func count(_ moment: ScannerMoment) -> Int { counts.withLock { $0[moment] ?? 0 } }
        var all: Int { counts.withLock { $0.values.reduce(0, +) } }
        /// What a driver has got on by.
        var steps: Int { [ScannerMoment.opened, .begun, .read].reduce(0) { $0 + count($1) } }
    }

    /// At which pages come.
    static let bytesPerSecond = 400_000

    nonisolated let folder: String
    nonisolated let client: UserDriverClient
    nonisolated let device: EmulatedScanner
    nonisolated let notes: Notes
    private let bin: String
    /// What the scanner says, and who was killed.
    private nonisolated let log: Int32
    private let server: EmulationServer
    private let daemon: ChildProcess
    private var endpoint: ChildProcess?
    private let basePort: UInt16
    private(set) var port: UInt16 = 0

    /// Returns once the scanner is driven and served.
    init(bin: String, lane: Int, usbfs: Bool, basePort: UInt16) async throws {
        var template = Array("/tmp/userdriver-scanner-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw StageError(description: "There is no temporary folder.") }
        folder = String(cString: made)
        self.bin = bin
        self.basePort = basePort
        var options = EmulatedScannerOptions()
        options.sheets = 0
        options.framing = lane % 2 == 0 ? .length : .chunked
        options.splitsOddly = lane % 4 > 1
        options.pace.bytesPerSecond = Self.bytesPerSecond
        options.pace.feedMilliseconds = 5
        let notes = Notes()
        self.notes = notes
        log = open(folder + "/scanner", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        device = EmulatedScanner(options: options) { [log] note in
            if let moment = ScannerMoment(note) { notes.add(moment) }
            Self.write(note, to: log)
        }
        server = EmulationServer(devices: [("1-1", device)], port: 0)
        let url = "usbip://127.0.0.1:\(try server.start())/1-1"
        if usbfs { try Stage.plugIn(url, output: folder + "/usbip") }
        daemon = try Stage.start(
            "\(bin)/userdriverd",
            ["--runtime-dir", folder, "--state-dir", folder + "/state"]
                + (usbfs ? ["--detach-kernel-drivers"] : ["--no-usb", "--attach", url]),
            output: folder + "/daemon")
        client = UserDriverClient(runtimeDirectory: RuntimeDirectory(folder))
        do {
            try await client.waitUntilRunning(timeout: .seconds(30))
            _ = try await driver(after: 0)
            try startEndpoint()
            port = try await served()
        } catch {
            try end(keepsFolder: true)
            throw error
        }
    }

    nonisolated func note(_ words: String) { Self.write(words, to: log) }

    private static func write(_ words: String, to log: Int32) {
        let line = Array("\(words)\n".utf8)
        _ = Glibc.write(log, line, line.count)
    }

    /// The driver's process, once it drives and is another than that one.
    func driver(after last: Int32) async throws -> Int32 {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if let device = try await client.devices().first(where: { $0.kind == "scanner" }) {
                if device.state == .running, device.pid > 1, device.pid != last { return device.pid }
                if device.state == .failed { throw StageError(description: "The daemon gave up on the driver: \(device.reason ?? "")") }
            }
            // A kill may be before the daemon's next event; what it says now is what counts.
            try await Task.sleep(for: .milliseconds(2))
        }
        throw StageError(description: "The scanner is not driven within half a minute.")
    }

    private func startEndpoint() throws {
        // What an earlier one said is no answer to whether this one serves.
        unlink(folder + "/endpoint")
        endpoint = try Stage.start(
            "\(bin)/userdriver-escl",
            ["--runtime-dir", folder, "--port", "\(basePort)", "--state-file", folder + "/escl-state", "--no-dns-sd"],
            output: folder + "/endpoint")
    }

    private func served() async throws -> UInt16 {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            for line in (Processes.text(folder + "/endpoint") ?? "").split(separator: "\n") where line.hasPrefix("http://127.0.0.1:") {
                if let port = UInt16(line.dropFirst(17).prefix { $0.isNumber }) { return port }
            }
            // Its words go to a file, which is kept where something goes wrong.
            try await Task.sleep(for: .milliseconds(5))
        }
        throw StageError(description: "The endpoint does not start.")
    }

    /// Kills the endpoint and starts the next one, which is at the same port.
    func killEndpoint() throws {
        try endpoint?.kill(SIGKILL)
        _ = try endpoint?.wait()
        try startEndpoint()
    }

    /// A client of the job. The next one is started in the same way.
    func startClient(_ job: ScannerJobPlan, token: String) throws -> ChildProcess {
        try FileManager.default.createDirectory(atPath: job.folder, withIntermediateDirectories: true)
        notes.add(.start)
        switch job.way {
        case .command:
            return try Stage.start(
                "\(bin)/userdriver", job.command(token: token), output: job.folder + "/said",
                environment: ["USERDRIVER_RUNTIME_DIR": folder])
        case .escl:
            return try Stage.start(
                "\(bin)/campaign", ["escl-client", job.folder, "--port", "\(port)", "--settings", job.document],
                output: job.folder + "/said")
        }
    }

    func end(keepsFolder: Bool) throws {
        if let endpoint { try endpoint.tearDown() }
        try daemon.tearDown()
        server.stop()
        close(log)
        if !keepsFolder { try FileManager.default.removeItem(atPath: folder) }
    }
}
