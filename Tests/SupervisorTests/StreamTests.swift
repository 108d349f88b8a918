// Streams: what those who watch are told, and that their ring stays.

import Glibc
import Testing
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(10))) struct StreamTests {
    /// Opens a stream: the first reply's parameters and the inode of the ring.
    private func watch(
        _ bench: Bench, _ request: JSONValue = [:], stream: String = "video"
    ) async throws -> (client: TestClient, reply: JSONValue, ring: UInt) {
        let client = try bench.client()
        try await client.send("io.userdriver.Watch", ["request": request, "stream": .string(stream)], more: true)
        let (reply, descriptors) = try #require(try await client.receive())
        if let error = reply.error { throw CallError(error, reply.parameters["message"]?.stringValue ?? "") }
        defer { for descriptor in descriptors { close(descriptor) } }
        #expect(reply.continues)
        // Nobody who watches can write.
        if let ring = descriptors.first { #expect(fcntl(ring, F_GETFL) & O_ACCMODE == O_RDONLY) }
        return (client, reply.parameters, descriptors.first.map(inode) ?? 0)
    }

    @Test func handsOutTheRingWithTheFirstReply() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let (client, reply, ring) = try await watch(bench, ["format": "yellow"])
        #expect(ring != 0)
        #expect(reply["event"] == "opened")
        #expect(reply["ring"] == ["capacity": 4096, "slotCount": 4])
        #expect(reply["description"]?["format"] == "yellow")
        #expect(reply["device"] == "1234:5678:S1")
        let stream = try #require(try await bench.status().first?.streams.first)
        #expect(stream.shown == ["format": "yellow", "width": 32, "height": 16, "fps": 30.5])
        #expect(stream.clients == 1)
        client.socket.shutdown()
        await bench.stop()
    }

    @Test func severalWatchersShareOneRing() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let first = try await watch(bench, ["format": "yellow"])
        let second = try await watch(bench)
        let third = try await watch(bench, ["format": "yellow", "width": .null])
        #expect(first.ring == second.ring)
        #expect(first.ring == third.ring)
        #expect(try await bench.status().first?.streams.first?.clients == 3)
        let error = try await #require(throws: CallError.self) { try await watch(bench, ["refuse": true]) }
        #expect(error.code == "io.userdriver.Busy")
        #expect(error.message == "It is on in another form.")
        for client in [first.client, second.client, third.client] { client.socket.shutdown() }
        await bench.stop()
    }

    @Test func theRingSurvivesTheDriver() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let (client, _, ring) = try await watch(bench)
        for round in 1...3 {
            kill(try #require(try await bench.status().first).pid, SIGKILL)
            let event = try await client.event("restarted", "changed")
            #expect(event["event"] == "restarted")
            #expect(event["generation"] == .int(Int64(round + 1)))
            #expect(event["restarts"] == .int(Int64(round)))
        }
        let again = try await watch(bench)
        #expect(again.ring == ring)
        await bench.stop()
    }

    @Test func aRingThatNoLongerFitsIsReplaced() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let first = try await watch(bench, ["capacity": 4096])
        let second = try await watch(bench, ["capacity": 8192])
        #expect(second.ring != first.ring)
        let (reply, descriptors) = try #require(try await first.client.receive())
        #expect(reply.parameters["event"] == "changed")
        #expect(reply.parameters["ring"] == ["capacity": 8192, "slotCount": 4])
        #expect(descriptors.map(inode) == [second.ring])
        for descriptor in descriptors { close(descriptor) }
        let smaller = try await watch(bench, ["capacity": 100])
        #expect(smaller.ring == second.ring)
        let error = try await #require(throws: CallError.self) { try await watch(bench, ["capacity": -1]) }
        #expect(error.code == "io.userdriver.DeviceError")
        await bench.stop()
    }

    @Test func unplugAndReplugAreTold() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let (client, _, ring) = try await watch(bench)
        bench.source.unplug("1-1")
        _ = try await client.event("absent")
        // One who comes now is told, and stays.
        let late = try await watch(bench)
        #expect(late.reply["event"] == "absent")
        #expect(late.ring == 0)
        bench.source.plug(makeDevice())
        #expect(try await client.event("back", "restarted")["event"] == "back")
        #expect(try await late.client.event("opened")["ring"] != nil)
        #expect(try await watch(bench).ring == ring)
        #expect(try await bench.status().first?.restarts == 0)
        await bench.stop()
    }

    @Test func aDeviceThatMovesToAnotherPortKeepsItsWatchers() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let (client, _, _) = try await watch(bench)
        bench.source.unplug("1-1")
        bench.source.plug(makeDevice(path: "2-4"))
        #expect(try await client.event("back")["device"] == "1234:5678:S1")
        let devices = try await bench.status()
        #expect(devices.map(\.bus) == ["2-4"])
        await bench.stop()
    }

    @Test func theStreamIsClosedAfterTheLastWatcher() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let first = try await watch(bench)
        let second = try await watch(bench)
        let listener = try await bench.listener()
        first.client.socket.shutdown()
        second.client.socket.shutdown()
        #expect(try await listener.event("device")["message"]?.stringValue?.hasPrefix("closed") == true)
        #expect(try await bench.status().first?.streams == [])
        // And can be opened again.
        #expect(try await watch(bench).ring != 0)
        await bench.stop()
    }

    @Test func theDriversNewsArePassedOn() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let (client, _, ring) = try await watch(bench)
        let caller = try bench.client()
        _ = try await caller.call("io.userdriver.camera.GetControl", ["name": "change"])
        let (changed, descriptors) = try #require(try await client.receive())
        #expect(changed.parameters["event"] == "changed")
        #expect(changed.parameters["description"] == ["format": "green"])
        #expect(descriptors.map(inode) == [ring])
        for descriptor in descriptors { close(descriptor) }
        _ = try await caller.call("io.userdriver.camera.GetControl", ["name": "end-stream"])
        let (ended, _) = try #require(try await client.receive())
        #expect(ended.parameters["event"] == "ended")
        #expect(ended.parameters["message"] == "The show is over.")
        #expect(!ended.continues)
        await bench.stop()
    }

    @Test(arguments: [("stop-turns", "no progress for"), ("stop-frames", "without completing a frame")])
    func aStreamThatHangsIsADeath(control: String, cause: String) async throws {
        let bench = try await Bench {
            $0.timing.streamTurnLimit = .milliseconds(200)
            $0.timing.frameLimit = .milliseconds(200)
            $0.timing.watchTick = .milliseconds(20)
        }
        try await bench.drive()
        let (client, _, _) = try await watch(bench)
        let listener = try await bench.listener()
        let caller = try bench.client()
        try await caller.send("io.userdriver.camera.GetControl", ["name": .string(control)])
        let died = try await listener.event("died", "backoff")
        #expect(died["message"]?.stringValue?.contains("SIGABRT, by the supervisor") == true, "\(died)")
        #expect(died["message"]?.stringValue?.contains(cause) == true, "\(died)")
        _ = try await client.event("restarted")
        caller.socket.shutdown()
        await bench.stop()
    }

    @Test(arguments: [("stop-turns-of-second", "no progress for"), ("stop-frames-of-second", "without completing a frame")])
    func aStreamThatHangsIsADeathThoughAnotherGetsOn(control: String, cause: String) async throws {
        let bench = try await Bench {
            $0.timing.streamTurnLimit = .milliseconds(200)
            $0.timing.frameLimit = .milliseconds(200)
            $0.timing.watchTick = .milliseconds(20)
        }
        try await bench.drive()
        let (first, _, _) = try await watch(bench)
        let (second, _, _) = try await watch(bench, stream: "video2")
        let listener = try await bench.listener()
        let caller = try bench.client()
        try await caller.send("io.userdriver.camera.GetControl", ["name": .string(control)])
        let died = try await listener.event("died", "backoff")
        #expect(died["message"]?.stringValue?.contains(cause) == true, "\(died)")
        for client in [first, second] { _ = try await client.event("restarted") }
        caller.socket.shutdown()
        await bench.stop()
    }

    @Test func aStoppedDriverIsKilled() async throws {
        let bench = try await Bench {
            $0.timing.streamTurnLimit = .milliseconds(200)
            $0.timing.watchTick = .milliseconds(20)
            // It is silent as well, and on a busy machine both are noticed at once.
            $0.timing.heartbeatLimit = .seconds(100)
        }
        try await bench.drive()
        let (client, _, _) = try await watch(bench)
        let listener = try await bench.listener()
        kill(try #require(try await bench.status().first).pid, SIGSTOP)
        let died = try await listener.event("died", "backoff")
        #expect(died["message"]?.stringValue?.contains("SIGKILL, by the supervisor: no progress for") == true, "\(died)")
        _ = try await client.event("restarted")
        await bench.stop()
    }

    @Test func aRequestThatDriversDieOnEndsInFailure() async throws {
        let bench = try await Bench { $0.timing.restartsToOpenCircuit = 3 }
        try await bench.drive()
        let error = try await #require(throws: CallError.self) { try await watch(bench, ["crash": true]) }
        #expect(error.code == "io.userdriver.DeviceUnavailable")
        #expect(try await bench.status().first?.state == .failed)
        await bench.stop()
    }

    @Test func anOpenCircuitIsToldToThoseWhoWatch() async throws {
        let bench = try await Bench { $0.timing.restartsToOpenCircuit = 2 }
        try await bench.drive()
        let (client, _, _) = try await watch(bench)
        bench.source.failOpening(with: .refused("it is held by somebody else"))
        kill(try #require(try await bench.status().first).pid, SIGKILL)
        #expect(try await client.event("failed")["message"]?.stringValue?.contains("held by somebody else") == true)
        bench.source.failOpening(with: nil)
        _ = try await bench.client().call("io.userdriver.Restart")
        _ = try await client.event("restarted")
        await bench.stop()
    }

    @Test func theEndOfTheSupervisorEndsTheConnection() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let (client, _, _) = try await watch(bench)
        await bench.stop()
        while let (reply, _) = try await client.receive() { #expect(reply.parameters["event"] == "ended") }
    }
}
