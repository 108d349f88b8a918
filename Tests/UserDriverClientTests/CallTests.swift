// Calls: what comes back, and what is said when nothing sensible does.

import FileDescriptors
import FakeDaemon
import FrameRing
import Glibc
import Testing
import UserDriverClient
import Wire

@Suite struct CallTests {
    static let status: JSONValue = [
        "id": "1d6b:0104:A", "bus": "1-1", "vendorId": "1d6b", "productId": "0104", "name": "Camera", "kind": "webcam", "driver": "webcam",
        "state": "running", "pid": 42, "restarts": 3, "warnings": ["unsigned"],
        "streams": [["format": "mjpeg", "width": 640, "height": 480, "fps": 30.0, "frames": 100, "lost": 1, "clients": 2]],
    ]

    @Test func devicesAreListed() async throws {
        let daemon = try FakeDaemon { call, socket in
            #expect(call.method == "io.userdriver.Status")
            try socket.send(VarlinkReply(["devices": [Self.status]]))
        }
        let devices = try await daemon.client.devices()
        #expect(devices.map(\.id) == ["1d6b:0104:A"])
        #expect(devices[0].state == .running && devices[0].streams[0].lost == 1)
        #expect(try await daemon.client.device().restarts == 3)
    }

    @Test func aSelectorIsPassedOnAndItsAbsenceToo() async throws {
        let daemon = try FakeDaemon { call, socket in try socket.send(VarlinkReply(["devices": []])) }
        _ = try await daemon.client.devices("1-2")
        _ = try await daemon.client.devices()
        #expect(daemon.calls.map(\.parameters) == [["device": "1-2"], [:]])
    }

    @Test func theDaemonsErrorsKeepTheirKindAndSentence() async throws {
        let daemon = try FakeDaemon { call, socket in
            try socket.send(
                VarlinkReply(error: "io.userdriver." + (call.parameters["device"]?.stringValue ?? ""), parameters: ["message": "Because."]))
        }
        let expected: [(String, ClientError.Code)] = [
            ("NoSuchDevice", .noSuchDevice), ("AmbiguousDevice", .ambiguousDevice), ("NotPermitted", .notPermitted), ("Busy", .busy),
            ("DeviceUnavailable", .deviceUnavailable), ("DriverRestarted", .driverRestarted), ("LimitReached", .limitReached),
            ("InvalidParameter", .invalidParameter), ("NeverHeardOf", .failed),
        ]
        for (name, code) in expected {
            let error = try await #require(throws: ClientError.self) { try await daemon.client.restart(name) }
            #expect(error.code == code)
            #expect(error.description == "Because.")
        }
    }

    @Test func withoutADaemonTheHintSaysHowToStartOne() async throws {
        let client = UserDriverClient(runtimeDirectory: RuntimeDirectory("/nonexistent/userdriver"))
        let error = try await #require(throws: ClientError.self) { try await client.devices() }
        #expect(error.code == .daemonNotRunning)
        #expect(error.description.contains("userdriver up") && error.description.contains("/nonexistent/userdriver/io.userdriver"))
    }

    @Test func aSocketThatNobodyListensAtIsADaemonThatDoesNotRun() async throws {
        let daemon = try FakeDaemon { _, _ in }
        daemon.stop()
        _ = try VarlinkSocket.listen(path: daemon.directory.socketPath)
        let error = try await #require(throws: ClientError.self) { try await daemon.client.devices() }
        #expect(error.code == .daemonNotRunning)
        unlink(daemon.directory.socketPath)
    }

    @Test(.enabled(if: geteuid() != 0, "root may open every socket")) func aSocketOfOthersIsNotPermitted() async throws {
        let daemon = try FakeDaemon { _, _ in }
        chmod(daemon.directory.socketPath, 0)
        let error = try await #require(throws: ClientError.self) { try await daemon.client.devices() }
        #expect(error.code == .notPermitted)
    }

    @Test(arguments: ["nonsense", "{\"parameters\": 7}", "[]", "{\"parameters\":{\"devices\":[{\"id\":1}]}}", "{\"parameters\":{}}"])
    func malformedRepliesAreToldAsSuch(_ text: String) async throws {
        let daemon = try FakeDaemon { _, socket in
            let bytes = Array(text.utf8) + [0]
            write(socket.descriptor, bytes, bytes.count)
        }
        let error = try await #require(throws: ClientError.self) { try await daemon.client.devices() }
        #expect(error.code == .malformedReply)
    }

    @Test func aConnectionThatEndsBeforeTheReplyIsLost() async throws {
        let daemon = try FakeDaemon { _, socket in
            write(socket.descriptor, "{\"para", 6)
            socket.shutdown()
        }
        let error = try await #require(throws: ClientError.self) { try await daemon.client.devices() }
        #expect(error.code == .connectionLost)
    }

    @Test func aDaemonThatNeverAnswersIsGivenUp() async throws {
        let daemon = try FakeDaemon { _, _ in }
        var client = daemon.client
        client.callTimeout = .milliseconds(50)
        let error = try await #require(throws: ClientError.self) { try await client.devices() }
        #expect(error.code == .timedOut)
    }

