// Controls: set, refused, kept over deaths and absences, and seen in the picture.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
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
                (["brightness", "9999"], 1, "range"), (["brightness", "-9999"], 1, "range"), (["brightness", "lots"], 2, "no value"),
                (["no_such_control", "1"], 1, "no control"), (["brightness=10", "contrast=9999"], 1, "range"), (["brightness"], 2, "NAME"),
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

        @Test func `a control that was set outlives its driver, and calls meanwhile are answered`() async throws {
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
    }
}
