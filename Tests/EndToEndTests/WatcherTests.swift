// Who watches, and who is to watch no more.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite(.serialized) struct Watchers {
        private struct Report: Decodable {
            struct Row: Decodable {
                var device: String
                var program: String
                var pid: Int32
                var through: String?
                var revocable: Bool
            }
            var watchers: [Row]
        }

        private func watch(_ bench: Bench, frames: Int) throws -> Running {
            try Programs.start(
                "userdriver",
                ["stream", "--frames", "\(frames)", "--format", "mjpeg", "--size", "320x240", "--fps", "30", "--stats", "json"],
                environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime]
            )
        }

        @Test func `a program that is cut off ends, and the others notice nothing`() async throws {
            let bench = try await Bench.start()
            let form = CameraRequest(format: "mjpeg", width: 320, height: 240, fps: 30)
            let (facts, lost) = try await bench.losses(in: form) {
                let stayer = try watch(bench, frames: 200)
                let guest = try watch(bench, frames: 100_000)
                // This process watches as well.
                try await bench.waitForDevice { $0.streams.contains { $0.clients == 3 } }
                let report = try JSON.decode(Report.self, from: try await bench.userdriver("watchers", "--json").output)
                let others = report.watchers.filter { $0.pid != getpid() }
                #expect(Set(others.map(\.pid)) == [stayer.pid, guest.pid])
                #expect(others.allSatisfy { $0.program == "userdriver" && $0.through == nil && $0.revocable })
                let revoked = try await bench.userdriver("revoke", "\(guest.pid)")
                #expect(revoked.status == .exited(status: 0) && revoked.errors.contains("sees"), "\(revoked.errors)")
                let ended = try await guest.finish()
                #expect(ended.status != .exited(status: 0) && ended.errors.contains("cut off"), "\(ended.errors)")
                let result = try await stayer.finish()
                #expect(result.status == .exited(status: 0), "\(result.errors)")
                return try result.lastLine(as: StreamFacts.self)
            }
            #expect(
                facts.frames == 200 && facts.torn == 0 && facts.restarts == 0 && facts.lost <= lost, "\(facts); the ring lacked \(lost)")
            try await bench.stop()
        }

        @Test func `what was cut off before its time is over has failed`() async throws {
            let bench = try await Bench.start()
            let film = bench.runtime + "/film.mkv"
            let verbs =
                [["stream", "--seconds", "100", "--quiet"]] + (Self.canRecord ? [["record", "--duration", "100", "-o", film]] : [])
            for verb in verbs {
                let running = try Programs.start("userdriver", verb, environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime])
                try await bench.waitForDevice { $0.streams.contains { $0.clients == 1 && $0.frames > 30 } }
                #expect(try await bench.userdriver("revoke", "\(running.pid)").status == .exited(status: 0))
                let ended = try await running.finish()
                #expect(ended.status == .exited(status: 1), "\(verb): \(ended.errors)")
                try await bench.waitForDevice { $0.streams.allSatisfy { $0.clients == 0 } }
            }
            try await bench.stop()
        }

        private static let canRecord = access(Programs.folder + "/userdriver-mux", X_OK) == 0

        @Test func `who does not watch is not cut off, and that is said`() async throws {
            let bench = try await Bench.start()
            let none = try await bench.userdriver("watchers")
            #expect(none.status == .exited(status: 0) && none.errors.contains("Nobody is watching."))
            let nobody = try await bench.userdriver("revoke", "cheese")
            #expect(nobody.status == .exited(status: 1) && nobody.errors.contains("Nobody is watching."), "\(nobody.errors)")
            let stayer = try watch(bench, frames: 100_000)
            try await bench.waitForDevice { $0.streams.contains { $0.clients == 1 } }
            let other = try await bench.userdriver("revoke", "cheese")
            #expect(other.status == .exited(status: 1) && other.errors.contains("userdriver (process \(stayer.pid))"), "\(other.errors)")
            let absent = try await bench.userdriver("watchers", "no-such-device")
            #expect(absent.status == .exited(status: 3), "\(absent.errors)")
            _ = try await stayer.stop()
            try await bench.stop()
        }
    }
}
