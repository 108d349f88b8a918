// What cameras get wrong, on demand: streams go on, nothing that is damaged is shown, and nobody hangs.

import Foundation
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite struct Faults {
        /// A camera that starts fast and suffers from `fault`.
        private func bench(_ fault: String, bulk: Bool = false) async throws -> Bench {
            try await Bench.start(emulate: ["--startup-ms", "50", "--fault", fault] + (bulk ? ["--bulk"] : []))
        }

        private func stream(_ bench: Bench, frames: Int, format: String = "mjpeg") async throws -> (StreamFacts, Programs.Result) {
            let result = try await bench.userdriver(
                "stream", "--frames", "\(frames)", "--size", "320x240", "--format", format, "--stats", "json")
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(facts.frames == frames)
            #expect(facts.torn == 0)
            return (facts, result)
        }

        @Test(
            arguments: [
                ("error-bit@7:every", "mjpeg"), ("truncate@7:every", "yuy2"), ("truncate@7:every", "mjpeg"),
                ("garbage-payload@7:every", "nv12"),
                ("garbage-payload@7:every", "mjpeg"),
            ])
        func `damaged frames are counted and never shown, and the others arrive`(fault: String, format: String) async throws {
            let bench = try await bench(fault)
            let (facts, _) = try await stream(bench, frames: 40, format: format)
            #expect(facts.lost >= 4, "each seventh frame is damaged")
            #expect(facts.lost <= 20, "a damaged frame takes its neighbour along at most")
            #expect(facts.restarts == 0)
            try await bench.stop()
        }

        @Test(arguments: ["lost-eof@7:every", "no-fid"])
        func `frames are told apart by what a camera leaves of its marks`(fault: String) async throws {
            let bench = try await bench(fault)
            let (facts, _) = try await stream(bench, frames: 40)
            #expect(facts.lost <= 12)
            #expect(facts.restarts == 0)
            try await bench.stop()
        }

        @Test(arguments: [true, false])
        func `an endpoint that halts is set going again by the same process`(bulk: Bool) async throws {
            let bench = try await bench("stall@15", bulk: bulk)
            let (facts, _) = try await stream(bench, frames: 40)
            #expect(facts.restarts == 0)
            // An isochronous endpoint can't halt: it falls silent, which takes three seconds to be believed.
            #expect(facts.longestGapMs < (bulk ? 1000 : 5000))
            #expect(try await bench.client.crashes().isEmpty)
            try await bench.stop()
        }

        @Test func `a camera that answers nothing any more is opened anew`() async throws {
            let bench = try await bench("silence@15")
            let (facts, _) = try await stream(bench, frames: 40)
            #expect(facts.longestGapMs < 8000)
            try await bench.stop()
        }

        @Test func `a cable that is pulled and plugged in again is an absence, not a crash`() async throws {
            let bench = try await bench("replug@15")
            let (facts, result) = try await stream(bench, frames: 40)
            #expect(facts.restarts == 0)
            #expect(result.errors.contains("absent") && result.errors.contains("back"), "\(result.errors)")
            #expect(try await bench.client.crashes().isEmpty)
            try await bench.stop()
        }

        @Test func `a cable that stays pulled is told, and the wait can be ended`() async throws {
            let bench = try await bench("disconnect@15")
            let stream = try bench.startUserdriver("stream", "--size", "320x240", "--stats", "json")
            try await bench.waitForDevice { $0.state == .absent }
            try await stream.waitForOutput(errors: true) { $0.contains("absent") }
            let result = try await stream.stop(SIGINT)
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(facts.frames >= 10)
            #expect(facts.torn == 0)
            let device = try #require(try await bench.client.devices().first)
            #expect(device.pid == 0)
            #expect(device.reason != nil)
            try await bench.stop()
        }

        @Test func `noise in place of the negotiation's answers is repaired`() async throws {
            let bench = try await bench("garbage@probe:every")
            let (facts, _) = try await stream(bench, frames: 15)
            #expect(facts.restarts == 0)
            #expect(try await bench.client.crashes().isEmpty)
            try await bench.stop()
        }

        @Test(arguments: [("stall@probe:every", "VS_PROBE"), ("stall@commit:every", "VS_COMMIT")])
        func `a camera that refuses to stream says so to the client, and its driver lives`(fault: String, request: String) async throws {
            let bench = try await bench(fault)
            let before = try await bench.client.device()
            let result = try await bench.userdriver("stream", "--frames", "5")
            #expect(result.status == .exited(status: 1))
            #expect(result.errors.contains(request) && result.errors.contains("refused"), "\(result.errors)")
            let after = try await bench.client.device()
            #expect(after.state == .running)
            #expect(after.pid == before.pid)
            try await bench.stop()
        }

        @Test(arguments: ["stall@probe", "stall@commit"]) func `a refusal that does not last is not noticed`(fault: String) async throws {
            let bench = try await bench(fault)
            let (facts, _) = try await stream(bench, frames: 15)
            #expect(facts.restarts == 0)
            try await bench.stop()
        }

        @Test func `a stream goes on while a control takes its time`() async throws {
            let bench = try await bench("slow-control")
            let client = try bench.startUserdriver("stream", "--frames", "90", "--size", "320x240", "--stats", "json")
            try await bench.waitForDevice { $0.streams.contains { $0.frames > 0 } }
            // Nineteen controls, several requests each, at 300 ms: the answer, or the refusal to wait longer, has its limit.
            let asked = ContinuousClock.now
            let control = try await bench.userdriver("controls", "get", "brightness")
            #expect(ContinuousClock.now - asked < .seconds(20))
            if control.status != .exited(status: 0) {
                #expect(control.status == .exited(status: 1))
                #expect(!control.errors.isEmpty)
            }
            let facts = try await client.finish().lastLine(as: StreamFacts.self)
            #expect(facts.frames == 90)
            #expect(facts.torn == 0)
            #expect(facts.restarts == 0)
            #expect(facts.longestGapMs < 1000)
            try await bench.stop()
        }
    }
}
