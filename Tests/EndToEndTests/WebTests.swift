// The page for browsers: what it shows, to whom, and what nobody does to it.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndTests {
    @Suite(.enabled(if: access(Programs.folder + "/userdriver-web", X_OK) == 0, "userdriver-web is not built: run make build"))
    struct Web {
        @Test func `pictures, controls and state come to whoever has the token`() async throws {
            let bench = try await Bench.start()
            let site = try await WebSite(bench)
            let page = try await site.ask("/")
            #expect(page.status == 200)
            #expect(page.head.contains("Content-Security-Policy: default-src 'none'"))
            #expect(page.text.contains("<title>UserDriver</title>"))
            for path in ["/page.js", "/camera.js", "/scanner.js", "/page.css", "/healthz"] {
                #expect(try await site.ask(path).status == 200)
            }
            let picture = try await site.ask("/snapshot.jpg?device=1209:0001&size=640x480")
            #expect(picture.body.prefix(2) == Data([0xff, 0xd8]))
            let raw = try await site.ask("/snapshot.jpg?device=1209:0001&format=yuy2&size=160x120")
            #expect(raw.body.prefix(2) == Data([0xff, 0xd8]), "raw frames are encoded: \(raw.text.prefix(200))")
            let set = try await site.ask("/api/controls?device=1209:0001&name=brightness&value=12", method: "POST")
            #expect(set.status == 200, "\(set.text)")
            #expect(try await bench.client.camera().control("brightness").value == 12)
            #expect(try await site.ask("/api/status").text.contains("1209:0001:EMU0001"))
            #expect(try await site.ask("/metrics").text.contains("userdriver_device_up{device=\"1209:0001:EMU0001\""))
            _ = try await site.server.stop()
            try await bench.stop()
        }

        @Test func `a path for another method says for which`() async throws {
            let bench = try await Bench.start()
            let site = try await WebSite(bench)
            for (path, method, allowed) in [
                ("/api/restart", "GET", "POST"), ("/api/controls/reset", "GET", "POST"), ("/api/code", "GET", "POST"),
                ("/api/controls", "PUT", "GET, POST"), ("/api/status", "POST", "GET"), ("/", "POST", "GET"),
            ] {
                let answer = try await site.ask(path, method: method)
                #expect(answer.status == 405 && answer.head.contains("Allow: \(allowed)\r\n"), "\(method) \(path): \(answer.head)")
            }
            #expect(try await site.ask("/api/nothing").status == 404)
            #expect(try await bench.client.device().restarts == 0)
            _ = try await site.server.stop()
            try await bench.stop()
        }

        @Test func `the live picture goes on when the driver is killed`() async throws {
            let bench = try await Bench.start()
            let site = try await WebSite(bench, ["--demo"])
            let socket = try site.connect()
            try socket.send(
                Data(
                    "GET /stream.mjpg?device=1209:0001&size=640x480 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(site.token)\r\n\r\n"
                        .utf8))
            #expect(try await offPool { socket.pictures(30) } >= 30)
            let first = try await bench.waitForDevice { $0.pid > 0 }
            #expect(try await site.ask("/api/kill?device=1209:0001", method: "POST").status == 200)
            #expect(try await offPool { socket.pictures(30) } >= 30)
            let next = try await bench.waitForDevice { $0.pid > 0 && $0.pid != first.pid && $0.streams.contains { $0.frames > 0 } }
            #expect(next.restarts == 1)
            #expect(next.streams.allSatisfy { $0.lost == 0 })
            _ = try await site.server.stop()
            try await bench.stop()
        }

        @Test func `nobody else is let in, and each is told why`() async throws {
            let bench = try await Bench.start()
            let site = try await WebSite(bench)
            let device = "device=1209:0001"
            #expect(try await site.ask("/api/status", withToken: false).status == 401)
            #expect(try await site.ask("/?token=\(String(repeating: "0", count: 32))", withToken: false).status == 401)
            let link = try await site.ask("/?token=\(site.token)", withToken: false)
            #expect(link.status == 303)
            #expect(link.head.contains("HttpOnly; SameSite=Strict"))
            #expect(
                try await site.ask(
                    "/api/status", headers: ["Cookie: userdriver-web-\(site.token.prefix(8))=\(site.token)"], withToken: false
                ).status == 200)
            let code = try await site.ask("/api/code", method: "POST").text.trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(try await site.ask("/?code=\(code)", withToken: false).head.contains("Set-Cookie: userdriver-web-"))
            #expect(try await site.ask("/?code=\(code)", withToken: false).status == 401, "it works once")
            #expect(try await site.ask("/api/code", method: "POST", withToken: false).status == 401)
            #expect(try await site.ask("/api/status", host: "attacker.example").status == 421)
            #expect(
                try await site.ask("/api/restart?\(device)", method: "POST", headers: ["Origin: http://attacker.example"]).status == 403)
            #expect(try await site.ask("/snapshot.jpg?\(device)", headers: ["Sec-Fetch-Site: cross-site"]).status == 403)
            #expect(try await site.ask("/api/kill?\(device)", method: "POST").status == 404, "only with --demo")
            for path in ["/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/page.js/", "/\u{202e}"] {
                #expect([400, 404].contains(try await site.ask(path).status), "\(path)")
            }
            #expect(try await site.ask("/snapshot.jpg?device=dead:beef").status == 404)
            #expect(try await site.ask("/snapshot.jpg").status == 400)
            #expect(try await site.ask("/snapshot.jpg?\(device)&size=99999999999999999999x1").status == 400)
            #expect(try await site.ask("/stream.mjpg?\(device)&fps=nan").status == 400)
            #expect(try await site.ask("/api/controls?\(device)&name=brightness&value=1e9", method: "POST").status == 400)
            #expect(try await site.ask("/api/controls?\(device)&name=brightness&value=99999", method: "POST").status == 400)
            let file = try FileManager.default.attributesOfItem(atPath: bench.runtime + "/web-token")
            #expect((file[.posixPermissions] as? Int).map { $0 & 0o007 } == 0, "strangers can't read the token")
            _ = try await site.server.stop()
            try await bench.stop()
        }

        @Test func `garbage, huge heads and browsers that do not read hold up nobody`() async throws {
            let bench = try await Bench.start()
            let site = try await WebSite(bench)
            let request =
                "GET /stream.mjpg?device=1209:0001&size=640x480 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(site.token)\r\n"
            // Sixty that ask for the stream and never read it, a dozen that never finish their request.
            let idle = try (0..<60).map { _ in try site.connect() }
            for socket in idle { try socket.send(Data((request + "\r\n").utf8)) }
            let unfinished = try (0..<12).map { _ in try site.connect() }
            for socket in unfinished { try socket.send(Data(request.utf8)) }
            // It takes that for a request's first line, and waits for the rest like for any other.
            try unfinished[0].send(Data([0, 1, 2, 3, 0xff, 13, 10, 13, 10]))
            for garbage in [Data("GET\r\n\r\n".utf8), Data(repeating: 65, count: 40_000), Data(repeating: 65, count: 60_000)] {
                let socket = try site.connect()
                try socket.send(garbage)
                shutdown(socket.descriptor, Int32(SHUT_WR))
                // An answer of refusal, or none: the connection ends.
                _ = try await offPool { socket.readToEnd() }
            }
            let huge = try await site.ask("/healthz", headers: ["X-Filler: " + String(repeating: "x", count: 100_000)])
            #expect(huge.status == 431 || huge.status == 413 || huge.status == 0, "\(huge.head)")
            let reader = try site.connect()
            try reader.send(Data((request + "\r\n").utf8))
            #expect(try await offPool { reader.pictures(20) } >= 20)
            // Four may still come, a fifth not.
            let others = try (0..<8).map { _ in try site.connect() }
            for socket in others { try socket.send(Data((request + "\r\n").utf8)) }
            let answers = try await offPool { others.map { String(decoding: $0.read().prefix(12), as: UTF8.self) } }
            #expect(answers.contains("HTTP/1.1 503"), "64 watch at most: \(answers)")
            #expect(try await site.ask("/healthz").status == 200)
            let memory = try String(contentsOfFile: "/proc/\(site.server.pid)/status", encoding: .utf8)
            let resident = memory.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }?.split(whereSeparator: { !$0.isNumber }).first
            #expect(try #require(resident.flatMap { Int($0) }) < 128 << 10, "kibibytes")
            _ = try await site.server.stop()
            try await bench.stop()
        }

        @Test func `without a daemon it says so, and shows the camera once there is one`() async throws {
            let bench = try await Bench.start()
            let site = try await WebSite(bench)
            try await bench.stopDaemon()
            let health = try await site.ask("/healthz")
            #expect(health.status == 503)
            #expect(health.text.contains("userdriver"), "it says what to do: \(health.text)")
            try await bench.restartDaemon()
            try await bench.waitForDevice { $0.state == .running }
            #expect(try await site.ask("/snapshot.jpg?device=1209:0001").status == 200)
            _ = try await site.server.stop()
            try await bench.stop()
        }
    }
}
