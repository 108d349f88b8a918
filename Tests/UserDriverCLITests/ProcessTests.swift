// The built program as scripts use it: against no daemon, and against one that is made up.

import CLinux
import FileDescriptors
import FakeDaemon
import FrameRing
import Glibc
import Pictures
import Spawn
import Synchronization
import Testing
import UserDriverClient
import Wire

/// The program `userdriver`, run to its end.
struct Program {
    var status: Int32
    var output: [UInt8]
    var errors: String
    var text: String { String(decoding: output, as: UTF8.self) }
    var lastLine: String { text.split(separator: "\n").last.map(String.init) ?? "" }

    /// Beside the tests' own executable, or where `USERDRIVER_BIN` says.
    static let path: String? = {
        var folders: [String] = []
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        if count > 0 {
            let executable = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            folders.append(executable.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/"))
        }
        if let folder = CommandLine.arguments.first?.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(
            separator: "/")
        {
            folders.append(folder)
        }
        if let folder = getenv("USERDRIVER_BIN") { folders.append(String(cString: folder)) }
        return folders.map { $0 + "/userdriver" }.first { access($0, X_OK) == 0 }
    }()

    static func run(_ arguments: [String], in directory: RuntimeDirectory, environment: [String: String] = [:]) throws -> Program {
        let path = try #require(path)
        let file = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let output = try Pipe()
        let errors = try Pipe()
        let child = try ChildProcess(
            executing: file,
            .init(
                arguments: [path] + arguments, environment: ["USERDRIVER_RUNTIME_DIR": directory.path].merging(environment) { $1 },
                descriptors: [nil, output.writes, errors.writes]))
        close(output.writes)
        close(errors.writes)
        let said = Mutex<[UInt8]>([])
        let done = ReaderAlarm()
        TestThread.start {
            let bytes = errors.readAll()
            said.withLock { $0 = bytes }
            done.ring()
        }
        let bytes = output.readAll()
        while done.count == 0 { done.wait(seen: 0, until: nil) }
        guard case .exited(let status) = try child.wait() else { throw Failure() }
        return Program(status: status, output: bytes, errors: said.withLock { String(decoding: $0, as: UTF8.self) })
    }

    struct Failure: Error {}

    struct Pipe {
        let reads: Int32
        let writes: Int32
        init() throws {
            var ends: [Int32] = [-1, -1]
            guard clinux_pipe(&ends) == 0 else { throw Failure() }
            (reads, writes) = (ends[0], ends[1])
            clinux_set_nonblocking(reads, 0)
        }
        func readAll() -> [UInt8] {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = read(reads, &buffer, buffer.count)
                if count <= 0 { break }
                bytes += buffer[..<count]
            }
            close(reads)
            return bytes
        }
    }
}

@Suite(
    .serialized, .timeLimit(.minutes(2)),
    .enabled(if: Program.path != nil, "the program userdriver is not built beside the tests, and USERDRIVER_BIN does not say where it is"))
struct ProcessTests {
    static let nowhere = RuntimeDirectory("/nonexistent/userdriver")

    @Test(arguments: [
        ["list"], ["status", "--json"], ["snap", "-o", "/dev/null", "--type", "jpg"], ["stream"], ["restart"], ["controls"],
    ])
    func withoutADaemonItFailsWithTheHint(_ arguments: [String]) throws {
        let program = try Program.run(arguments, in: Self.nowhere)
        #expect(program.status == 1)
        #expect(program.errors.contains("daemon is not running") && program.errors.contains("userdriver up"))
        #expect(program.output.isEmpty)
    }

    @Test func doctorWithoutADaemonIsAFindingAndNoFailure() throws {
        let program = try Program.run(["doctor", "--json"], in: Self.nowhere)
        #expect(program.status == 1 && program.errors.isEmpty)
        let report = try JSON.decode(JSONValue.self, from: program.output)
        #expect(report["health"] == "broken" && report["broken"]?["layer"]?["why"]?.stringValue?.isEmpty == false)
        #expect(try Program.run(["stack", "1-77"], in: Self.nowhere).status == 1)
    }

