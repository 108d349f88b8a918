// `userdriver view`: the picture in a browser, or in a window of ffplay's.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite(.enabled(if: access(Programs.folder + "/userdriver-web", X_OK) == 0, "userdriver-web is not built: run make build"))
    struct View {
        /// A desktop, or what `view` takes for one: programs that write down what they were started with.
        private struct Desktop {
            let folder: String
            let bench: Bench

            init(_ bench: Bench, _ programs: [String: String]) throws {
                self.bench = bench
                folder = bench.runtime + "/bin"
                let files = FileManager.default
                try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
                for (name, script) in programs {
                    try Data("#!/bin/sh\n\(script)\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
                    try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder)/\(name)")
                }
            }

            /// With these programs and no others.
            func start(_ arguments: String..., program: String? = nil, environment: [String: String] = ["DISPLAY": ":9"]) throws -> Running
            {
                try Running(
                    path: "/bin/sh", name: "sh",
                    arguments: ["-c", "PATH=\(folder) exec \"$@\"", "sh", program ?? Programs.folder + "/userdriver", "view"] + arguments,
                    environment: environment.merging(["USERDRIVER_RUNTIME_DIR": bench.runtime]) { $1 })
            }

            func file(_ name: String) -> Data { FileManager.default.contents(atPath: bench.runtime + "/" + name) ?? Data() }
            func text(_ name: String) -> String { String(decoding: file(name), as: UTF8.self) }
        }

        private static func link(_ text: String) -> String {
            text.split(separator: "\n").first { $0.hasPrefix("http://") }.map(String.init) ?? ""
        }

        @Test func `up has a page for both kinds, and view opens it`() async throws {
            let runtime = try Bench.makeRuntime()
            let up = try Programs.start(
                "userdriver", ["up", "--runtime-dir", runtime, "--emulate", "webcam,scanner", "--startup-ms", "50", "--count", "1"])
            let said = try await up.waitForOutput { $0.contains("see it in a browser: ") && $0.contains("Ctrl-C stops everything.") }
            let page = try #require(said.components(separatedBy: "see it in a browser: ").last?.split(separator: "\n").first)
            let site = try WebSite(up, link: String(page))
            let status = try await site.ask("/api/status").text
            #expect(status.contains("\"webcam\"") && status.contains("\"scanner\""), "\(status)")
            // Nothing is started, so nothing is waited for.
            let result = try await Programs.run("userdriver", ["view", "--runtime-dir", runtime])
            #expect(result.status == .exited(status: 0) && result.text == "\(page)#1209:0001:EMU0001\n", "\(result.text) \(result.errors)")
            #expect(result.errors.contains("no desktop"))
            // A verb for cameras means the only one, whatever else is there, and says what a scanner is not.
            let snap = ["snap", "--runtime-dir", runtime, "-o", runtime + "/a.jpg"]
            let taken = try await Programs.run("userdriver", snap)
            #expect(taken.status == .exited(status: 0) && access(runtime + "/a.jpg", R_OK) == 0, "\(taken.errors)")
            let refused = try await Programs.run("userdriver", snap + ["scanner"])
            #expect(refused.status == .exited(status: 1) && refused.errors.contains("is a scanner, not a camera"), "\(refused.errors)")
            let controls = ["controls", "get", "gain", "--runtime-dir", runtime]
            let gain = try await Programs.run("userdriver", controls)
            #expect(gain.status == .exited(status: 0) && Int(gain.text.trimmingCharacters(in: .newlines)) != nil, "\(gain.errors)")
            let none = try await Programs.run("userdriver", controls + ["-d", "scanner"])
            #expect(none.status == .exited(status: 1) && none.errors.contains("is a scanner, not a camera"), "\(none.errors)")
            // Its answer has no bytes beside it.
            let call = ["call", "1209:0001", "GetControls", #"{"names":["gain"]}"#, "-o", runtime + "/bytes", "--runtime-dir", runtime]
            let answer = try await Programs.run("userdriver", call)
            #expect(answer.status == .exited(status: 0) && answer.errors.contains("was not written"), "\(answer.errors)")
            #expect(try await up.stop(SIGINT).status == .exited(status: 0))
            // What a page has left counts for as long as it runs.
            #expect(FileManager.default.fileExists(atPath: runtime + "/web-link"))
            let gone = try await Programs.run("userdriver", ["view", "--runtime-dir", runtime])
            #expect(gone.status == .exited(status: 1) && gone.errors.contains("daemon is not running"), "\(gone.errors)")
            try FileManager.default.removeItem(atPath: runtime)
        }

        @Test func `without a page it serves one, with a token of its own, until Ctrl-C`() async throws {
            let bench = try await Bench.start()
            let view = try bench.startUserdriver("view", "1209:0001")
            let link = Self.link(try await view.waitForOutput { $0.contains("#") && $0.hasSuffix("\n") })
            let site = try WebSite(view, link: link.replacingOccurrences(of: "#1209:0001:EMU0001", with: ""))
            #expect(try await site.ask("/snapshot.jpg?device=1209:0001").body.prefix(2) == Data([0xff, 0xd8]))
            let servers = Bench.processes(mentioning: "userdriver-web\0--runtime-dir\0\(bench.runtime)").map(Witness.init)
            #expect(servers.count == 1)
            #expect(try await view.stop(SIGINT).status == .exited(status: 0))
            for server in servers { try await server.ended() }
            for name in ["web-token", "web-link"] { #expect(!FileManager.default.fileExists(atPath: bench.runtime + "/" + name)) }
            try await bench.stop()
        }

        @Test func `a browser is started with a link that works once`() async throws {
            let bench = try await Bench.start()
            let desktop = try Desktop(
                bench,
                ["xdg-open": "echo \"$1\" > \(bench.runtime)/opened.new; /bin/mv \(bench.runtime)/opened.new \(bench.runtime)/opened"])
            let site = try await WebSite(bench)
            let result = try await desktop.start().finish()
            #expect(result.status == .exited(status: 0) && result.text.isEmpty, "\(result.text) \(result.errors)")
            let opened = try #require(URLComponents(string: desktop.text("opened").trimmingCharacters(in: .whitespacesAndNewlines)))
            #expect(opened.port == Int(site.port) && opened.fragment == "1209:0001:EMU0001" && !desktop.text("opened").contains(site.token))
            let path = "/?code=" + (opened.queryItems?.first { $0.name == "code" }?.value ?? "")
            #expect(try await site.ask(path, withToken: false).head.contains("Set-Cookie"))
            #expect(try await site.ask(path, withToken: false).status == 401)
            _ = try await site.server.stop()
            // One that can't open anything is no reason to show nothing.
            let broken = try Desktop(bench, ["xdg-open": "exit 3"])
            let view = try broken.start()
            #expect(Self.link(try await view.waitForOutput { $0.contains("http://") && $0.hasSuffix("\n") }).contains("?token="))
            let end = try await view.stop(SIGTERM)
            #expect(end.status == .exited(status: 0) && end.errors.contains("xdg-open has ended (exit 3)"), "\(end.errors)")
            try await bench.stop()
        }

        @Test func `a player gets what the camera sends, and its end is the end`() async throws {
            let bench = try await Bench.start(emulate: ["--startup-ms", "50"])
            let run = bench.runtime
            let desktop = try Desktop(bench, ["ffplay": "echo \"$*\" > \(run)/played; /usr/bin/head -c 200000 > \(run)/film"])
            let closed = try await desktop.start("--player").finish()
            #expect(closed.status == .exited(status: 0), "\(closed.errors)")
            #expect(desktop.text("played").contains("-f mjpeg -fflags nobuffer -flags low_delay"), "\(desktop.text("played"))")
            #expect(desktop.file("film").count == 200_000 && desktop.file("film").prefix(2) == Data([0xff, 0xd8]))
            // Ctrl-C ends both.
            let patient = try Desktop(bench, ["ffplay": "echo 1 >&2; exec /bin/cat > /dev/null"])
            let view = try patient.start("--player")
            try await view.waitForOutput(errors: true) { $0.contains("1\n") }
            let children = Bench.processes(mentioning: "stream\0" + "1209:0001:EMU0001\0--runtime-dir\0\(run)").map(Witness.init)
            #expect(!children.isEmpty)
            #expect(try await view.stop(SIGINT).status == .exited(status: 0))
            for child in children { try await child.ended() }
            // One that can't show anything says so itself.
            let blind = try await Desktop(bench, ["ffplay": "echo no window >&2; exit 1"]).start("--player").finish()
            #expect(
                blind.status == .exited(status: 1) && blind.errors.contains("no window")
                    && blind.errors.contains("ffplay has ended (exit 1)"))
            try await bench.stop()
        }

        @Test func `what can't be shown is one sentence`() async throws {
            let bench = try await Bench.start()
            let none = try await bench.userdriver("view", "dead:beef")
            #expect(none.status == .exited(status: 3) && none.errors.contains("dead:beef"), "\(none.errors)")
            let empty = try Desktop(bench, [:])
            let player = try await empty.start("--player").finish()
            #expect(player.status == .exited(status: 1) && player.errors.contains("no program ffplay") && player.errors.contains("ffmpeg"))
            // The command alone, as who has installed no page.
            let alone = bench.runtime + "/userdriver"
            try FileManager.default.copyItem(atPath: Programs.folder + "/userdriver", toPath: alone)
            let page = try await empty.start(program: alone).finish()
            #expect(
                page.status == .exited(status: 1) && page.errors.contains("userdriver-web") && page.errors.contains("--player"),
                "\(page.errors)")
            for result in [none, player, page] { #expect(result.errors.split(separator: "\n").count == 1 && result.output.isEmpty) }
            try await bench.stop()
            let scanner = try await Bench.start(emulating: "scanner", [])
            let id = try await scanner.client.device().id
            let wrong = try await scanner.userdriver("view", id)
            #expect(wrong.status == .exited(status: 1) && wrong.errors.contains("is a scanner"), "\(wrong.errors)")
            #expect(try await scanner.userdriver("view").status == .exited(status: 3), "there is no camera")
            try await scanner.stop()
        }
    }
}
