// Controls: set, refused, kept over deaths and absences, and seen in the picture.

import CameraInterface
import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite struct Controls {
        private static let fast = ["--startup-ms", "50"]

        private struct Control: Decodable {
            var name: String
            var value: Int
            var minimum: Int
            var maximum: Int
            var step: Int
            var `default`: Int
        }
        private struct ControlList: Decodable { var controls: [Control] }

        private func brightness(_ bench: Bench) async throws -> Int {
            let result = try await bench.userdriver("controls", "get", "brightness", "--json")
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            return try result.lastLine(as: Control.self).value
        }

        private func set(_ bench: Bench, _ name: String, _ value: Int) async throws {
            let result = try await bench.userdriver("controls", "set", name, "\(value)")
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(result.text == "\(name) = \(value)\n")
        }

        @Test func `controls are listed, read, set and put back`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            let table = try await bench.userdriver("controls", "list")
            #expect(table.text.contains("NAME") && table.text.contains("brightness"))
            let list = try await bench.userdriver("controls", "list", "--json").lastLine(as: ControlList.self).controls
            let known = try #require(list.first { $0.name == "brightness" })
            #expect(known.minimum < known.default && known.default < known.maximum && known.step > 0)
            try await set(bench, "brightness", known.maximum)
            #expect(try await bench.userdriver("controls", "get", "brightness").text == "\(known.maximum)\n")
            let several = try await bench.userdriver("controls", "set", "brightness=\(known.minimum)", "contrast=min", "--json")
            #expect(try several.lastLine(as: ControlList.self).controls.map(\.name) == ["brightness", "contrast"])
            #expect(try await brightness(bench) == known.minimum)
            #expect(try await bench.userdriver("controls", "reset", "contrast").status == .exited(status: 0))
            #expect(try await brightness(bench) == known.minimum, "one control was put back, not all")
            #expect(try await bench.userdriver("controls", "reset").status == .exited(status: 0))
            #expect(try await brightness(bench) == known.default)
            try await bench.stop()
        }

        @Test func `what a control can't be is refused with a sentence and changes nothing`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            let before = try await brightness(bench)
            for (words, status, hint) in [
                (["brightness", "9999"], 2, "range"), (["brightness", "-9999"], 2, "range"),
                (["brightness", "lots"], 2, "not a valid value"),
                (["no_such_control", "1"], 1, "no control"), (["brightnes", "1"], 1, "Did you mean brightness?"),
                (["brightness=10", "contrast=9999"], 2, "range"), (["brightness"], 2, "NAME"),
            ] as [([String], Int32, String)] {
                let result = try await Programs.run(
                    "userdriver", ["controls", "set"] + words, environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime])
                #expect(result.status == .exited(status: status), "\(words): \(result.errors)")
                #expect(result.errors.contains(hint), "\(words): \(result.errors)")
                #expect(result.text.isEmpty)
            }
            #expect(try await brightness(bench) == before)
            // Past the command's own check, the driver's.
            await #expect(throws: ClientError.self) { try await bench.client.camera().setControl("brightness", to: 9999) }
            #expect(try await brightness(bench) == before)
            try await bench.stop()
        }

        @Test func `a control that was set survives its driver, and calls meanwhile are answered`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            try await set(bench, "brightness", 40)
            let first = try await bench.client.device().pid
            kill(first, SIGKILL)
            // The driver is being replaced: the call waits for the next one.
            try await set(bench, "contrast", 70)
            #expect(try await brightness(bench) == 40)
            #expect(try await bench.client.device().pid != first)
            try await bench.stop()
        }

        @Test func `controls are set again when the camera comes back`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            try await set(bench, "brightness", 40)
            // What drives it has to be off before exposure can be set, then and now.
            let manual = try await bench.userdriver("controls", "set", "exposure_auto=1", "exposure_time_absolute=500")
            #expect(manual.status == .exited(status: 0), "\(manual.errors)")
            _ = try await #require(bench.emulator).stop(SIGKILL)
            try await bench.waitForDevice { $0.state == .absent }
            let refused = try await bench.userdriver("controls", "get", "brightness")
            #expect(refused.status == .exited(status: 1))
            #expect(refused.errors.contains("not attached"), "\(refused.errors)")
            let (emulator, _) = try await Bench.startEmulator(Self.fast, port: bench.port)
            try await bench.waitForDevice { $0.state == .running }
            #expect(try await brightness(bench) == 40)
            #expect(try await bench.userdriver("controls", "get", "exposure_time_absolute").text == "500\n")
            _ = try await emulator.stop()
            try await bench.stopDaemon()
        }

        @Test func `brightness changes the picture`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            func mean() async throws -> Double {
                let result = try await bench.userdriver("snap", "-o", "-", "--type", "ppm", "--size", "320x240", "--skip", "5")
                #expect(result.status == .exited(status: 0), "\(result.errors)")
                let pixels = result.output.suffix(320 * 240 * 3)
                #expect(pixels.count == 320 * 240 * 3)
                return Double(pixels.reduce(into: 0) { $0 += Int($1) }) / Double(pixels.count)
            }
            try await set(bench, "brightness", -40)
            let dark = try await mean()
            try await set(bench, "brightness", 40)
            let bright = try await mean()
            #expect(bright > dark + 20, "\(dark) and \(bright) of 255")
            try await bench.stop()
        }

        private struct Reading: Decodable {
            var name: String
            var problem: String?
        }
        private struct ReadingList: Decodable { var controls: [Reading] }

        @Test func `a control that hangs spoils no other`() async throws {
            let bench = try await Bench.start(emulate: Self.fast + ["--fault", "silent-control@focus_absolute"])
            #expect(try await brightness(bench) == 0)
            let list = try await bench.userdriver("controls", "list", "--json").lastLine(as: ReadingList.self).controls
            #expect(list.count > 15)
            #expect(list.filter { $0.problem != nil }.map(\.name) == ["focus_absolute"])
            let table = try await bench.userdriver("controls", "list")
            #expect(table.status == .exited(status: 0) && table.text.contains("does not answer"), "\(table.text)")
            try await set(bench, "contrast", 70)
            let asked = try await bench.userdriver("controls", "get", "focus_absolute")
            #expect(asked.status == .exited(status: 1) && asked.errors.contains("did not answer"), "\(asked.errors)")
            // What can be reset is reset, and the other one is named.
            let reset = try await bench.userdriver("controls", "reset")
            #expect(reset.status == .exited(status: 1) && reset.errors.contains("focus_absolute"), "\(reset.errors)")
            #expect(reset.text.contains("contrast = 50\n"), "\(reset.text)")
            try await bench.stop()
        }

        @Test func `a stream does not wait for a control that hangs`() async throws {
            let bench = try await Bench.start(emulate: Self.fast + ["--fault", "silent-control@focus_absolute"])
            let camera = bench.client.camera()
            // A setting that hangs is given up after five seconds.
            let asking = Task { () -> ContinuousClock.Instant in
                await #expect(throws: ClientError.self) { try await camera.control("focus_absolute") }
                return .now
            }
            for try await event in camera.frames(CameraRequest(format: "mjpeg", width: 160, height: 120)) {
                if case .frame = event { break }
            }
            let streamed = ContinuousClock.now
            #expect(await asking.value > streamed, "the first picture comes while the camera lets the control hang")
            try await bench.stop()
        }

        /// 300 ms a request, some hundred requests: no call lasts so long.
        @Test func `a slow camera's controls are printed as they come`() async throws {
            let bench = try await Bench.start(emulate: Self.fast + ["--fault", "slow-control"])
            let listing = try bench.startUserdriver("controls", "list")
            _ = try await listing.waitForOutput { $0.split(separator: "\n").count >= 3 }
            _ = try await listing.stop(SIGKILL)
            #expect(try await bench.userdriver("controls", "get", "zoom_absolute").text == "100\n")
            try await bench.stop()
        }

        @Test func `what an automatic control drives is set after that one`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            let held = try await bench.userdriver("controls", "set", "focus_absolute", "10")
            #expect(held.status == .exited(status: 1))
            #expect(held.errors.contains("focus_auto is on: set focus_auto=off first"), "\(held.errors)")
            let both = try await bench.userdriver("controls", "set", "focus_absolute=10", "focus_auto=off")
            #expect(both.status == .exited(status: 0) && both.text == "focus_auto = 0\nfocus_absolute = 10\n", "\(both.errors)")
            // By default the camera focuses by itself: that is not a failure.
            let reset = try await bench.userdriver("controls", "reset")
            #expect(reset.status == .exited(status: 0) && reset.errors.contains("focus_absolute"), "\(reset.errors)")
            try await bench.stop()
        }

        @Test func `a range the wrong way round is exchanged`() async throws {
            let bench = try await Bench.start(emulate: Self.fast + ["--fault", "swapped-range@brightness"])
            let half = try await bench.userdriver("controls", "set", "brightness=75%")
            #expect(half.text == "brightness = 32\n", "\(half.errors)")
            let refused = try await bench.userdriver("controls", "set", "brightness=65")
            #expect(refused.status == .exited(status: 2) && refused.errors.contains("from -64 to 64"), "\(refused.errors)")
            try await bench.stop()
        }

        @Test(arguments: ["probe-34", "probe-26"]) func `a camera with another probe block streams`(fault: String) async throws {
            let bench = try await Bench.start(emulate: Self.fast + ["--fault", fault])
            let result = try await bench.userdriver("stream", "--frames", "3", "--format", "mjpeg", "--size", "160x120", "--stats", "json")
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(try result.lastLine(as: StreamFacts.self).frames == 3)
            try await bench.stop()
        }

        private static func next(_ events: inout DeviceEvents.AsyncIterator) async throws -> CameraEvent {
            while let event = try await events.next() { if let said = event.camera { return said } }
            throw Timeout(what: "an event of the camera", seen: "the end")
        }

        @Test(.timeLimit(.minutes(2))) func `what the camera reports, and what programs set, is told once, as it happens`() async throws {
            let bench = try await Bench.start(emulate: Self.fast + ["--button", "--shutter"])
            let camera = try #require(bench.emulator)
            var events = try await bench.client.events().makeAsyncIterator()
            // The second changes nothing.
            for value in [20, 20, 21] { try await set(bench, "brightness", value) }
            for value in [20, 21] {
                guard case .controlChanged(let change) = try await Self.next(&events) else {
                    Issue.record("another event than brightness")
                    break
                }
                #expect(change.name == "brightness" && change.now == value && change.value == nil)
            }
            #expect(kill(camera.pid, SIGUSR2) == 0)
            guard case .controlChanged(let shutter) = try await Self.next(&events) else {
                Issue.record("another event than the shutter's")
                return
            }
            #expect(shutter.name == "privacy" && shutter.now == 1)
            #expect(kill(camera.pid, SIGUSR1) == 0)
            for isPressed in [true, false] {
                guard case .button(let button) = try await Self.next(&events) else {
                    Issue.record("another event than the button's")
                    return
                }
                #expect(button.pressed == isPressed)
            }
            try await bench.stop()
        }

        /// The alternate setting is refused, or, as by EHCI's driver, the transfers.
        @Test(arguments: ["narrow-bus", "full-bus"]) func `a bus without room is said with what it has room for`(fault: String) async throws
        {
            let bench = try await Bench.start(emulate: Self.fast + ["--fault", fault])
            let yuy2 = ["stream", "--frames", "3", "--format", "yuy2", "--size", "640x480"]
            func stream(_ words: [String]) async throws -> Programs.Result {
                try await Programs.run("userdriver", yuy2 + words, environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime])
            }
            let refused = try await stream(["--fps", "30"])
            #expect(refused.status == .exited(status: 1))
            #expect(refused.errors.contains("bandwidth") && refused.errors.contains("mjpeg 640×480 at 30 fps"), "\(refused.errors)")
            #expect(refused.errors.contains("2688 bytes of each microframe, and 1024 are available"), "\(refused.errors)")
            #expect(!refused.errors.contains("control "), "\(refused.errors)")
            // The rate is left open: a lower one fits.
            let slower = try await stream(["--stats", "json"])
            #expect(slower.status == .exited(status: 0), "\(slower.errors)")
            #expect(try slower.lastLine(as: StreamFacts.self).frames == 3)
            #expect(try await bench.client.devices().map(\.restarts) == [0], "no driver has ended")
            try await bench.stop()
        }
    }
}
