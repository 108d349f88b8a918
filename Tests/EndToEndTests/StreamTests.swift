// The main job: a camera is watched, while its driver lives and while it dies.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

/// Everything here drives release executables against an emulated camera over USB/IP.
@Suite(
    .serialized, .enabled(if: Programs.areBuilt, "the release executables are not built: run make build"), .timeLimit(.minutes(10)))
struct EndToEndTests {}

/// The same, of what counts no frames by the clock: it runs beside those.
@Suite(
    .serialized, .enabled(if: Programs.areBuilt, "the release executables are not built: run make build"), .timeLimit(.minutes(10)))
struct EndToEndAsides {}

extension EndToEndTests {
    @Suite struct Streams {
        @Test func `three hundred frames arrive whole, in order and at the camera's rate`() async throws {
            let bench = try await Bench.start()
            let result = try await bench.userdriver("stream", "--frames", "300", "--stats", "json")
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(facts.frames == 300)
            #expect(facts.lost == 0, "\(facts)")
            #expect(facts.torn == 0)
            #expect(facts.restarts == 0)
            #expect(abs(facts.fps - 30) < 0.9, "a rate within 3 % of 30, not \(facts.fps)")
            try await bench.stop()
        }

        @Test(arguments: [("mjpeg", "1280x720"), ("yuy2", "320x240"), ("nv12", "640x480")])
        func `every format streams`(format: String, size: String) async throws {
            let bench = try await Bench.start()
            let result = try await bench.userdriver("stream", "--frames", "40", "--format", format, "--size", size, "--stats", "json")
            #expect(result.status == .exited(status: 0), "\(result.errors)")
            let facts = try result.lastLine(as: StreamFacts.self)
            #expect(facts.frames == 40)
            #expect(facts.torn == 0)
            #expect(facts.lost == 0)
            try await bench.stop()
        }

        @Test func `a bulk camera streams like an isochronous one`() async throws {
            let bench = try await Bench.start(emulate: ["--bulk"])
            let facts = try await bench.userdriver("stream", "--frames", "60", "--stats", "json").lastLine(as: StreamFacts.self)
            #expect(facts.frames == 60)
            #expect(facts.torn == 0)
            #expect(facts.lost == 0)
            try await bench.stop()
        }

        @Test func `several clients watch one camera, and each sees every frame`() async throws {
            let bench = try await Bench.start()
            let clients = try (0..<3).map { _ in try bench.startUserdriver("stream", "--frames", "90", "--stats", "json") }
            for client in clients {
                let facts = try await client.finish().lastLine(as: StreamFacts.self)
                #expect(facts.frames == 90)
                #expect(facts.lost == 0)
                #expect(facts.torn == 0)
            }
            try await bench.stop()
        }

        @Test func `a client that wants another format than the one that is on is told that it is busy`() async throws {
            let bench = try await Bench.start()
            let first = try bench.startUserdriver("stream", "--frames", "600", "--format", "mjpeg", "--stats", "json")
            _ = try await bench.waitForDevice { $0.streams.contains { $0.frames > 0 } }
            let second = try await bench.userdriver("stream", "--frames", "10", "--format", "yuy2", "--size", "320x240")
            #expect(second.status == .exited(status: 1))
            #expect(second.errors.lowercased().contains("mjpeg"), "it says what is on: \(second.errors)")
            _ = try await first.stop(SIGINT)
            try await bench.stop()
        }

        @Test func `a snapshot is a picture that others can read`() async throws {
            let bench = try await Bench.start()
            for (name, magic) in [("photo.jpg", [0xff, 0xd8]), ("photo.png", [0x89, 0x50]), ("photo.ppm", [0x50, 0x36])]
                as [(String, [UInt8])]
            {
                let path = "\(bench.runtime)/\(name)"
                let result = try await bench.userdriver("snap", "-o", path)
                #expect(result.status == .exited(status: 0), "\(result.errors)")
                let bytes = try #require(FileManager.default.contents(atPath: path))
                #expect(Array(bytes.prefix(2)) == magic)
                #expect(bytes.count > 10_000)
            }
            try await bench.stop()
        }
    }
}
