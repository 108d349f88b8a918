// The socket under fire: raw bytes, clients that stall, and a client that somebody else wrote.

import CLinux
import Foundation
import Glibc
import Testing
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(10))) struct ServerTests {
    private static let nonsense: [String: String] = [
        "nothing": "\0", "no method": "{}\0", "null": "null\0", "a method that is a number": "{\"method\":1}\0",
        "half an object": "{\"method\":\"a.b\"\0", "control characters": "\u{1}\u{2}\u{3}\0",
        "deep nesting": String(repeating: "[", count: 3000) + "\0",
        "no end": String(repeating: "x", count: 60_000),
    ]

    @Test(arguments: nonsense.keys.sorted())
    func cutsOffWhoSpeaksNonsense(kind: String) async throws {
        let text = try #require(Self.nonsense[kind])
        let bench = try await Bench()
        let client = try bench.client()
        let bytes = Array(text.utf8)
        #expect(clinux_send(client.socket.descriptor, bytes, UInt(bytes.count), nil, 0, 0) == bytes.count)
        var end: (reply: VarlinkReply, descriptors: [Int32])?
        do { end = try await client.receive() } catch { end = nil }
        // What is too long is told why, and cut off then.
        if kind == "no end" {
            #expect(end?.reply.error == "io.userdriver.InvalidParameter")
            do { end = try await client.receive() } catch { end = nil }
        }
        #expect(end == nil)
        #expect(try await bench.status().isEmpty)
        await bench.stop()
    }

    @Test func answersPipelinedCallsInTheirOrder() async throws {
        let bench = try await Bench()
        let client = try bench.client()
        for _ in 0..<100 {
            try await client.send("org.varlink.service.GetInfo")
            try await client.send("io.userdriver.Status")
            try await client.send("io.userdriver.NoSuch")
        }
        for _ in 0..<100 {
            #expect(try await client.receive()?.reply.parameters["product"] == "userdriverd")
            #expect(try await client.receive()?.reply.parameters["devices"] == [])
            #expect(try await client.receive()?.reply.error == "org.varlink.service.MethodNotFound")
        }
        await bench.stop()
    }

    @Test func answersOneWhoHasStoppedSending() async throws {
        let bench = try await Bench()
        let client = try bench.client()
        try await client.send("io.userdriver.Crashes")
        shutdown(client.socket.descriptor, Int32(SHUT_WR))
        #expect(try await client.receive()?.reply.parameters["crashes"] == [])
        #expect(try await client.receive() == nil)
        await bench.stop()
    }

    @Test func aStalledClientIsCutOffAndDelaysNobody() async throws {
        let bench = try await Bench { $0.limits.backlogBytes = 20_000 }
        let stalled = try await bench.listener()
        let attentive = try await bench.listener()
        // Neither reads while much is announced: the one that goes on reading later has lost nothing, for the other one the queue is full.
        for round in 0..<3000 {
            bench.source.plug(makeDevice(path: "1-\(round % 5)", serial: nil, interfaceClass: 3))
            bench.source.unplug("1-\(round % 5)")
            if round % 10 == 9 {
                for _ in 0..<20 { _ = try await attentive.event("unsupported", "absent") }
            }
        }
        _ = try await bench.status()
        var replies = 0
        do {
            while try await stalled.receive() != nil { replies += 1 }
        } catch {
            // Cut off amid a message.
        }
        #expect(replies < 6000)
        await bench.stop()
    }

    @Test func refusesMoreClientsThanItsLimit() async throws {
        let bench = try await Bench { $0.limits.clients = 3 }
        let clients = try (0..<3).map { _ in try bench.client() }
        for client in clients { _ = try await client.call("io.userdriver.Status") }
        let refused = try #require(try await bench.client().receive()).reply
        #expect(refused.error == "io.userdriver.LimitReached")
        clients[0].socket.shutdown()
        await bench.stop()
    }

    /// On a slow machine a connection may be cut off before its call has come: then another one.
    private func patientListener(_ bench: Bench) async throws -> TestClient {
        while true {
            do { return try await bench.listener() } catch is WireError {} catch let error as CallError where error.code == "End" {}
        }
    }

    @Test(arguments: [0, 10_000]) func cutsOffWhoHoldsAConnectionForNothing(bytes: Int) async throws {
        let bench = try await Bench { $0.timing.idleLimit = .milliseconds(50) }
        let client = try bench.client()
        // Half a message is as good as none.
        let text = Array("{\"method\":\"".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: bytes)
        if bytes > 0 { #expect(clinux_send(client.socket.descriptor, text, UInt(text.count), nil, 0, 0) == text.count) }
        #expect(try await client.receive() == nil)
        // One whose call is being answered may wait as long as it likes.
        let listener = try await patientListener(bench)
        let other = try bench.client()
        #expect(try await other.receive() == nil)
        bench.source.plug(makeDevice(interfaceClass: 3))
        _ = try await listener.event("unsupported")
        await bench.stop()
    }

    @Test(arguments: [
        (UInt32(0), UInt32(0), true), (0, 100, true), (100, 100, true), (1000, 0, false), (1000, 100, false), (65534, 0, false),
    ]) func onlyRootAndTheDaemonsUserManage(user: UInt32, daemon: UInt32, may: Bool) throws {
        let rights = ClientRights.of(user: user, daemonUser: daemon)
        for method in ["Status", "Inspect", "Watch", "Events", "Restart", "Crashes"] {
            try rights.check(VarlinkCall(method: "io.userdriver." + method))
        }
        try rights.check(VarlinkCall(method: "io.userdriver.camera.SetControl"))
        for method in ["Attach", "Detach"] {
            let call = VarlinkCall(method: "io.userdriver." + method)
            if may {
                try rights.check(call)
            } else {
                #expect(try #require(throws: CallError.self) { try rights.check(call) }.code == "NotPermitted")
            }
        }
    }

    /// A client of another user, for which this one has to be root: the socket's mode lets nobody in, its group lets them in, and what they may
    /// do then is looked at with each call.
    @Test(.enabled(if: geteuid() == 0, "needs root, to be somebody else")) func aMemberOfTheGroupWatchesAndDoesNotManage() async throws {
        let bench = try await Bench { $0.limits.clientsPerUser = 2 }
        let script = """
            import json, os, socket, sys
            path, user, group = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
            os.setgroups([]); os.setgid(group); os.setuid(user)
            def ask(method):
                s = socket.socket(socket.AF_UNIX)
                try: s.connect(path)
                except PermissionError: return "refused", None
                try: s.sendall(json.dumps({"method": "io.userdriver." + method, "parameters": {"url": "usbip://127.0.0.1:1/1-1"}}).encode() + b"\\0")
                except BrokenPipeError: pass
                reply = json.loads(s.recv(65536).split(b"\\0")[0])
                return reply.get("error", "answered"), s
            held = []
            for method in ["Status", "Attach", "Status"]:
                answer, connection = ask(method)
                held.append(connection)
                print(answer)
            """
        chmod(bench.folder.path, 0o711)
        let socket = bench.configuration.socketPath
        #expect(try await Self.python(script, socket, "65534", "65534") == "refused\nrefused\nrefused\n")
        #expect(chown(socket, 0, 65534) == 0)
        #expect(
            try await Self.python(script, socket, "65534", "65534")
                == "answered\nio.userdriver.NotPermitted\nio.userdriver.LimitReached\n")
        #expect(try await bench.status().isEmpty)
        await bench.stop()
    }

    private static func python(_ script: String, _ arguments: String...) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
                process.arguments = ["python3", "-c", script] + arguments
                let pipe = Pipe()
                process.standardOutput = pipe
                continuation.resume(
                    with: Result {
                        try process.run()
                        let data = pipe.fileHandleForReading.readDataToEndOfFile()
                        process.waitUntilExit()
                        return String(decoding: data, as: UTF8.self)
                    })
            }
        }
    }

    /// Whoever watches has a descriptor that is good for reading only. One that tries to write all the same dies, and nobody else notices.
    @Test func aClientThatWritesIntoTheRingDiesAlone() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let pid = try #require(try await bench.status().first).pid
        let watcher = try bench.client()
        try await watcher.send("io.userdriver.Watch", ["request": [:]], more: true)
        for descriptor in try #require(try await watcher.receive()).descriptors { close(descriptor) }
        let script = """
            import array, ctypes, mmap, os, socket, sys
            s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
            s.sendall(b'{"method":"io.userdriver.Watch","parameters":{"request":{}},"more":true}\\0')
            data, control, flags, address = s.recvmsg(65536, socket.CMSG_SPACE(4))
            ring = array.array("i", control[0][2])[0]
            size = os.fstat(ring).st_size
            for attempt in (lambda: mmap.mmap(ring, size, prot=mmap.PROT_READ | mmap.PROT_WRITE), lambda: os.pwrite(ring, b"x", 0), lambda: os.ftruncate(ring, 0)):
                try: attempt()
                except (PermissionError, OSError) as error: print("refused", flush=True)
            libc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p
            address = libc.mmap(None, ctypes.c_size_t(size), 1, 1, ring, ctypes.c_long(0))
            print("writes", flush=True)
            ctypes.memset(address, 1, 1)
            print("wrote", flush=True)
            """
        #expect(try await Self.python(script, bench.configuration.socketPath) == "refused\nrefused\nrefused\nwrites\n")
        let status = try #require(try await bench.status().first)
        #expect(status.pid == pid)
        #expect(status.restarts == 0)
        #expect(status.streams.first?.clients == 1)
        await bench.stop()
    }

    @Test func closesDescriptorsThatClientsSend() async throws {
        let bench = try await Bench()
        var ends: [Int32] = [-1, -1]
        #expect(clinux_pipe(&ends) == 0)
        let client = try bench.client()
        try client.socket.send(VarlinkCall(method: "io.userdriver.Status"), descriptors: [ends[1]])
        close(ends[1])
        _ = try await client.receive()
        var byte: UInt8 = 0
        #expect(read(ends[0], &byte, 1) == 0)
        close(ends[0])
        await bench.stop()
    }

    static let hasPythonVarlink: Bool = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", "import varlink"]
        process.standardError = FileHandle.nullDevice
        do {
            try process.run()
        } catch {
            return false
        }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()

    @Test(.enabled(if: hasPythonVarlink, "needs PyPI's package varlink in python3")) func speaksWithAClientThatSomebodyElseWrote()
        async throws
    {
        let bench = try await Bench()
        try await bench.drive()
        let script = """
            import sys, varlink
            client = varlink.Client("unix:" + sys.argv[1])
            with client.open("org.varlink.service") as service:
                print(service.GetInfo()["product"])
            for name in ["org.varlink.service", "io.userdriver", "io.userdriver.camera"]:
                print(client.get_interface(name).name)
            with client.open("io.userdriver") as manager:
                print(manager.Status()["devices"][0]["id"])
                try:
                    manager.Status("nothing")
                except varlink.VarlinkError as error:
                    print(error.error())
                for reply in manager.Watch(request={}, _more=True):
                    print(reply["event"], reply["ring"]["slotCount"])
                    break
            with client.open("io.userdriver.camera") as camera:
                camera.GetControl(name="gain")
                print("answered")
            """
        let socket = bench.configuration.socketPath
        let output = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<String, any Error>) in
            DispatchQueue.global().async {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
                process.arguments = ["python3", "-c", script, socket]
                let pipe = Pipe()
                process.standardOutput = pipe
                continuation.resume(
                    with: Result {
                        try process.run()
                        let data = pipe.fileHandleForReading.readDataToEndOfFile()
                        process.waitUntilExit()
                        return String(decoding: data, as: UTF8.self)
                    })
            }
        }
        #expect(
            output == """
                userdriverd
                org.varlink.service
                io.userdriver
                io.userdriver.camera
                1234:5678:S1
                io.userdriver.NoSuchDevice
                opened 4
                answered

                """)
        await bench.stop()
    }
}