    @Test(arguments: [("NoSuchDevice", 3), ("NotPermitted", 4), ("AmbiguousDevice", 2)] as [(String, Int32)])
    func stackRefusesAsTheDaemonDoes(_ name: String, _ status: Int32) throws {
        let daemon = try FakeDaemon { call, socket in
            // Asked for everything, it answers: only that device is refused.
            if call.parameters["device"] == nil, name == "NoSuchDevice" {
                let daemon = Diagnosis.Daemon(version: "1", pid: 1, user: 0, groups: [], usesUSB: true, detachesKernelDrivers: false)
                return try socket.send(VarlinkReply(try JSONValue(encoding: Diagnosis(daemon: daemon))))
            }
            try socket.send(VarlinkReply(error: "io.userdriver." + name, parameters: ["message": "So it is."]))
        }
        let program = try Program.run(["stack", "no-such-thing"], in: daemon.directory)
        #expect(program.status == status && program.errors == "userdriver: So it is.\n", "\(program.errors)")
    }

    @Test func aDaemonThatKnowsNoDiagnosisIsNotTakenForAHealthyOne() throws {
        let daemon = try FakeDaemon { call, socket in
            try socket.send(VarlinkReply(error: "org.varlink.service.MethodNotFound", parameters: ["method": .string(call.method)]))
        }
        let program = try Program.run(["doctor", "--json"], in: daemon.directory)
        let report = try JSON.decode(JSONValue.self, from: program.output)
        guard case .array(let machine) = report["machine"] else { throw Program.Failure() }
        #expect(program.status == 1 && machine.contains { $0["layer"] == "daemon" && $0["health"] == "broken" })
    }

    @Test func usageEndsWith2AndHelpWith0() throws {
        #expect(try Program.run(["nonsense"], in: Self.nowhere).status == 2)
        let help = try Program.run(["--help"], in: Self.nowhere)
        #expect(help.status == 0 && help.text.contains("EXIT STATUS"))
        #expect(try Program.run(["--version"], in: Self.nowhere).text == "userdriver 0.1.0\n")
    }

    @Test(arguments: [("NoSuchDevice", 3), ("NotPermitted", 4), ("AmbiguousDevice", 2), ("DeviceError", 1)] as [(String, Int32)])
    func theDaemonsErrorsBecomeStatuses(_ name: String, _ status: Int32) throws {
        let daemon = try FakeDaemon { _, socket in
            try socket.send(VarlinkReply(error: "io.userdriver." + name, parameters: ["message": "So it is."]))
        }
        for arguments in [["status", "x"], ["stream", "x"], ["snap", "x", "-o", "/tmp/never.jpg"], ["controls", "get", "brightness"]] {
            let program = try Program.run(arguments, in: daemon.directory)
            #expect(program.status == status)
            #expect(program.errors == "userdriver: So it is.\n")
        }
    }

    @Test func controlsAreTheOnlyCamerasWhateverElseIsAttached() throws {
        func device(_ id: String, kind: String) -> JSONValue {
            [
                "id": .string(id), "bus": "1-1", "vendorId": "1d6b", "productId": "0104", "name": "Device", "kind": .string(kind),
                "driver": .string(kind), "state": "running", "pid": 42, "restarts": 0, "warnings": [], "streams": [],
            ]
        }
        let control: JSONValue = [
            "name": "gain", "description": "Gain", "type": "integer", "minimum": 0, "maximum": 64, "step": 1, "default": 0, "value": 5,
            "readable": true, "writable": true, "automatic": false, "unit": "processing", "selector": 2,
        ]
        let both = [device("1d6b:0104:S", kind: "scanner"), device("1d6b:0104:C", kind: "webcam")]
        let daemon = try FakeDaemon { call, socket in
            switch (call.methodName, call.parameters["device"]) {
            case ("Status", nil): try socket.send(VarlinkReply(["devices": .array(both)]))
            case ("Status", _): try socket.send(VarlinkReply(["devices": [both[0]]]))
            default: try socket.send(VarlinkReply(["control": control]))
            }
        }
        #expect(try Program.run(["controls", "get", "gain"], in: daemon.directory).text == "5\n")
        #expect(daemon.calls.last?.parameters["device"] == "1d6b:0104:C")
        let scanner = try Program.run(["controls", "get", "gain", "-d", "S"], in: daemon.directory)
        // The only device there is may be of any kind that has controls.
        let thermometer = device("1d6b:0104:T", kind: "thermometer")
        let other = try FakeDaemon { call, socket in
            try socket.send(VarlinkReply(call.methodName == "Status" ? ["devices": [thermometer]] : ["control": control]))
        }
        #expect(try Program.run(["controls", "get", "gain"], in: other.directory).text == "5\n")
        #expect(scanner.status == 1 && scanner.errors.contains("is a scanner, not a camera"), "\(scanner.errors)")
    }

