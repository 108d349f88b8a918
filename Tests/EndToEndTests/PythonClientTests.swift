// A program in another language, written from the documentation, with nothing of ours.

import Foundation
import Glibc
import Spawn
import Testing
import Wire

extension EndToEndTests {
    @Suite struct PythonClient {
        private static let script =
            URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path + "/Examples/python/userdriver.py"

        private static func run(_ bench: Bench, _ arguments: String...) async throws -> Programs.Result {
            try await Running(
                path: "/usr/bin/python3", name: "python3", arguments: [script] + arguments,
                environment: ["USERDRIVER_RUNTIME_DIR": bench.runtime, "PATH": "/usr/bin:/bin"]
            ).finish(timeout: .seconds(120))
        }

        @Test(.enabled(if: access("/usr/bin/python3", X_OK) == 0, "Python is not installed"))
        func `lists devices, calls a service and takes a frame by the documentation alone`() async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50"])
            let device = try await bench.waitForDevice { $0.state == .running }
            let list = try await Self.run(bench, "list")
            #expect(list.text.contains(device.id) && list.text.contains("running"), "\(list)")

            let formats = try await Self.run(bench, "call", device.id, "io.userdriver.camera.Formats")
            #expect(formats.status == .exited(status: 0) && formats.text.contains("mjpeg"), "\(formats)")
            let wrong = try await Self.run(bench, "call", "nothing", "io.userdriver.camera.Formats")
            #expect(wrong.status == .exited(status: 1) && wrong.errors.contains("NoSuchDevice"), "\(wrong)")

            let file = bench.runtime + "/frame"
            let frame = try await Self.run(bench, "frame", device.id, file)
            let bytes = try #require(FileManager.default.contents(atPath: file), "\(frame)")
            #expect(bytes.prefix(2) == Data([0xff, 0xd8]) && bytes.suffix(2) == Data([0xff, 0xd9]), "a whole JPEG")
            try await bench.stop()
        }
    }
}