    @Test func aCancelledCallEnds() async throws {
        let daemon = try FakeDaemon { _, _ in }
        let client = daemon.client
        let call = Task { try await client.devices() }
        daemon.waitForCalls(1)
        call.cancel()
        let error = try await #require(throws: ClientError.self) { try await call.value }
        #expect(error.code == .stopped)
    }

    @Test func controlsAreReadAndSet() async throws {
        let control: JSONValue = [
            "name": "brightness", "description": "Brightness", "type": "integer", "minimum": -64, "maximum": 64, "step": 1, "default": 0,
            "value": 5, "readable": true, "writable": true, "automatic": false, "unit": "processing", "selector": 2,
        ]
        let daemon = try FakeDaemon { call, socket in
            switch call.methodName {
            case "GetControls", "ResetControls": try socket.send(VarlinkReply(["controls": [control]]))
            default: try socket.send(VarlinkReply(["control": control]))
            }
        }
        let camera = daemon.client.camera("Camera")
        #expect(try await camera.controls().map(\.name) == ["brightness"])
        #expect(try await camera.setControl("brightness", to: 5).value == 5)
        #expect(try await camera.resetControls().count == 1)
        #expect(daemon.calls.map(\.method) == ["GetControls", "SetControl", "ResetControls"].map { "io.userdriver.camera.\($0)" })
        #expect(daemon.calls[1].parameters == ["device": "Camera", "name": "brightness", "value": 5])
    }

    @Test func controlsAreNamedAskedForSinglyAndReset() async throws {
        let silent: JSONValue = [
            "name": "focus_absolute", "description": "Focus absolute", "type": "integer", "minimum": 0, "maximum": 65535, "step": 1,
            "default": 0, "value": 0, "readable": false, "writable": false, "automatic": false, "unit": "mm", "selector": 6,
            "problem": "silent", "message": "the camera did not answer for this control within 1500 ms",
        ]
        let daemon = try FakeDaemon { call, socket in
            switch call.methodName {
            case "ControlNames":
                let name: JSONValue = ["name": "focus_absolute", "description": "Focus absolute", "type": "integer", "unit": "mm"]
                try socket.send(VarlinkReply(["controls": [name]]))
            case "GetControls": try socket.send(VarlinkReply(["controls": [silent]]))
            default:
                let failure: JSONValue = ["name": "focus_absolute", "reason": "silent", "message": "it does not answer"]
                try socket.send(VarlinkReply(["controls": [], "failed": [failure]]))
            }
        }
        let camera = daemon.client.camera()
        #expect(try await camera.controlNames().map(\.name) == ["focus_absolute"])
        #expect(try await camera.controls(["focus_absolute"]).map(\.problem) == ["silent"])
        #expect(try await camera.resetControls(["focus_absolute"]).failed.map(\.reason) == ["silent"])
        #expect(daemon.calls[1].parameters == ["names": ["focus_absolute"]])
        #expect(daemon.calls[2].parameters == ["names": ["focus_absolute"]])
    }

    @Test func formatsAreListed() async throws {
        let daemon = try FakeDaemon { _, socket in
            try socket.send(VarlinkReply(["formats": [["format": "mjpeg", "width": 640, "height": 480, "fps": [30.0, 15]]]]))
        }
        #expect(try await daemon.client.camera().formats() == [CameraFormat(format: "mjpeg", width: 640, height: 480, fps: [30, 15])])
    }

    @Test func descriptorsComeAsBytes() async throws {
        let daemon = try FakeDaemon { _, socket in
            try socket.send(VarlinkReply(["id": "a", "bus": "1-1", "speed": 3, "descriptors": "EgEAAg==", "product": "Camera"]))
        }
        let inspection = try await daemon.client.inspect()
        #expect(inspection.descriptors == [0x12, 1, 0, 2])
        #expect(inspection.product == "Camera" && inspection.manufacturer == nil)
    }

    @Test func eventsComeUntilTheDaemonGoes() async throws {
        let daemon = try FakeDaemon { _, socket in
            for number in 1...3 {
                try socket.send(
                    VarlinkReply(
                        ["time": "2026-01-01T00:00:00.000Z", "device": "a", "event": "restarted", "message": .string("\(number)")],
                        continues: true))
            }
        }
        var messages: [String] = []
        let events = try await daemon.client.events()
        await #expect(throws: ClientError.self) {
            for try await event in events {
                messages.append(event.message)
                if messages.count == 3 { daemon.stop() }
            }
        }
        #expect(messages == ["1", "2", "3"])
    }

    @Test func aDaemonIsWaitedFor() async throws {
        let daemon = try FakeDaemon { _, _ in }
        daemon.stop()
        let client = daemon.client
        let waiting = Task { try await client.waitUntilRunning(timeout: .seconds(60)) }
        try daemon.start()
        try await waiting.value
    }
}
