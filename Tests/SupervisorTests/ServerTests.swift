// The socket under fire: raw bytes, clients that stall, and a client that somebody else wrote.

import CLinux
import Foundation
import Glibc
import Testing
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(2))) struct ServerTests {
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
        let end: (reply: VarlinkReply, descriptors: [Int32])?
        do { end = try await client.receive() } catch { end = nil }
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
