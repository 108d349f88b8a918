// What is said when something can't be done is true: against daemons that are made up.

import ArgumentParser
import CLinux
import FileDescriptors
import FakeDaemon
import FrameRing
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

@testable import UserDriverCLI

@Suite(
    .serialized, .timeLimit(.minutes(2)),
    .enabled(if: Program.path != nil, "the program userdriver is not built beside the tests, and USERDRIVER_BIN does not say where it is"))
struct RefusalMessageTests {
    @Test(arguments: [
        ["stream", "cam", "--wait", "--timeout", "300ms"],
        ["snap", "cam", "--wait", "--timeout", "300ms", "-o", "/dev/null", "--type", "jpg"],
    ])
    func whatWasWaitedForInVainIsNamed(_ arguments: [String]) throws {
        let daemon = try FakeDaemon { _, socket in
            try socket.send(VarlinkReply(error: "io.userdriver.NoSuchDevice", parameters: ["message": "No device is called \"cam\"."]))
        }
        let program = try Program.run(arguments, in: daemon.directory)
        #expect(program.status == 3 && program.errors == "userdriver: Waited 0.3 s. No device is called \"cam\".\n", "\(program.errors)")
        let nobody = try Program.run(arguments, in: ProcessTests.nowhere)
        #expect(
            nobody.status == 1 && nobody.errors.contains("Waited 0.3 s.") && nobody.errors.contains("is not running"), "\(nobody.errors)")
    }

    @Test func aDeviceThatDoesNotStreamInTimeIsBlamedAndNotTheDaemon() throws {
        let device: JSONValue = [
            "id": "1d6b:0104:A", "bus": "1-1", "vendorId": "1d6b", "productId": "0104", "name": "Camera", "kind": "webcam",
            "driver": "webcam", "state": "starting", "pid": 42, "restarts": 0, "warnings": [], "streams": [], "reason": "It thinks.",
        ]
        let daemon = try FakeDaemon { call, socket in
            if call.methodName == "Status" { try socket.send(VarlinkReply(["devices": [device]])) }
        }
        let program = try Program.run(["stream", "--timeout", "200ms"], in: daemon.directory)
        #expect(program.status == 1)
        #expect(
            program.errors.contains("1d6b:0104:A did not start streaming within 0.2 s: it is starting (It thinks)."), "\(program.errors)")
    }

    @Test func aDaemonThatHangsIsSaidToHang() throws {
        let daemon = try FakeDaemon { _, _ in }
        let program = try Program.run(["stream", "--timeout", "200ms"], in: daemon.directory)
        #expect(
            program.status == 1 && program.errors.contains("did not answer in time") && program.errors.contains("hangs"),
            "\(program.errors)")
    }

    @Test func aDaemonOfAnotherVersionIsSaidToBeOne() throws {
        let old = try FakeDaemon { call, socket in
            try socket.send(VarlinkReply(error: "org.varlink.service.MethodNotFound", parameters: ["method": .string(call.method)]))
        }
        for arguments in [["driver", "list"], ["capture", "-o", "/dev/null"], ["inspect"], ["take"]] {
            let program = try Program.run(arguments, in: old.directory)
            #expect(program.status == 1 && program.errors.contains("version differs"), "\(arguments): \(program.errors)")
        }
        let odd = try FakeDaemon { _, socket in try socket.send(VarlinkReply(["devices": "many"])) }
        let program = try Program.run(["status"], in: odd.directory)
        #expect(
            program.status == 1 && program.errors.contains("versions differ") && program.errors.contains("--version"),
            "\(program.errors)")
    }

    @Test func framesThatWereSkippedAreNotSaidToBeMissing() throws {
        let stream = try FakeStream(slotCount: 64)
        let daemon = try FakeDaemon { call, socket in
            guard call.methodName == "Watch" else { return }
            let owned = try stream.memory.readOnlyDescriptor()
            let descriptor = owned.number
            try socket.send(stream.reply("opened", description: ProcessTests.yuy2), descriptors: [descriptor])
            FrameFeeder.feed([[UInt8](repeating: 1, count: 512)], into: stream, over: socket)
        }
        let program = try Program.run(
            ["snap", "--skip", "1000000", "--timeout", "1", "-o", "/dev/null", "--type", "jpg"], in: daemon.directory)
        #expect(program.status == 1 && program.errors.contains("1000000"), "\(program.errors)")
        #expect(!program.errors.contains("no frame arrived"))
    }

    /// What every verb says to words that make no sense: status 2, what was wrong, and nothing on standard output.
    @Test(
        arguments: [
            (["stream", "-o", "film.mp4"], "userdriver record -o film.mp4"), (["stream", "-o", "photo.jpg"], "snap -o"),
            (["stream", "-o", ""], "-o needs"),
            (["stream", "--fps", "0"], "--fps"), (["stream", "--seconds", "-1"], "seconds"), (["stream", "--seconds", "soon"], "seconds"),
            (["stream", "--frames", "0"], "--frames"), (["stream", "--size", "0x0"], "size"), (["stream", "--timeout", "1e99"], "timeout"),
            (["stream", ""], "empty"), (["stream", "a", "-d", "b"], "Two devices"), (["stream", "a", "b"], "b"),
            (["snap", "-o", "film.bmp"], ".jpg, .png or .ppm"), (["snap", "-o", "a.png", "--type", "jpg"], "a different kind"),
            (["snap", "-o", "a.jpg", "--quality", "101"], "--quality"), (["snap", "-o", "a.jpg", "--skip", "-1"], "skip"),
            (["snap"], "--output"), (["snap", "-o", "-", "--type", "bmp"], "bmp"),
            (["capture", "-o", "x", "--transfers", "0"], "--transfers"),
            (["capture"], "--output"), (["status", " "], "empty"), (["restart", "a", "b"], "b"), (["list", "cam"], "cam"),
            (["take", ""], "empty"), (["release", "-d", ""], "empty"), (["stack", "a", "b"], "b"), (["doctor", "cam"], "cam"),
            (["attach"], "url"), (["attach", "cam"], "usbip://HOST"), (["detach", "usbip://a"], "usbip://HOST"),
            (["crashes", "show", "one"], "one"), (["crashes", "list", ""], "empty"), (["driver", "install"], "folder"),
            (["driver", "sign", "x.driver"], "--key"), (["driver", "rollback"], "name"), (["driver", "nonsense"], "nonsense"),
            (["emulate", "webcam", "--count", "17"], "--count"), (["emulate", "webcam", "--port", "65536"], "port"),
            (["emulate", "webcam", "--startup-ms", "-1"], "startup-ms"), (["emulate", "webcam", "--udc", "x"], "--gadget"),
            (["up", "--count", "2"], "--emulate"), (["up", "--emulate", "webcam", "--count", "0"], "--count"),
            (["up", "--emulate", "webcam", "--count", "17"], "--count"), (["up", "--attach", "x"], "usbip://HOST"), (["up", "now"], "now"),
            (["inspect", "a", "b"], "b"), (["nonsense"], "nonsense"),
        ] as [([String], String)]) func wordsThatMakeNoSenseAreNamed(_ arguments: [String], _ word: String) throws
    {
        let program = try Program.run(arguments, in: ProcessTests.nowhere)
        #expect(program.status == 2 && program.output.isEmpty, "\(arguments): \(program.status) \(program.text)")
        #expect(program.errors.contains(word) && program.errors.contains("Usage:"), "\(arguments): \(program.errors)")
    }

    @Test func aDeviceIsNamedByItsPlaceOrByAnOption() throws {
        let daemon = try FakeDaemon { call, socket in
            let device = call.parameters["device"]?.stringValue ?? "nothing"
            try socket.send(VarlinkReply(error: "io.userdriver.NoSuchDevice", parameters: ["message": .string("asked for \(device)")]))
        }
        for verb in [
            ["status"], ["stream"], ["snap", "-o", "-", "--type", "ppm"], ["restart"], ["take"], ["release"],
            ["capture", "-o", "/dev/null"],
            ["crashes", "list"], ["controls", "list"],
        ] {
            for words in [["cam"], ["-d", "cam"], ["--device", "cam"]] {
                let program = try Program.run(verb + words, in: daemon.directory)
                #expect(program.status == 3 && program.errors == "userdriver: asked for cam\n", "\(verb + words): \(program.errors)")
            }
        }
    }

    @Test func anOutputThatIsClosedOrFullIsAnErrorAndNothingElseIsWrittenTo() throws {
        let daemon = try FakeDaemon { _, socket in try socket.send(VarlinkReply(["devices": []])) }
        for (redirection, status, words) in [
            (">&-", 1, "Bad file descriptor"), (">/dev/full", 1, "No space left"), ("<&-", 0, ""), ("2>&-", 0, ""),
        ] as [(String, Int32, String)] {
            let program = try Self.shell("list --json \(redirection)", in: daemon.directory)
            #expect(program.status == status, "\(redirection): \(program.status) \(program.errors)")
            #expect(program.errors.contains(words), "\(redirection): \(program.errors)")
        }
        // Whoever read has gone: there is nobody to complain to.
        let gone = try Self.shell("help stream | true", in: daemon.directory)
        #expect(gone.status == 0 && gone.errors.isEmpty, "\(gone.errors)")
    }

    /// `userdriver WORDS` by a shell.
    private static func shell(_ words: String, in directory: RuntimeDirectory) throws -> Program {
        let path = try #require(Program.path)
        let file = open("/bin/sh", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let (output, errors) = (try Program.Pipe(), try Program.Pipe())
        let child = try ChildProcess(
            executing: file,
            .init(
                arguments: ["sh", "-c", "exec 3>&- ; \(ShellText.quoted(path)) \(words)"],
                environment: ["USERDRIVER_RUNTIME_DIR": directory.path, "PATH": "/usr/bin:/bin"],
                descriptors: [nil, output.writes, errors.writes]))
        close(output.writes)
        close(errors.writes)
        let bytes = output.readAll()
        let said = errors.readAll()
        guard case .exited(let status) = try child.wait() else { throw Program.Failure() }
        return Program(status: status, output: bytes, errors: String(decoding: said, as: UTF8.self))
    }

    @Test func aFolderThatIsNotOursIsLeftAlone() throws {
        let daemon = try FakeDaemon { _, _ in }
        let folder = daemon.directory.path + "/everybodys"
        #expect(mkdir(folder, 0o700) == 0 && chmod(folder, 0o1777) == 0)
        defer { rmdir(folder) }
        let program = try Program.run(["up", "--runtime-dir", folder], in: ProcessTests.nowhere)
        #expect(program.status == 4 && program.errors.contains("others can write to it"), "\(program.errors)")
        var status = stat()
        #expect(stat(folder, &status) == 0 && status.st_mode & 0o7777 == 0o1777)
    }
}
