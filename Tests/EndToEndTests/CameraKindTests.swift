// Cameras that are slow, or sloppy, and whole all the same; and one that is not, which is said.

import Foundation
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite struct CameraKinds {
        struct Start: Sendable {
            var milliseconds: Int
            var isBulk: Bool
        }

        /// Each with a daemon of its own, all at once, as they take their time.
        @Test func `however long a camera takes to its first picture, it is waited for`() async throws {
            let starts = [300, 1500, 3500, 9000].flatMap {
                [Start(milliseconds: $0, isBulk: false), Start(milliseconds: $0, isBulk: true)]
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for start in starts {
                    group.addTask {
                        let bench = try await Bench.start(
                            emulate: ["--startup-ms", "\(start.milliseconds)"] + (start.isBulk ? ["--bulk"] : []))
                        let result = try await bench.userdriver(
                            "stream", "--frames", "10", "--size", "160x120", "--format", "mjpeg", "--stats", "json")
                        let facts = try result.lastLine(as: StreamFacts.self)
                        #expect(result.status == .exited(status: 0), "\(start): \(result.errors)")
                        #expect(facts.frames == 10 && facts.restarts == 0 && facts.torn == 0, "\(start): \(facts)")
                        if start.milliseconds > 3400 { #expect(result.errors.contains("no picture yet"), "\(start): \(result.errors)") }
                        #expect(try await bench.client.crashes().isEmpty)
                        try await bench.stop()
                    }
                }
                try await group.waitForAll()
            }
        }

        @Test(arguments: ["no-eoi", "junk-tail", "zero-tail"], [false, true])
        func `pictures that the transport says are whole arrive, whatever stands at their end`(fault: String, bulk: Bool) async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50", "--fault", fault] + (bulk ? ["--bulk"] : []))
            let result = try await bench.userdriver(
                "stream", "--frames", "15", "--size", "640x480", "--format", "mjpeg", "--stats", "json")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(facts.frames == 15 && facts.torn == 0 && facts.restarts == 0)
            let snap = try await bench.userdriver("snap", "-o", "-", "--type", "png", "--size", "640x480", "--format", "mjpeg")
            #expect(snap.status == .exited(status: 0) && snap.output.count > 10_000, "\(snap.errors)")
            try await bench.stop()
        }

        @Test(arguments: ["no-fid,no-eof", "no-fid", "no-eof", "stray-eof", "stray-fid"], ["mjpeg", "yuy2"])
        func `frames are told apart whatever a camera's marks are worth`(fault: String, format: String) async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50", "--fault", fault])
            let result = try await bench.userdriver(
                "stream", "--frames", "30", "--size", "320x240", "--format", format, "--stats", "json")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(facts.frames == 30 && facts.torn == 0 && facts.restarts == 0, "\(facts)")
            #expect(try await bench.client.crashes().isEmpty)
            try await bench.stop()
        }

        @Test(arguments: [("mjpeg", "1280x720"), ("yuy2", "640x480")])
        func `a bulk camera that does not say how large its payloads are streams`(format: String, size: String) async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50", "--bulk", "--fault", "boundless-payload"])
            let result = try await bench.userdriver("stream", "--frames", "15", "--size", size, "--format", format, "--stats", "json")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(facts.frames == 15 && facts.torn == 0 && facts.restarts == 0)
            try await bench.stop()
        }

        @Test(arguments: [false, true])
        func `formats of a second streaming interface are streamed like those of the first`(bulk: Bool) async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50", "--h264"] + (bulk ? ["--bulk"] : []))
            // One interface, the other, and the first again.
            for format in ["h264", "mjpeg", "h264"] {
                let result = try await bench.userdriver(
                    "stream", "--frames", "15", "--size", "320x240", "--format", format, "--stats", "json")
                let facts = try result.lastLine(as: StreamFacts.self)
                #expect(result.status == .exited(status: 0), "\(format): \(result.errors)")
                #expect(facts.frames == 15 && facts.torn == 0 && facts.restarts == 0, "\(format): \(facts)")
            }
            let formats = try await bench.client.camera().formats().map(\.format)
            #expect(Set(formats) == ["mjpeg", "yuy2", "nv12", "h264"])
            #expect(try await bench.client.crashes().isEmpty)
            try await bench.stop()
        }

        @Test func `padding behind uncompressed frames is no damage`() async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50", "--fault", "long-frame"])
            let result = try await bench.userdriver("stream", "--frames", "15", "--size", "320x240", "--format", "yuy2", "--stats", "json")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            #expect(facts.frames == 15 && facts.torn == 0)
            try await bench.stop()
        }

        @Test func `a camera whose frames are all damaged is told of by the client as by the daemon`() async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50", "--fault", "short-frame"])
            let stream = try bench.startUserdriver("stream", "--size", "320x240", "--format", "yuy2", "--stats", "json")
            try await stream.waitForOutput(errors: true) { $0.contains("damaged (too short)") }
            let device = try await bench.waitForDevice { ($0.streams.first?.lost ?? 0) >= 60 }
            let result = try await stream.stop(SIGINT)
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(result.status == .exited(status: 1))
            #expect(facts.frames == 0 && facts.torn == 0 && facts.restarts == 0)
            // What the daemon had counted the client has seen.
            #expect(facts.lost >= device.streams.first.map { Int($0.lost) } ?? 0, "\(facts)")
            let short = try await bench.userdriver(
                "stream", "--seconds", "2", "--size", "320x240", "--format", "yuy2", "--stats", "json")
            #expect(short.status == .exited(status: 1))
            #expect(short.errors.contains("no whole frame arrived within 2 s") && short.errors.contains("too short"), "\(short.errors)")
            let snap = try await bench.userdriver(
                "snap", "-o", "/dev/null", "--type", "jpg", "--size", "320x240", "--format", "yuy2", "--timeout", "2")
            #expect(snap.status == .exited(status: 1) && snap.errors.contains("damaged (too short)"), "\(snap.errors)")
            #expect(try await bench.client.crashes().isEmpty)
            try await bench.stop()
        }
    }
}
