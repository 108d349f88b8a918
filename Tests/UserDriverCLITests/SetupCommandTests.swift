// `userdriver setup` as scripts and maintainers' scripts use it: what it writes, and what it tells the daemon.

import FakeDaemon
import Glibc
import Synchronization
import Testing
import UserDriverClient
import Wire

@testable import UserDriverCLI

@Suite(
    .serialized, .timeLimit(.minutes(2)),
    .enabled(if: Program.path != nil, "the program userdriver is not built beside the tests, and USERDRIVER_BIN does not say where it is"))
final class SetupCommandTests {
    private let settings: String

    init() {
        var template = Array("/tmp/userdriver-setup-XXXXXX".utf8CString)
        settings = mkdtemp(&template).map { String(cString: $0) } ?? "/nowhere"
    }
    deinit {
        unlink(settings + "/setup.yaml")
        rmdir(settings)
    }

    private func run(_ arguments: String..., in directory: RuntimeDirectory) throws -> Program {
        try Program.run(["setup", "--settings", settings] + arguments, in: directory)
    }
    private var written: String? {
        guard let file = fopen(settings + "/setup.yaml", "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").last.map(String.init)
    }

    /// A daemon with one camera, which notes how it was asked.
    private final class Asked: Sendable {
        let calls = Mutex<[JSONValue]>([])
        func daemon(taken: Bool, failure: String? = nil) throws -> FakeDaemon {
            let change = SetUpChange(device: "1d6b:0104:A", name: "Camera", taken: taken, failure: failure)
            return try FakeDaemon { [self] call, socket in
                calls.withLock { $0.append(call.parameters) }
                try socket.send(VarlinkReply(["changes": try JSONValue(encoding: [change])]))
            }
        }
    }

    @Test func itSaysWhatChangedOnceItHas() throws {
        let asked = Asked()
        let daemon = try asked.daemon(taken: true)
        let program = try run("--take", "all", in: daemon.directory)
        #expect(program.status == 0 && program.errors.isEmpty)
        #expect(program.lastLine == "1d6b:0104:A (Camera) is taken from the kernel's driver.")
        #expect(written == "take: all")
        #expect(asked.calls.withLock { $0 } == [["take": "all", "apply": true]])
    }

    @Test func aDryRunChangesNothing() throws {
        let asked = Asked()
        let daemon = try asked.daemon(taken: false)
        let program = try run("--take", "none", "--dry-run", in: daemon.directory)
        #expect(program.status == 0 && program.lastLine == "1d6b:0104:A (Camera) would be given back to the kernel's driver.")
        #expect(written == nil)
        #expect(asked.calls.withLock { $0 } == [["take": "none", "apply": false]])
    }

    @Test func rulesRemoveWhatWasSetUp() throws {
        let daemon = try Asked().daemon(taken: false)
        #expect(try run("--take", "none", in: daemon.directory).status == 0)
        #expect(written == "take: none")
        #expect(try run("--take", "rules", in: daemon.directory).status == 0)
        #expect(written == nil)
    }

    @Test func aDeviceThatIsNotGivenBackIsAFailure() throws {
        let daemon = try Asked().daemon(taken: false, failure: "1-1 could not be given back")
        let program = try run("--take", "none", "--json", in: daemon.directory)
        #expect(program.status == 1)
        let result = try JSON.decode(JSONValue.self, from: program.output)
        #expect(result["take"] == "none" && result["applied"] == true)
        guard case .array(let changes) = result["changes"] else { throw Program.Failure() }
        #expect(changes.first?["failure"] == "1-1 could not be given back")
    }

    @Test func withoutADaemonItHoldsFromItsStart() throws {
        let program = try run("--take", "all", in: ProcessTests.nowhere)
        #expect(program.status == 0 && program.lastLine == "The daemon is not running; this takes effect when it starts.")
        #expect(written == "take: all")
    }

    @Test func withoutATerminalItHasToBeSaidWhatIsTaken() throws {
        #expect(try run(in: ProcessTests.nowhere).status == 2)
        #expect(try run("--take", "some", in: ProcessTests.nowhere).status == 2)
        #expect(written == nil)
    }

    @Test func whatCanNotBeWrittenIsSaidAndTheDaemonIsNotTold() throws {
        let asked = Asked()
        let daemon = try asked.daemon(taken: true)
        let program = try Program.run(["setup", "--take", "all", "--settings", "/proc/nowhere"], in: daemon.directory)
        #expect(program.status != 0 && program.errors.hasPrefix("userdriver: /proc/nowhere"))
        #expect(asked.calls.withLock { $0.isEmpty })
    }

    @Test func whatTheDaemonRefusesIsSaid() throws {
        let daemon = try FakeDaemon { _, socket in
            try socket.send(VarlinkReply(error: "io.userdriver.NotPermitted", parameters: ["message": "So it is."]))
        }
        let program = try run("--take", "all", in: daemon.directory)
        #expect(program.status == 4 && program.errors == "userdriver: So it is.\n")
    }
}
