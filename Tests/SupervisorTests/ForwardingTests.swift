// Calls on their way to a driver that may die.

import Glibc
import Testing
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(10))) struct ForwardingTests {
    private let camera = "io.userdriver.camera.GetControl"

    @Test func passesParametersOnWithoutTheDevice() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let reply = try await bench.client().call(camera, ["device": "1234:5678", "name": "gain", "extra": [1, "two"]])
        #expect(reply["echo"] == ["name": "gain", "extra": [1, "two"]])
        await bench.stop()
    }

    @Test func sendsAnIdempotentCallAgain() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let reply = try await bench.client().call(camera, ["name": "crash-first"])
        #expect(reply["generation"] == 2)
        await bench.stop()
    }

    @Test func doesNotTryForEver() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let error = try await #require(throws: CallError.self) { try await bench.client().call(camera, ["name": "exit"]) }
        #expect(error.code == "io.userdriver.DriverRestarted")
        await bench.stop()
    }

    @Test func answersWhenTheDriverDoesNot() async throws {
        let bench = try await Bench { $0.timing.callLimit = .milliseconds(200) }
        try await bench.drive()
        let error = try await #require(throws: CallError.self) { try await bench.client().call(camera, ["name": "never"]) }
        #expect(error.code == "io.userdriver.camera.DeviceError")
        await bench.stop()
    }

    @Test(arguments: [("no-object", "io.userdriver.camera.DeviceError"), ("busy", "io.userdriver.camera.InvalidParameter")])
    func turnsAnswersIntoTheInterfacesErrors(name: String, code: String) async throws {
        let bench = try await Bench()
        try await bench.drive()
        let error = try await #require(throws: CallError.self) { try await bench.client().call(camera, ["name": .string(name)]) }
        #expect(error.code == code)
        await bench.stop()
    }

    @Test func failsTheCallsOfADeviceThatLeaves() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let client = try bench.client()
        try await client.send(camera, ["name": "never"])
        // A second call's answer shows that the first is on its way.
        _ = try await bench.client().call(camera, ["name": "gain"])
        bench.source.unplug("1-1")
        let reply = try #require(try await client.receive()).reply
        #expect(reply.error == "io.userdriver.DeviceUnavailable")
        let error = try await #require(throws: CallError.self) { try await bench.client().call(camera, ["name": "gain"]) }
        #expect(error.code == "io.userdriver.DeviceUnavailable")
        await bench.stop()
    }

    @Test func severalRepliesComeInTheirOrder() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let client = try bench.client()
        try await client.send(camera, ["name": "three"], more: true)
        for number in 1...3 {
            let reply = try #require(try await client.receive()).reply
            #expect(reply.parameters["number"] == .int(Int64(number)) && reply.continues == (number < 3))
        }
        // Whoever wants a single one gets an error instead of several.
        let error = try await #require(throws: CallError.self) { try await bench.client().call(camera, ["name": "three"]) }
        #expect(error.code == "io.userdriver.camera.DeviceError")
        await bench.stop()
    }

    @Test(arguments: [("GetControl", false), ("ResetControls", true)])
    func afterRepliesOnlyWhatResumesIsAskedAgain(method: String, resumes: Bool) async throws {
        let bench = try await Bench()
        try await bench.drive()
        let client = try bench.client()
        try await client.send("io.userdriver.camera." + method, ["name": "two-then-crash"], more: true)
        for number in 1...2 {
            #expect(try await client.receive()?.reply.parameters["number"] == .int(Int64(number)))
        }
        let next = try #require(try await client.receive()).reply
        if resumes {
            #expect(next.parameters["generation"] == 2)
        } else {
            #expect(next.error == "io.userdriver.DriverRestarted")
        }
        await bench.stop()
    }

    @Test func aCallThatNobodyWaitsForIsCancelled() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let listener = try await bench.listener()
        let client = try bench.client()
        try await client.send(camera, ["name": "never"])
        // A second call's answer shows that the first is on its way.
        _ = try await bench.client().call(camera, ["name": "gain"])
        client.socket.shutdown()
        let said = try await listener.event("device")
        #expect(said["name"] == "cancelled" && said["parameters"]?["call"]?.intValue != nil, "\(said)")
        // So is one whose deadline has passed, which is the manifest's.
        let error = try await #require(throws: CallError.self) {
            try await bench.client().call("io.userdriver.camera.SetControl", ["name": "never", "value": 1])
        }
        #expect(error.message.contains("within 100 ms"))
        #expect(try await listener.event("device")["name"] == "cancelled")
        await bench.stop()
    }

    @Test func callsOfOneConnectionAreAnsweredInTheirOrder() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let client = try bench.client()
        for number in 1...5 { try await client.send(camera, ["name": "gain", "number": .int(Int64(number))]) }
        for number in 1...5 {
            #expect(try await client.receive()?.reply.parameters["echo"]?["number"] == .int(Int64(number)))
        }
        await bench.stop()
    }

    @Test func memoryOfAReplyIsSealed() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let client = try bench.client()
        try await client.send(camera, ["name": "memory"])
        let (reply, descriptors) = try #require(try await client.receive())
        #expect(reply.error == nil && descriptors.count == 1)
        var byte: UInt8 = 0
        #expect(pread(descriptors[0], &byte, 1, 99_999) == 1 && byte == 0x5a)
        #expect(pwrite(descriptors[0], &byte, 1, 0) == -1 && errno == EPERM)
        close(descriptors[0])
        await bench.stop()
    }

    @Test(arguments: [
        ("memory-kept", "mapped for writing"), ("memory-huge", "67108864 bytes"), ("foreign-memory", "was not given"),
    ])
    func memoryThatIsNotInOrderIsRefused(name: String, words: String) async throws {
        let bench = try await Bench()
        try await bench.drive()
        let error = try await #require(throws: CallError.self) { try await bench.client().call(camera, ["name": .string(name)]) }
        #expect(error.code == "io.userdriver.camera.DeviceError" && error.message.contains(words))
        #expect(try await bench.client().call(camera, ["name": "gain"])["generation"] == 1)
        await bench.stop()
    }

    @Test func memoryOfACallGoesWithTheNextOneAlsoAfterADeath() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let client = try bench.client()
        for size in [3, 1000] {
            try await client.send("io.userdriver.Memory", ["size": .int(Int64(size))])
            let descriptor = try #require(try await client.receive()?.descriptors.first)
            let bytes = [UInt8](repeating: 2, count: size)
            #expect(pwrite(descriptor, bytes, size, 0) == size)
            close(descriptor)
        }
        #expect(try await client.call(camera, ["name": "sum"]) == ["sum": 2006, "count": 2, "generation": 1])
        #expect(try await client.call(camera, ["name": "sum"])["count"] == 0)
        for size in [0, -1, 1 << 40] {
            let error = try await #require(throws: CallError.self) {
                try await client.call("io.userdriver.Memory", ["size": .int(Int64(size))])
            }
            #expect(error.code == "io.userdriver.InvalidParameter")
        }
        await bench.stop()
    }

    @Test func memoryThatCouldStillChangeIsRefused() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let client = try bench.client()
        try await client.send("io.userdriver.Memory", ["size": 4096])
        let descriptor = try #require(try await client.receive()?.descriptors.first)
        let page = try #require(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0))
        let error = try await #require(throws: CallError.self) { try await client.call(camera, ["name": "sum"]) }
        #expect(error.code == "io.userdriver.camera.InvalidParameter" && error.message.contains("unmap"))
        munmap(page, 4096)
        close(descriptor)
        await bench.stop()
    }

    @Test func servicesSayWhatTheManifestSays() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let services = try await bench.client().call("io.userdriver.Services")["services"]?.decoded(as: [ServiceStatus].self)
        let methods = try #require(services?.first).methods
        #expect(services?.first?.interface == "io.userdriver.camera")
        #expect(methods.first { $0.name == "GetControl" }.map { $0.idempotent && $0.deadline == 12 } == true)
        #expect(methods.first { $0.name == "SetControl" }.map { !$0.idempotent && $0.deadline == 0.1 } == true)
        #expect(methods.first { $0.name == "Formats" }?.right == .administrator)
        await bench.stop()
    }

    @Test func choosesTheDeviceThatIsMeant() async throws {
        let bench = try await Bench()
        try await bench.drive(makeDevice(serial: "A"))
        try await bench.drive(makeDevice(path: "1-2", serial: "B"))
        let error = try await #require(throws: CallError.self) { try await bench.client().call(camera, ["name": "gain"]) }
        #expect(error.code == "io.userdriver.AmbiguousDevice")
        #expect(error.message.contains("1234:5678:A") && error.message.contains("1234:5678:B"))
        for device in ["1234:5678:A", "1-2"] as [JSONValue] {
            #expect(try await bench.client().call(camera, ["device": device, "name": "gain"])["generation"] == 1)
        }
        await bench.stop()
    }

    @Test func twinsAreNamedByTheirPorts() async throws {
        let bench = try await Bench()
        try await bench.drive(makeDevice(path: "1-1", serial: "0000"))
        #expect(try await bench.status().map(\.id) == ["1234:5678:0000"])
        try await bench.drive(makeDevice(path: "1-2", serial: "0000"))
        #expect(Set(try await bench.status().map(\.id)) == ["1234:5678@1-1", "1234:5678@1-2"])
        // They leave and come back in the other order, also after the supervisor was started anew.
        await bench.stop()
        let next = await Supervisor(configuration: bench.configuration, logger: bench.supervisor.logger, sources: [])
        try await next.start()
        await next.stop()
        let ids = try StateFile.read(bench.configuration.stateDirectory + "/ambiguous-serials.json", maximumBytes: 1000)
        #expect(try JSON.decode([String].self, from: ids) == ["1234:5678:0000"])
    }

    @Test func attachingIsRefusedWithAReason() async throws {
        let bench = try await Bench()
        for url in ["http://x/1-1", "usbip://", "usbip://host", "usbip://host:0/1-1", "usbip://[::1/1-1"] as [JSONValue] {
            let error = try await #require(throws: CallError.self) { try await bench.client().call("io.userdriver.Attach", ["url": url]) }
            #expect(error.code == "io.userdriver.InvalidParameter")
        }
        _ = try await bench.client().call("io.userdriver.Attach", ["url": "usbip://127.0.0.1:1/1-1"])
        _ = try await bench.client().call("io.userdriver.Attach", ["url": "usbip://127.0.0.1:1/1-1"])
        _ = try await bench.client().call("io.userdriver.Detach", ["url": "usbip://127.0.0.1:1/1-1"])
        let error = try await #require(throws: CallError.self) {
            try await bench.client().call("io.userdriver.Detach", ["url": "usbip://127.0.0.1:1/1-1"])
        }
        #expect(error.code == "io.userdriver.NoSuchDevice")
        await bench.stop()
    }

    @Test func describesADevice() async throws {
        let bench = try await Bench()
        try await bench.drive()
        let reply = try await bench.client().call("io.userdriver.Inspect")
        #expect(reply["speed"] == 3)
        #expect(reply["serialNumber"] == "S1")
        #expect(reply["descriptors"]?.stringValue?.hasPrefix("EgEAAu8CAUA0EnhW") == true)
        await bench.stop()
    }
}
