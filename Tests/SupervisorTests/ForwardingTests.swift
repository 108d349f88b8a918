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