    @Test func statusJSONHasTheShapeThatScriptsRelyOn() throws {
        let device: JSONValue = [
            "id": "1d6b:0104:A", "bus": "1-1", "vendorId": "1d6b", "productId": "0104", "name": "Camera", "kind": "webcam",
            "driver": "webcam",
            "state": "running", "pid": 42, "restarts": 0, "warnings": [],
            "streams": [["name": "", "format": "mjpeg", "width": 640, "height": 480, "fps": 29.5, "frames": 100, "lost": 0, "clients": 1]],
        ]
        let daemon = try FakeDaemon { _, socket in try socket.send(VarlinkReply(["devices": [device]])) }
        let program = try Program.run(["status", "--json"], in: daemon.directory)
        #expect(program.status == 0)
        let value = try JSON.decode(JSONValue.self, from: program.output)
        #expect(value == ["devices": [device]])
        #expect(try Program.run(["list"], in: daemon.directory).text.contains("1d6b:0104:A  Camera"))
    }

    /// A camera that publishes as many frames as it is asked for, as soon as somebody watches.
    static func camera(_ frames: [[UInt8]], flags: FrameFlags = [], description: JSONValue) throws -> FakeDaemon {
        let stream = try FakeStream(slotCount: 64, capacity: 1 << 16)
        return try FakeDaemon { call, socket in
            guard call.methodName == "Watch" else { return }
            let owned = try stream.memory.readOnlyDescriptor()
            let descriptor = owned.number
            try socket.send(stream.reply("opened", description: description), descriptors: [descriptor])
            // Once the client has mapped the ring it answers nothing; the frames wait until somebody looks.
            FrameFeeder.feed(frames, flags: flags, into: stream, over: socket)
        }
    }

    static let yuy2: JSONValue = ["format": "yuy2", "width": 32, "height": 8, "fps": 30.0]

    @Test func streamCountsFramesAndPrintsFiguresLast() throws {
        let frames = (0..<20).map { [UInt8](repeating: UInt8($0), count: 512) }
        let daemon = try Self.camera(frames, description: Self.yuy2)
        let program = try Program.run(["stream", "--frames", "5", "--stats", "json"], in: daemon.directory)
        #expect(program.status == 0)
        let figures = try JSON.decode(JSONValue.self, from: Array(program.lastLine.utf8))
        guard case .object(let members) = figures else { throw Program.Failure() }
        #expect(Set(members.keys) == ["frames", "lost", "torn", "restarts", "longestGapMs", "fps", "bytes"])
        #expect(figures["frames"] == 5 && figures["bytes"] == 2560 && figures["torn"] == 0)
    }

    @Test func framesGoToStandardOutputAndFiguresToStandardError() throws {
        let frames = (0..<20).map { [UInt8](repeating: UInt8($0), count: 512) }
        let daemon = try Self.camera(frames, description: Self.yuy2)
        let program = try Program.run(["stream", "--frames", "3", "-o", "-", "--stats", "json"], in: daemon.directory)
        #expect(program.status == 0 && program.output.count == 3 * 512)
        #expect(program.errors.split(separator: "\n").last?.hasPrefix("{\"frames\":3,") == true)
    }

