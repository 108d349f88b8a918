// Devices on other machines: what was attached is kept, what can't be attached is said, and nothing goes round without end.

import Glibc
import Logging
import Spawn
import Synchronization
import Testing
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(10))) struct AttachmentTests {
    private static let url = "usbip://127.0.0.1:3240/1-1"
    private static let other = "usbip://127.0.0.1:3240/1-2"

    private func attachments(_ bench: Bench) async throws -> [Diagnosis.Attachment] {
        try await bench.client().call("io.userdriver.Status")["attachments"]?.decoded(as: [Diagnosis.Attachment].self) ?? []
    }

    private func attach(_ bench: Bench, _ url: String, _ more: [String: JSONValue] = [:]) async throws {
        let parameters = more.merging(["url": .string(url)]) { $1 }
        _ = try await bench.client().call("io.userdriver.Attach", .object(parameters))
    }

    @Test func whatWasAttachedIsLookedForByTheNextDaemonUntilItIsDetached() async throws {
        let folder = TemporaryFolder()
        let first = try await Bench(in: folder)
        try await attach(first, Self.url)
        try await attach(first, Self.url)
        try await attach(first, Self.other, ["transient": true])
        #expect(try await attachments(first).map(\.url) == [Self.url, Self.other])
        await first.stop()
        let second = try await Bench(in: folder, source: FakeSource())
        #expect(try await attachments(second).map(\.url) == [Self.url])
        _ = try await second.client().call("io.userdriver.Detach", ["url": .string(Self.url)])
        #expect(try await attachments(second).isEmpty)
        await second.stop()
        let third = try await Bench(in: folder, source: FakeSource())
        #expect(try await attachments(third).isEmpty)
        await third.stop()
    }

    @Test(arguments: [
        "", "{", "[1]", "{\"attachments\": 5}", "{\"attachments\": [\"ftp://x\", \"usbip://127.0.0.1:3240/1-1\", \"\\u0000\"]}",
    ])
    func aDamagedFileIsNoReasonNotToStart(contents: String) async throws {
        let folder = TemporaryFolder()
        mkdir(folder.path + "/state", 0o700)
        try StateFile.write(Array(contents.utf8), to: folder.path + "/state/attachments.json")
        let first = try await Bench(in: folder)
        #expect(try await attachments(first).map(\.url) == (contents.contains("usbip") ? [Self.url] : []))
        try await attach(first, Self.other)
        await first.stop()
        let second = try await Bench(in: folder, source: FakeSource())
        #expect(try await attachments(second).map(\.url).last == Self.other)
        await second.stop()
    }

    @Test func aFileWithTooManyIsReadAsFarAsThereIsRoom() async throws {
        let folder = TemporaryFolder()
        mkdir(folder.path + "/state", 0o700)
        let urls = (1...500).map { "usbip://127.0.0.1:3240/1-\($0)" }
        try StateFile.write(try JSON.encode(["attachments": urls]), to: folder.path + "/state/attachments.json")
        let bench = try await Bench(in: folder) { $0.limits.attachments = 3 }
        #expect(try await attachments(bench).map(\.url) == Array(urls.prefix(3)))
        await bench.stop()
    }

    @Test func aHostThatThereIsNotIsAnErrorAtOnce() async throws {
        let bench = try await Bench { $0.resolves = { $0 != "nowhere" } }
        await #expect { try await attach(bench, "usbip://nowhere/1-1") } throws: {
            guard let error = $0 as? CallError else { return false }
            return error.code.hasSuffix("InvalidParameter") && error.message.contains("no host \"nowhere\"")
        }
        #expect(try await attachments(bench).isEmpty)
        await bench.stop()
        // On the command line it is no reason not to start: it may be there later.
        let url = try AttachmentURL("usbip://nowhere/1-1")
        let patient = try await Bench { $0.attachments = [url] }
        #expect(try await attachments(patient).map(\.url) == [url.description])
        await patient.stop()
    }

    /// Where `usbip-proxy` is missing, nothing that is found can be driven: that is said once, and
    /// nothing comes and goes.
    @Test func aMissingPortIsOneErrorAndNoLoop() async throws {
        let bench = try await Bench {
            $0.portExecutable = "/nonexistent/usbip-proxy"
            $0.timing.firstLook = .milliseconds(1)
            $0.timing.longestLook = .milliseconds(1)
        }
        let listener = try await bench.listener()
        try await attach(bench, Self.url)
        _ = try await listener.event("attach")
        let notice = try await listener.event("notice")
        #expect(notice["message"]?.stringValue?.contains("usbip-proxy can't be started") == true, "\(notice)")
        #expect(try await attachments(bench).first?.problem?.contains("/nonexistent/usbip-proxy") == true)
        // Some time later, by the daemon's own turns, nothing else has been said.
        for _ in 0..<100 { _ = try await bench.status() }
        _ = try await bench.client().call("io.userdriver.Detach", ["url": .string(Self.url)])
        let next = try await listener.event("notice", "detach", "absent", "running", "backoff")
        #expect(next["event"] == "detach", "\(next)")
        await bench.stop()
    }

    @Test func aDeviceThatComesAndGoesIsLookedForLessAndLessOften() {
        let timing = USBIPAttachment.Timing()
        var rests: [Duration] = []
        var rest = Duration.zero
        for _ in 0..<12 {
            rest = timing.rest(after: rest, wasSettled: false)
            rests.append(rest)
        }
        #expect(rests.first == timing.firstLook && rests.last == timing.longestPause)
        #expect(zip(rests, rests.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(timing.rest(after: rest, wasSettled: true) == .zero)
    }

    @Test func aProcessHasABurstOfLinesAndThenFew() {
        var allowance = LogAllowance()
        let start = ContinuousClock.now
        let burst = (0..<10_000).compactMap { allowance.line("\($0)", now: start) }
        #expect(burst.count == LogAllowance.burst)
        let later = allowance.line("later", now: start + LogAllowance.interval)
        #expect(later == "later (\(10_000 - LogAllowance.burst) lines before it were dropped)")
        #expect(allowance.line("again", now: start + LogAllowance.interval) == nil)
        let muchLater = (0..<100).compactMap { allowance.line("\($0)", now: start + .seconds(1_000_000)) }
        #expect(muchLater.count == LogAllowance.burst)
    }

    /// A port that somebody has taken over prints without end: a few lines of it are logged, and it is ended.
    @Test func aPortThatPrintsWithoutEndIsEnded() async throws {
        let log = LogLines()
        let path = try #require(realpath("/usr/bin/yes", nil))
        defer { free(path) }
        let executable = try SealedExecutable(path: String(cString: path))
        let socket = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(socket) }
        let port = try await PortProcess(
            executable: executable, sandbox: nil, socket: socket, usbipDeviceID: 1,
            logger: Logger(label: "test") { _ in log })
        while await port.isAlive { await Task.yield() }
        while !log.lines.withLock({ $0.contains { $0.contains("usbip-proxy said") } }) { await Task.yield() }
        #expect(log.lines.withLock { $0.count } <= 10)
    }
}

/// Log lines, kept.
private final class LogLines: LogHandler, Sendable {
    let lines = Mutex<[String]>([])
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) { lines.withLock { $0.append("\(event.message)") } }
}
