// `stack` and `doctor` as a person types them: what is well is said to be, and of what is not the lowest layer is named.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite struct Stacks {
        private static let fast = ["--startup-ms", "50"]
        private static let hasUSB = FileManager.default.fileExists(atPath: "/sys/bus/usb")

        private struct Layer: Decodable {
            var layer: String
            var health: String
            var summary: String
            var why: String?
            var remedy: String?
        }
        private struct Report: Decodable {
            var device: String
            var health: String
            var layers: [Layer]
            var broken: Layer? { layers.first { $0.health == "broken" } }
        }
        private struct Doctor: Decodable {
            struct Finding: Decodable {
                var device: String?
                var layer: Layer
            }
            var broken: Finding?
            var machine: [Layer]
            var devices: [Report]
        }

        private func stack(_ bench: Bench, _ arguments: String...) async throws -> Report {
            let result = try await Programs.run(
                "userdriver", ["stack", "--json"] + arguments, environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime])
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            return try result.lastLine(as: Report.self)
        }

        private func doctor(_ runtime: String) async throws -> (Doctor, Programs.Result) {
            let result = try await Programs.run("userdriver", ["doctor", "--json"], environment: ["USERDRIVER_RUNTIME_DIR": runtime])
            return (try result.lastLine(as: Doctor.self), result)
        }

        @Test func `an emulated camera is well in each layer, and shows who watches`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            let watcher = try bench.startUserdriver("stream", "--frames", "1000000", "--size", "320x240", "-o", "-", "--quiet")
            try await watcher.waitForOutput { !$0.isEmpty }
            let report = try await stack(bench)
            #expect(report.broken == nil, "\(report)")
            #expect(report.layers.map(\.layer) == ["server", "connection", "class", "driver", "process", "stream", "clients"])
            #expect(report.layers[2].summary.contains("mjpeg"))
            #expect(report.layers[5].summary.contains("320x240"))
            #expect(report.layers[6].summary == "1 program is watching")
            _ = try await watcher.stop(SIGKILL)
            // And for people, each layer a line.
            let text = try await bench.userdriver("stack", bench.url).text
            #expect(text.hasPrefix("1209:0001:EMU0001  UserDriver Emulated Webcam\n✓ ok       server         127.0.0.1:"), "\(text)")
            try await bench.stop()
        }

        @Test func `a scanner shows at which address SANE reaches it`() async throws {
            let bench = try await Bench.start(emulating: "scanner", ["--sheets", "1"])
            // Nobody serves it; whether somebody could is the machine's.
            #expect(try await stack(bench).layers.last?.summary == "none")
            let server = try Programs.start(
                "userdriver-escl", ["--runtime-dir", bench.runtime, "--port", "\(Int.random(in: 20_000...50_000))", "--no-dns-sd"])
            let url = try await server.waitForOutput { $0.contains("\n") }.prefix { $0 != " " }
            // The daemon is told a moment later.
            try await bench.waitForDevice { $0.endpoints != nil }
            let report = try await stack(bench)
            #expect(report.layers.last?.layer == "endpoint" && report.layers.last?.summary.contains(url) == true, "\(report.layers)")
            #expect(try await bench.userdriver("doctor").text.contains(url))
            _ = try await server.stop()
            try await bench.stop()
        }

        @Test(.enabled(if: !hasUSB, "this machine has USB"))
        func `without USB in the kernel that is said, and nothing is broken while the camera over USB IP is well`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            let (report, result) = try await doctor(bench.runtime)
            #expect(result.status == .exited(status: 0) && report.broken == nil, "\(report)")
            let usb = try #require(report.machine.first { $0.layer == "usb" })
            #expect(usb.health == "warning" && usb.why?.contains("no USB") == true && usb.remedy?.isEmpty == false)
            #expect(report.devices.count == 1 && report.devices.first?.broken == nil, "\(report)")
            let text = try await bench.userdriver("doctor")
            #expect(text.status == .exited(status: 0) && text.text.contains("Nothing is broken."), "\(text.text)")
            try await bench.stop()
        }

        @Test func `without a daemon doctor says how to start one, and stack refuses`() async throws {
            let runtime = try Bench.makeRuntime()
            let (report, result) = try await doctor(runtime)
            #expect(result.status == .exited(status: 1))
            let daemon = try #require(report.machine.first { $0.layer == "daemon" })
            #expect(daemon.health == "broken" && daemon.why?.contains(runtime) == true)
            #expect(daemon.remedy == "userdriver up" || daemon.remedy == "systemctl start userdriverd")
            let refused = try await Programs.run("userdriver", ["stack", "webcam"], environment: ["USERDRIVER_RUNTIME_DIR": runtime])
            if !Self.hasUSB { #expect(refused.status == .exited(status: 1) && refused.errors.contains("not running")) }
            try FileManager.default.removeItem(atPath: runtime)
        }

        @Test func `a device that is not there is status 3`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            for name in ["nosuch", "dead:beef", "9-9", "1-", "../../etc", "usbip://127.0.0.1:1/9-9"] {
                let result = try await bench.userdriver("stack", name)
                #expect(result.status == .exited(status: 3) && result.errors.contains(name) && result.output.isEmpty, "\(result)")
            }
            #expect(try await bench.userdriver("stack", "--nonsense").status == .exited(status: 2))
            #expect(try await bench.userdriver("doctor", "extra").status == .exited(status: 2))
            try await bench.stop()
        }

        @Test func `a server that nobody reaches is the lowest layer of its device`() async throws {
            let bench = try await Bench.startWithoutDevices()
            let listener = try LocalServer { _ in }
            let url = "usbip://127.0.0.1:\(listener.port)/1-1"
            listener.stop()
            try await bench.client.attach(url)
            let (report, _) = try await doctor(bench.runtime)
            let device = try #require(report.devices.first)
            #expect(device.device == url && device.broken?.layer == "server")
            #expect(device.broken?.why?.contains("can't be reached") == true)
            #expect(try await stack(bench, url).broken?.layer == "server")
            try await bench.stop()
        }

        @Test func `a server without that device says what it has instead`() async throws {
            let bench = try await Bench.startWithoutDevices()
            let (emulator, url) = try await Bench.startEmulator(Self.fast)
            let other = url.replacingOccurrences(of: "/1-1", with: "/7-7")
            try await bench.client.attach(other)
            let report = try await stack(bench, other)
            #expect(report.broken?.layer == "server" && report.broken?.why?.contains("7-7 (it offers 1-1)") == true, "\(report)")
            try await bench.stop()
            _ = try await emulator.stop()
        }

        @Test func `a camera that refuses what it offers is broken in its class, and nowhere below`() async throws {
            let bench = try await Bench.start(emulate: Self.fast + ["--fault", "stall@commit:every"])
            #expect(try await bench.userdriver("stream", "--frames", "10").status == .exited(status: 1))
            let report = try await stack(bench)
            #expect(report.broken?.layer == "class", "\(report)")
            #expect(report.broken?.why?.contains("garbage") == true && report.broken?.why?.contains("VS_COMMIT") == true)
            try await bench.stop()
        }

        /// A copy of the webcam's bundle whose manifest was broken.
        @Test func `a bundle that is refused is named with its reason`() async throws {
            let runtime = try Bench.makeRuntime()
            let bundle = runtime + "/webcam.driver"
            try FileManager.default.copyItem(atPath: "\(Programs.folder)/webcam.driver", toPath: bundle)
            try "id: [no".write(toFile: bundle + "/driver.yaml", atomically: true, encoding: .utf8)
            let daemon = try Bench.startDaemon(runtime: runtime, arguments: ["--drivers", bundle])
            try await UserDriverClient(runtimeDirectory: RuntimeDirectory(runtime)).waitUntilRunning(timeout: .seconds(30))
            let (report, _) = try await doctor(runtime)
            let drivers = try #require(report.machine.first { $0.layer == "drivers" })
            #expect(drivers.health == "broken" && drivers.why?.contains(bundle) == true && drivers.remedy?.contains(bundle) == true)
            _ = try await daemon.stop()
            try FileManager.default.removeItem(atPath: runtime)
        }
    }
}