    @Test func aStreamThatEndsEarlyFails() throws {
        let stream = try FakeStream()
        let daemon = try FakeDaemon { _, socket in
            try stream.send("opened", to: socket)
            try socket.send(news("ended", message: "The camera has been sold.", continues: false))
        }
        let program = try Program.run(["stream", "--frames", "3", "--stats", "json"], in: daemon.directory)
        #expect(program.status == 1 && program.lastLine.hasPrefix("{\"frames\":0,"))
        #expect(program.errors.contains("The camera has been sold."))
    }

    @Test func damagedFramesAreLostAndAStreamOfThemFailsWithTheReason() throws {
        let frames = (0..<20).map { [UInt8](repeating: UInt8($0), count: 500) }
        let daemon = try Self.camera(frames, flags: [.damaged, .short], description: Self.yuy2)
        let program = try Program.run(["stream", "--seconds", "0.5", "--stats", "json"], in: daemon.directory)
        let figures = try JSON.decode(JSONValue.self, from: Array(program.lastLine.utf8))
        #expect(program.status == 1)
        #expect(figures["frames"] == 0 && figures["torn"] == 0 && (figures["lost"]?.intValue ?? 0) > 0)
        #expect(program.errors.contains("no whole frame arrived within 500 ms: all"), "\(program.errors)")
        #expect(program.errors.contains("frames that arrived are damaged (too short)"), "\(program.errors)")
        let snap = try Program.run(["snap", "-o", "/dev/null", "--type", "jpg", "--timeout", "0.5"], in: daemon.directory)
        #expect(snap.status == 1 && snap.errors.contains("No picture within 500 ms: all"), "\(snap.errors)")
    }

    @Test func aStreamThatBringsNothingFails() throws {
        let stream = try FakeStream()
        let daemon = try FakeDaemon { _, socket in try stream.send("opened", to: socket) }
        let program = try Program.run(["stream", "--seconds", "0.2", "--stats", "json"], in: daemon.directory)
        #expect(program.status == 1)
        #expect(program.errors == "userdriver: no whole frame arrived within 200 ms: the camera has sent none.\n")
        let absent = try FakeDaemon { _, socket in
            try stream.send("opened", to: socket)
            try socket.send(news("absent", message: "It was unplugged."))
        }
        #expect(try Program.run(["stream", "--seconds", "0.2"], in: absent.directory).status == 3)
    }

    @Test func aSnapshotThatWaitsForMoreGoodFramesThanComeSaysSo() throws {
        let daemon = try FakeDaemon { _, socket in
            let stream = try FakeStream()
            try stream.send("opened", to: socket)
            FrameFeeder.feedSlowly([[UInt8](repeating: 1, count: 512)], into: stream, over: socket)
        }
        let program = try Program.run(
            ["snap", "-o", "/dev/null", "--type", "jpg", "--skip", "500", "--timeout", "1"], in: daemon.directory)
        #expect(program.status == 1)
        #expect(program.errors.contains("of the 500 frames to skip arrived"), "\(program.errors)")
    }

    @Test(arguments: ["jpg", "png", "ppm"]) func aPictureIsTakenInEveryKind(_ kind: String) throws {
        let picture = try Picture(width: 32, height: 8, red: 10, green: 200, blue: 30)
        let daemon = try Self.camera(Array(repeating: picture.bytes(as: .yuy2), count: 40), description: Self.yuy2)
        let path = daemon.directory.path + "/photo." + kind
        let program = try Program.run(["snap", "-o", path], in: daemon.directory)
        #expect(program.status == 0 && program.errors.isEmpty)
        let taken = try Picture(contentsOf: path)
        unlink(path)
        #expect(taken.width == 32 && taken.height == 8)
        #expect(abs(Int(taken[16, 4].green) - 200) < 12)
    }

