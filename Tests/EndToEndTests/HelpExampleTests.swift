// What help and `up` tell people to type works as it stands, on the emulated camera.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite struct Examples {
        /// A folder to work in, with the command and with stand-ins for the programs that its output is piped into.
        private struct Workplace {
            let folder: String
            let runtime: String

            /// `runtime` is the folder of the daemon that commands talk to, where they don't say it themselves.
            init(in parent: String, runtime: String? = nil) throws {
                self.runtime = runtime ?? parent
                folder = parent + "/work"
                let files = FileManager.default
                try files.createDirectory(atPath: folder + "/bin", withIntermediateDirectories: true)
                try files.createSymbolicLink(atPath: folder + "/bin/userdriver", withDestinationPath: Programs.folder + "/userdriver")
                // A player is closed after a while; the others take all there is.
                for (name, takes) in [
                    ("ffplay", "head -c 100000"), ("ffmpeg", "cat"), ("wireshark", "cat"), ("display", "cat"), ("jq", "cat"),
                ] {
                    let path = "\(folder)/bin/\(name)"
                    try Data("#!/bin/sh\n\(takes) > /dev/null\n".utf8).write(to: URL(fileURLWithPath: path))
                    try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
                }
                try files.copyItem(atPath: Programs.folder + "/webcam.driver", toPath: folder + "/webcam.driver")
            }

            func run(_ command: String) async throws -> Programs.Result {
                let script = "export PATH=\(folder)/bin:$PATH; cd \(folder) && \(command)"
                return try await Running(
                    path: "/bin/bash", name: "bash", arguments: ["-o", "pipefail", "-c", script],
                    environment: ["USERDRIVER_RUNTIME_DIR": runtime, "HOME": folder]
                ).finish(timeout: .seconds(60))
            }
        }

        /// Commands in a verb's help and in those below it: what is set in, up to the end of its last line.
        private static func examples(_ command: [String: Any]) -> [String] {
            var found: [String] = []
            var goesOn = false
            for line in (command["discussion"] as? String ?? "").split(separator: "\n", omittingEmptySubsequences: false) {
                if goesOn {
                    found[found.count - 1] += "\n" + line
                } else if line.hasPrefix("  userdriver ") {
                    found.append(String(line.dropFirst(2)))
                } else {
                    continue
                }
                goesOn = line.hasSuffix("|") || line.hasSuffix("\\")
            }
            let below = command["subcommands"] as? [[String: Any]] ?? []
            return found + below.flatMap(examples)
        }

        /// What changes the machine itself, serves until it is stopped, or needs a controller or a
        /// program of that name.
        private static let notHere = [
            "userdriver up", "userdriver emulate", "userdriver driver install", "userdriver driver rollback", "userdriver driver remove",
            "userdriver driver sign", "userdriver driver trust", "userdriver driver revoke", "userdriver call thermometer",
            "userdriver setup", "userdriver scan", "userdriver pages --discard", "userdriver revoke", "userdriver view",
        ]

        @Test(.timeLimit(.minutes(10))) func `every example in the help works on the emulated camera`() async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50"])
            let work = try Workplace(in: bench.runtime)
            let dump = try await Programs.run("userdriver", ["--experimental-dump-help"])
            let help = try #require(try JSONSerialization.jsonObject(with: dump.output) as? [String: Any])
            let all = Self.examples(try #require(help["command"] as? [String: Any]))
            #expect(all.count > 40, "\(all)")
            // A death with transfers before it, to be shown.
            let watcher = try bench.startUserdriver("stream", "-o", work.folder + "/watched.mjpeg", "--format", "mjpeg", "--quiet")
            let pid = try await bench.waitForDevice { $0.streams.first?.frames ?? 0 > 10 }.pid
            kill(pid, SIGSEGV)
            try await bench.waitForDevice { $0.state == .running && $0.restarts > 0 }
            _ = try await watcher.stop(SIGINT)
            let records = FileManager.default.isExecutableFile(atPath: Programs.folder + "/userdriver-mux")
            let notHere = Self.notHere + (records ? [] : ["userdriver record"])
            for example in all where !notHere.contains(where: example.hasPrefix) {
                let command = example.replacingOccurrences(of: "usbip://127.0.0.1:3240/1-1", with: bench.url)
                let result = try await work.run(command)
                // The machine that tests run on is as it is.
                let isDone = result.status == .exited(status: 0) || command.hasPrefix("userdriver doctor")
                #expect(isDone, "\(command): \(result.status) \(result.errors)")
                #expect(!result.errors.contains("Usage:"), "\(command): \(result.errors)")
                if command.hasPrefix("userdriver detach") { try await bench.client.attach(bench.url) }
                if command.hasPrefix("userdriver release") { try await bench.client.take() }
                try await bench.waitForDevice { $0.state == .running }
            }
            for name in ["photo.jpg", "photo.png", "film.y4m", "film.mjpeg", "frame-0001.jpg", "usb.pcapng", "crash.pcapng"] {
                #expect(FileManager.default.fileExists(atPath: work.folder + "/" + name), "\(name)")
            }
            try await bench.stop()
        }

        @Test func `with several cameras, what up says to type names one`() async throws {
            let runtime = try Bench.makeRuntime()
            let up = try Programs.start(
                "userdriver", ["up", "--runtime-dir", runtime, "--emulate", "webcam", "--count", "2", "--startup-ms", "50"])
            let said = try await up.waitForOutput { $0.contains("Ctrl-C stops everything.") }
            let work = try Workplace(in: runtime, runtime: "/nonexistent")
            let commands = said.split(separator: "\n").filter { $0.hasPrefix("  userdriver ") }.map(String.init)
            #expect(commands.count == 4, "\(said)")
            for command in commands {
                let result = try await work.run(command)
                #expect(result.status == .exited(status: 0), "\(command): \(result.errors)")
            }
            #expect(try await up.stop(SIGINT).status == .exited(status: 0))
            try FileManager.default.removeItem(atPath: runtime)
        }

        @Test func `a relative folder is the one in the working directory`() async throws {
            let runtime = try Bench.makeRuntime()
            let work = try Workplace(in: runtime)
            let up = try Running(
                path: "/bin/bash", name: "bash",
                arguments: ["-c", "cd \(work.folder) && exec \(Programs.folder)/userdriver up --runtime-dir here"], environment: [:])
            try await up.waitForOutput { $0.contains("Ctrl-C stops everything.") }
            let client = UserDriverClient(runtimeDirectory: RuntimeDirectory(work.folder + "/here"))
            #expect(try await client.devices().isEmpty)
            #expect(try await work.run("userdriver list --json --runtime-dir here").text == "{\"devices\":[]}\n")
            #expect(try await up.stop(SIGINT).status == .exited(status: 0))
            try FileManager.default.removeItem(atPath: runtime)
        }
    }
}
