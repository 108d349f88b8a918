// What can't be done is said in a sentence, with the status that scripts expect.

import CLinux
import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite struct Refusals {
        private static let fast = ["--startup-ms", "50"]

        /// Every verb that talks to a daemon.
        private static let verbs: [[String]] = [
            ["list"], ["status"], ["snap", "-o", "-", "--type", "ppm"], ["stream", "--frames", "1"], ["controls"],
            ["controls", "get", "gain"],
            ["restart"], ["crashes"], ["inspect"], ["stack"], ["attach", "usbip://127.0.0.1:1/1-1"], ["detach", "usbip://127.0.0.1:1/1-1"],
            ["capture", "-o", "/nonexistent/usb.pcapng"], ["crashes", "show", "1"],
        ]

        private func refused(
            _ arguments: [String], _ status: Int32, saying words: [String], runtime: String, prefix: [String] = [],
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let result =
                prefix.isEmpty
                ? try await Programs.run("userdriver", arguments, environment: ["USERDRIVER_RUNTIME_DIR": runtime], timeout: .seconds(30))
                : try await Running(
                    path: prefix[0], name: prefix[0], arguments: prefix.dropFirst() + ["\(Programs.folder)/userdriver"] + arguments,
                    environment: ["USERDRIVER_RUNTIME_DIR": runtime]
                ).finish(timeout: .seconds(30))
            #expect(result.status == .exited(status: status), "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
            #expect(result.output.isEmpty, "\(arguments) printed \(result.text)", sourceLocation: sourceLocation)
            for word in words { #expect(result.errors.contains(word), "\(arguments): \(result.errors)", sourceLocation: sourceLocation) }
            #expect(!result.errors.contains("Fatal"), "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
        }

        @Test func `without a daemon each verb says how to start one`() async throws {
            let runtime = try Bench.makeRuntime()
            for verb in Self.verbs { try await refused(verb, 1, saying: ["not running", "userdriver up"], runtime: runtime) }
            try FileManager.default.removeItem(atPath: runtime)
        }

        @Test func `a device that is not there is status 3, and a wrong word status 2`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            let runtime = bench.runtime
            for name in ["nosuch", "dead:beef", "usbip://127.0.0.1:1/9-9"] {
                for verb in [
                    ["status", name], ["snap", name, "-o", "-", "--type", "ppm"], ["stream", name, "--frames", "1"], ["restart", name],
                    ["crashes", name], ["stack", name], ["controls", "list", "-d", name], ["controls", "set", "gain", "1", "-d", name],
                    ["inspect", name], ["capture", name, "-o", "/nonexistent/usb.pcapng"],
                ] { try await refused(verb, 3, saying: [name], runtime: runtime) }
            }
            for verb in [
                ["nosuchverb"], ["stream", "--frames"], ["stream", "--frames", "0"], ["stream", "--frames", "-1"],
                ["stream", "--size", "big"],
                ["stream", "--stats", "xml"], ["snap"], ["snap", "-o", "photo.xyz"], ["attach"], ["attach", "banana"],
                ["attach", "usbip://"],
                ["capture"], ["capture", "-o", "usb.pcapng", "--transfers", "0"],
                ["attach", "usbip://127.0.0.1:99999/1-1"], ["controls", "set"], ["emulate", "toaster"],
                ["emulate", "webcam", "--fault", "boredom"], ["up", "--emulate", "toaster"], ["up", "--attach", "banana"],
            ] { try await refused(verb, 2, saying: ["Usage"], runtime: runtime) }
            try await bench.stop()
        }

        @Test func `what the camera does not have is refused with what it has`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            for wish in [["--size", "123x45"], ["--format", "h264"], ["--fps", "1000"], ["--format", "nv12", "--size", "1920x1081"]] {
                try await refused(["stream", "--frames", "1"] + wish, 1, saying: ["does not offer", "640×480"], runtime: bench.runtime)
            }
            #expect(try await bench.client.device().state == .running)
            try await bench.stop()
        }

        @Test func `files that can't be written are told`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            let small = ["--size", "320x240"]
            try await refused(
                ["snap", "-o", "/nonexistent/a.jpg"] + small, 1, saying: ["/nonexistent/a.jpg", "No such file"], runtime: bench.runtime)
            for (path, why) in [("/nonexistent/a.mjpeg", "No such file"), ("/dev/full", "No space left"), ("/", "directory")] {
                let result = try await bench.userdriver("stream", "--frames", "3", "-o", path, "--size", "320x240")
                #expect(result.status == .exited(status: 1), "\(path)")
                #expect(result.errors.contains(why), "\(path): \(result.errors)")
            }
            try await bench.stop()
        }

        @Test func `of two cameras one has to be chosen, by id, serial number or bus`() async throws {
            let bench = try await Bench.start(emulate: Self.fast + ["--serial", "LEFT"])
            let (second, url) = try await Bench.startEmulator(Self.fast + ["--serial", "RIGHT"])
            try await bench.client.attach(url)
            for try await event in try await bench.client.events() {
                let devices = try await bench.client.devices()
                _ = event
                if devices.count == 2, devices.allSatisfy({ $0.state == .running }) { break }
            }
            for name in [[], ["webcam"], ["1209:0001"]] {
                try await refused(
                    ["stream", "--frames", "1"] + name, 2, saying: ["1209:0001:LEFT", "1209:0001:RIGHT"], runtime: bench.runtime)
            }
            for name in ["1209:0001:RIGHT", "RIGHT", "right", "RIGH", url] {
                let result = try await bench.userdriver("status", name, "--json")
                #expect(result.status == .exited(status: 0), "\(name): \(result.errors)")
                #expect(result.text.contains("RIGHT") && !result.text.contains("LEFT"), "\(name): \(result.text)")
            }
            _ = try await second.stop()
            try await bench.stop()
        }

        /// Root may open everything, so somebody else has to ask.
        private static let stranger = ["/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]

        @Test(
            .enabled(
                if: geteuid() == 0 && FileManager.default.isExecutableFile(atPath: stranger[0]),
                "only root can become somebody else, with setpriv"))
        func `who may not talk to the daemon is told so, with status 4`() async throws {
            let bench = try await Bench.start(emulate: Self.fast)
            // The folder lets everybody in; the socket does not.
            chmod(bench.runtime, 0o755)
            for verb in [["status"], ["stream", "--frames", "1"], ["controls"]] {
                try await refused(verb, 4, saying: ["may not talk"], runtime: bench.runtime, prefix: Self.stranger)
            }
            try await bench.stop()
        }

        @Test func `inspect tells what is not a descriptor file`() async throws {
            let runtime = try Bench.makeRuntime()
            var random = SystemRandomNumberGenerator()
            let noise = Data([0xff, 0xff] + (0..<4000).map { _ in UInt8.random(in: 0...255, using: &random) })
            for (name, content, word) in [
                ("words", Data("what is this\n".utf8), "hexadecimal"), ("empty", Data(), "empty"), ("noise", noise, "no descriptors"),
                ("huge", Data(count: 2 << 20), "MiB"), ("short", Data([0x12, 0x01, 0x00]), "too few"),
            ] {
                let path = runtime + "/" + name
                try content.write(to: URL(fileURLWithPath: path))
                try await refused(["inspect", path], 1, saying: [path, word], runtime: runtime)
            }
            try await refused(["inspect", runtime + "/absent"], 1, saying: ["No such file"], runtime: runtime)
            try await refused(["inspect", runtime + "/"], 1, saying: ["directory"], runtime: runtime)
            try FileManager.default.removeItem(atPath: runtime)
        }

        @Test func `an address where nobody listens is looked for, and said`() async throws {
            let bench = try await Bench.startWithoutDevices()
            // A port that was free a moment ago.
            let listener = try LocalServer { _ in }
            let url = "usbip://127.0.0.1:\(listener.port)/1-1"
            listener.stop()
            #expect(try await bench.userdriver("attach", url).status == .exited(status: 0))
            let daemon = try #require(await bench.daemonProcess)
            try await daemon.waitForOutput(errors: true) { $0.contains("\(url) is not there yet") }
            try await refused(["stream", "--frames", "1"], 3, saying: ["No device"], runtime: bench.runtime)
            #expect(try await bench.userdriver("detach", url).status == .exited(status: 0))
            try await refused(["detach", url], 3, saying: ["not attached"], runtime: bench.runtime)
            try await bench.stop()
        }

        @Test func `a server that sends nonsense harms nobody`() async throws {
            let bench = try await Bench.startWithoutDevices()
            let server = try LocalServer { socket in
                var random = SystemRandomNumberGenerator()
                for _ in 0..<16 {
                    let noise = (0..<4096).map { _ in UInt8.random(in: 0...255, using: &random) }
                    guard send(socket, noise, noise.count, Int32(MSG_NOSIGNAL)) > 0 else { return }
                }
            }
            defer { server.stop() }
            let url = "usbip://127.0.0.1:\(server.port)/1-1"
            try await bench.client.attach(url)
            let daemon = try #require(await bench.daemonProcess)
            let said = try await daemon.waitForOutput(errors: true) { $0.contains("\(url) is not there yet") }
            #expect(said.contains("malformed") || said.contains("version") || said.contains("USB/IP"), "\(said)")
            try await server.served(5)
            #expect(try await bench.client.devices().isEmpty)
            // And a camera beside it is driven as ever.
            let (emulator, camera) = try await Bench.startEmulator(Self.fast)
            try await bench.client.attach(camera)
            try await bench.waitForDevice { $0.state == .running }
            let result = try await bench.userdriver("stream", "--frames", "10", "--size", "320x240", "--stats", "json")
            #expect(try result.lastLine(as: StreamFacts.self).frames == 10)
            try await bench.stop()
            _ = try await emulator.stop()
        }
    }
}