    @Test func aNewDriverIsARestart() throws {
        let stream = try FakeStream(slotCount: 64)
        let daemon = try FakeDaemon { _, socket in
            try stream.send("opened", to: socket)
            try socket.send(news("restarted", generation: 2, restarts: 1, message: "SIGKILL"))
            try stream.restart(generation: 2)
            FrameFeeder.feed((0..<20).map { [UInt8](repeating: UInt8($0), count: 512) }, into: stream, over: socket)
        }
        let program = try Program.run(["stream", "--frames", "3", "--stats", "json"], in: daemon.directory)
        #expect(program.status == 0 && program.errors.contains("driver restarted"))
    }

    @Test(arguments: [(["--frames", "1000000"], 1), ([], 0)] as [([String], Int32)])
    func anInterruptEndsAStreamWithItsFigures(_ arguments: [String], _ status: Int32) throws {
        let path = try #require(Program.path)
        let daemon = try Self.camera((0..<20).map { [UInt8](repeating: UInt8($0), count: 512) }, description: Self.yuy2)
        let file = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let (frames, figures) = (try Program.Pipe(), try Program.Pipe())
        let child = try ChildProcess(
            executing: file,
            .init(
                arguments: [path, "stream", "-o", "-", "--stats", "json", "--quiet", "--runtime-dir", daemon.directory.path] + arguments,
                environment: [:], descriptors: [nil, frames.writes, figures.writes]))
        close(frames.writes)
        close(figures.writes)
        // A frame has come: it streams.
        var byte: UInt8 = 0
        #expect(read(frames.reads, &byte, 1) == 1)
        try child.kill(SIGINT)
        _ = frames.readAll()
        #expect(String(decoding: figures.readAll(), as: UTF8.self).hasPrefix("{\"frames\":"))
        #expect(try child.wait(timeout: .seconds(60)) == .exited(status: status))
    }

    @Test func inspectReadsAFileWithoutADaemon() throws {
        let daemon = try FakeDaemon { _, _ in }
        let path = daemon.directory.path + "/descriptors"
        let file = try #require(fopen(path, "w"))
        fputs(
            "12 01 00 02 00 00 00 40 6b 1d 04 01 00 01 00 00 00 01  # a device\n09 02 12 00 01 01 00 80 32\n09 04 00 00 00 ff 00 00 00\n",
            file)
        fclose(file)
        defer { unlink(path) }
        let program = try Program.run(["inspect", path], in: Self.nowhere)
        #expect(program.status == 0 && program.text.contains("1d6b:0104"))
        #expect(try Program.run(["inspect", path, "--json"], in: Self.nowhere).status == 0)
        #expect(try Program.run(["inspect", "/nonexistent/file"], in: Self.nowhere).status == 1)
    }

    @Test(arguments: ["webcam", "scanner"]) func emulateSaysItsAddressFirstAndEndsOnSIGTERM(kind: String) throws {
        let path = try #require(Program.path)
        let file = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let output = try Program.Pipe()
        let child = try ChildProcess(
            executing: file,
            .init(arguments: [path, "emulate", kind, "--port", "0"], environment: [:], descriptors: [nil, output.writes, nil]))
        close(output.writes)
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(output.reads, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        close(output.reads)
        #expect(String(decoding: line, as: UTF8.self).hasPrefix("usbip://127.0.0.1:"))
        try child.kill(SIGTERM)
        #expect(try child.wait(timeout: .seconds(60)) == .exited(status: 0))
    }
}

/// Publishes frames one by one until the client has gone: it may map the ring at any time, and sees what comes after that.
enum FrameFeeder {
    /// A frame now and then, until the client has gone.
    static func feedSlowly(_ frames: [[UInt8]], into stream: FakeStream, over socket: VarlinkSocket) {
        TestThread.start {
            while true {
                for frame in frames { stream.publish(frame) }
                var entry = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
                if poll(&entry, 1, 50) != 0 { return }
            }
        }
    }

    static func feed(_ frames: [[UInt8]], flags: FrameFlags = [], into stream: FakeStream, over socket: VarlinkSocket) {
        TestThread.start {
            while true {
                for frame in frames {
                    stream.publish(frame, flags: flags)
                    // The frames' pace, and the end of it: when the client closes, the socket becomes readable.
                    var entry = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
                    if poll(&entry, 1, 2) != 0 { return }
                }
            }
        }
    }
}
