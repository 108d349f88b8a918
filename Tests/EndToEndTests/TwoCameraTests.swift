// A laptop's camera with two video functions, colour and infrared: two cameras that have nothing to
// do with each other but the plug.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite struct TwoCameras {
        private let colour = "1209:0001:EMU0001/0"
        private let infrared = "1209:0001:EMU0001/2"

        private func start(_ variant: [String]) async throws -> Bench {
            let bench = try await Bench.start(emulate: ["--infrared"] + variant, awaitRunning: false)
            try await waitForBoth(bench) { $0.allSatisfy { $0.state == .running } }
            return bench
        }

        @discardableResult
        private func waitForBoth(_ bench: Bench, _ condition: ([DeviceStatus]) -> Bool) async throws -> [DeviceStatus] {
            try await bench.client.waitUntilRunning(timeout: .seconds(30))
            let events = try await bench.client.events()
            let devices = try await bench.client.devices()
            if devices.count == 2, condition(devices) { return devices }
            for try await _ in events {
                let devices = try await bench.client.devices()
                if devices.count == 2, condition(devices) { return devices }
            }
            throw Timeout(what: "two cameras", seen: "\(try await bench.client.devices())")
        }

        @Test func `both are listed, named and inspected`() async throws {
            let bench = try await start([])
            let list = try await bench.userdriver("list")
            #expect(list.text.contains(colour) && list.text.contains(infrared), "\(list.text)")
            #expect(list.text.contains("Infrared Camera"), "\(list.text)")
            let status = try await bench.userdriver("status", "--json")
            #expect(status.text.contains("\"interface\" : 2") || status.text.contains("\"interface\":2"), "\(status.text)")
            let inspect = try await bench.userdriver("inspect", infrared)
            #expect(inspect.status == .exited(status: 0), "\(inspect.errors)")
            let stack = try await bench.userdriver("stack", infrared)
            #expect(stack.status == .exited(status: 0), "\(stack.text) \(stack.errors)")
            // Without a name it is not known which is meant.
            let snap = try await bench.userdriver("snap", "-o", bench.runtime + "/picture.png")
            #expect(snap.status == .exited(status: 2) && snap.errors.contains(infrared), "\(snap.errors)")
            try await bench.stop()
        }

        /// The infrared camera streams while the colour camera's driver is killed, which streams
        /// too.
        @Test(arguments: [[], ["--bulk"]]) func `each streams while the other's driver is killed`(variant: [String]) async throws {
            let bench = try await start(variant)
            let before = try await bench.client.device(infrared)
            let watched = try bench.startUserdriver(
                "stream", infrared, "--format", "grey", "--size", "320x240", "--frames", "300", "--stats", "json")
            let other = try bench.startUserdriver(
                "stream", colour, "--format", "yuy2", "--size", "160x120", "--frames", "200", "--stats", "json")
            try await waitForBoth(bench) { $0.allSatisfy { $0.streams.contains { $0.clients > 0 } } }
            var frames = 0
            var kills = 0
            for try await event in bench.client.camera(colour).frames() {
                switch event {
                case .frame: frames += 1
                case .driverRestarted: frames = 0
                default: break
                }
                guard frames == 15 else { continue }
                guard kills < 4 else { break }
                kill(try await bench.client.device(colour).pid, SIGKILL)
                kills += 1
                frames += 1
            }
            let result = try await watched.finish()
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(facts.frames == 300 && facts.lost == 0 && facts.torn == 0 && facts.restarts == 0, "\(facts) \(result.errors)")
            let killed = try await other.finish()
            #expect(killed.status == .exited(status: 0), "\(killed.errors)")
            let hit = try killed.lastLine(as: StreamFacts.self)
            #expect(hit.frames == 200 && hit.torn == 0, "\(hit)")
            let after = try await bench.client.device(infrared)
            #expect(after.pid == before.pid && after.restarts == 0)
            #expect(try await bench.client.device(colour).restarts == kills)
            try await bench.stop()
        }

        @Test func `the port's death is a short absence for both`() async throws {
            let bench = try await start([])
            let watched = try bench.startUserdriver("stream", infrared, "--frames", "120", "--stats", "json")
            let other = try bench.startUserdriver("stream", colour, "--frames", "120", "--stats", "json")
            try await waitForBoth(bench) { $0.allSatisfy { $0.streams.contains { $0.clients > 0 } } }
            for camera in [infrared, colour] {
                var frames = 0
                for try await event in bench.client.camera(camera).frames() {
                    if case .frame = event { frames += 1 }
                    if frames > 10 { break }
                }
            }
            let daemon = try #require(await bench.daemonProcess).child.processID
            let ports = Bench.processes(mentioning: "usbip-proxy").filter { process in
                let status =
                    FileManager.default.contents(atPath: "/proc/\(process)/status").map { String(decoding: $0, as: UTF8.self) } ?? ""
                return status.contains("PPid:\t\(daemon)\n")
            }
            #expect(ports.count == 1, "the functions share one connection")
            for port in ports { kill(port, SIGKILL) }
            for client in [watched, other] {
                let result = try await client.finish()
                #expect(result.status == .exited(status: 0), "\(result.errors)")
                let facts = try result.lastLine(as: StreamFacts.self)
                #expect(facts.frames == 120 && facts.torn == 0, "\(facts)")
            }
            try await bench.stop()
        }
    }
}
