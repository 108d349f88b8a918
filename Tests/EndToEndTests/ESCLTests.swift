// Scanners for other people's programs: SANE's backend airscan scans through `userdriver-escl`.

import CLinux
import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite(.enabled(if: access(Programs.folder + "/userdriver-escl", X_OK) == 0, "userdriver-escl is not built: run make build"))
    struct ESCLTests {
        private struct Place {
            let bench: Bench
            let server: Running
            /// As `airscan.conf` wants it.
            let url: String
            var folder: String { bench.runtime }
            var port: UInt16 { UInt16(URLComponents(string: url)?.port ?? 0) }

            init(_ options: String...) async throws {
                bench = try await Bench.start(emulating: "scanner", options)
                let port = Int.random(in: 20_000...50_000)
                server = try Programs.start(
                    "userdriver-escl",
                    ["--runtime-dir", bench.runtime, "--port", "\(port)", "--state-file", bench.runtime + "/escl", "--no-dns-sd"])
                let said = try await server.waitForOutput { $0.contains("\n") }
                url = try #require(said.split(separator: " ").first.map(String.init))
            }

            func scanimage(_ arguments: String...) throws -> Running {
                let settings = folder + "/sane"
                try FileManager.default.createDirectory(atPath: settings, withIntermediateDirectories: true)
                try "[devices]\nScanner = \(url), eSCL\n[options]\ndiscovery = disable\n"
                    .write(toFile: settings + "/airscan.conf", atomically: true, encoding: .utf8)
                try "airscan\n".write(toFile: settings + "/dll.conf", atomically: true, encoding: .utf8)
                return try Running(
                    path: "/usr/bin/scanimage", name: "scanimage",
                    arguments: ["-d", "airscan:e0:Scanner", "--format=jpeg", "--resolution", "100"] + arguments,
                    environment: ["SANE_CONFIG_DIR": settings, "HOME": folder])
            }

            func stop() async throws {
                _ = try await server.stop()
                try await bench.stop()
            }

            /// The status of the answer to these bytes; 0 where there is none.
            func answer(to request: String) async throws -> Int {
                try await text(to: request).split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            }

            /// The beginning of the answer to these bytes.
            func text(to request: String) async throws -> String {
                let port = port
                return try await offPool {
                    let descriptor = clinux_tcp_connect("127.0.0.1", port, 5000)
                    try #require(descriptor >= 0)
                    defer { close(descriptor) }
                    clinux_set_nonblocking(descriptor, 0)
                    var limit = timeval(tv_sec: 30, tv_usec: 0)
                    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
                    _ = Array(request.utf8).withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                    var bytes = [UInt8](repeating: 0, count: 4096)
                    let count = recv(descriptor, &bytes, bytes.count, 0)
                    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
                }
            }
        }

        private static func request(_ line: String, _ body: String = "") -> String {
            "\(line) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        }

        private static let scanimageIsThere = ["/usr/bin/scanimage", "/etc/sane.d/airscan.conf"]
            .allSatisfy { (path: String) in access(path, R_OK) == 0 }

        @Test(.enabled(if: scanimageIsThere, "sane-airscan and sane-utils are not installed"))
        func `SANE scans every sheet once while the driver is killed`() async throws {
            let place = try await Place("--sheets", "4", "--bytes-per-second", "150000")
            let client = place.bench.client
            #expect(try await place.bench.userdriver("status", "--json").text.contains(place.url), "status has the address")
            let running = try place.scanimage("--source", "ADF", "--batch=" + place.folder + "/p%d.jpg")
            // In the middle of a page, three times.
            var deaths = 0
            while deaths < 3 {
                let before = try await client.objects().reduce(0) { $0 + $1.length }
                while try await client.objects().reduce(0, { $0 + $1.length }) == before { try await Task.sleep(for: .milliseconds(5)) }
                guard let pid = try await client.devices().first?.pid, pid > 0 else { continue }
                kill(pid, SIGKILL)
                deaths += 1
            }
            // scanimage ends a batch with 7, SANE_STATUS_NO_DOCS.
            let result = try await running.finish()
            #expect(result.errors.contains("Batch terminated, 4 pages scanned"), "\(result.errors)")
            let pages = (1...5).map { FileManager.default.contents(atPath: place.folder + "/p\($0).jpg") }
            #expect(pages[4] == nil)
            #expect(Set(pages.prefix(4)).count == 4 && pages.prefix(4).allSatisfy { ($0?.count ?? 0) > 10_000 }, "four sheets, none twice")
            #expect(try await client.devices().first?.restarts ?? 0 >= 3)
            #expect(try await client.objects().isEmpty, "what was fetched is not kept")
            // The flatbed, when all that is over.
            let flat = try await place.scanimage("--source", "Flatbed", "-o", place.folder + "/flat.jpg").finish()
            #expect(flat.status == .exited(status: 0), "\(flat.errors)")
            #expect(FileManager.default.contents(atPath: place.folder + "/flat.jpg")?.starts(with: [0xff, 0xd8]) == true)
            try await place.stop()
        }

        @Test func `what no scanner's program sends is answered here, and the next one is served`() async throws {
            let place = try await Place("--sheets", "1")
            func request(_ line: String, _ body: String = "") -> String { Self.request(line, body) }
            #expect(try await place.answer(to: request("GET /eSCL/ScannerStatus")) == 200)
            #expect(try await place.answer(to: request("GET /eSCL/../../etc/passwd")) == 404)
            #expect(try await place.answer(to: request("GET /eSCL/ScanJobs/0123456789abcdef0123456789abcdef/NextDocument")) == 404)
            #expect(try await place.answer(to: request("DELETE /eSCL/ScanJobs/nobody's")) == 404)
            #expect(try await place.answer(to: request("POST /eSCL/ScanJobs", "<ScanSettings>")) == 400)
            #expect(try await place.answer(to: request("POST /eSCL/ScanJobs", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>")) == 400)
            let deep = String(repeating: "<a>", count: 200_000)
            #expect((400...499).contains(try await place.answer(to: request("POST /eSCL/ScanJobs", deep))))
            #expect((0...499).contains(try await place.answer(to: "\u{0}\u{1}\r\n\r\n")))
            #expect((0...499).contains(try await place.answer(to: "GET /" + String(repeating: "x", count: 500_000) + " HTTP/1.1\r\n\r\n")))
            #expect(try await place.answer(to: request("GET /eSCL/ScannerCapabilities")) == 200)
            #expect(try await place.bench.client.devices().first?.restarts == 0, "the device heard nothing of it")
            try await place.stop()
        }

        @Test func `a program that goes away while it waits for a page leaves the scanner to the next one`() async throws {
            // A page takes minutes.
            let place = try await Place("--sheets", "2", "--bytes-per-second", "1000")
            let settings =
                "<?xml version=\"1.0\"?><s:ScanSettings xmlns:s=\"a\" xmlns:p=\"b\"><p:InputSource>Feeder</p:InputSource></s:ScanSettings>"
            let begun = try await place.text(to: Self.request("POST /eSCL/ScanJobs", settings))
            #expect(begun.hasPrefix("HTTP/1.1 201"), "\(begun)")
            let job = try #require(begun.firstMatch(of: /Location: (?:http:\/\/[^\/]*)?(\S+)/)?.1)
            do {
                let descriptor = clinux_tcp_connect("127.0.0.1", place.port, 5000)
                try #require(descriptor >= 0)
                defer { close(descriptor) }
                let question = Array(Self.request("GET \(job)/NextDocument").utf8)
                #expect(send(descriptor, question, question.count, Int32(MSG_NOSIGNAL)) == question.count)
                let deadline = ContinuousClock.now + .seconds(30)
                while try await place.bench.client.objects().isEmpty, ContinuousClock.now < deadline {
                    try await Task.sleep(for: .milliseconds(20))
                }
                #expect(try await place.bench.client.objects().count == 1)
            }
            // Its job is ended for the next one, which the scanner may take its time for.
            var answer = ""
            let deadline = ContinuousClock.now + .seconds(60)
            while !answer.contains("201"), !answer.contains("is ending another job"), ContinuousClock.now < deadline {
                answer = try await place.text(to: Self.request("POST /eSCL/ScanJobs", settings))
                try await Task.sleep(for: .milliseconds(500))
            }
            #expect(answer.contains("201") || answer.contains("is ending another job"), "\(answer)")
            try await place.stop()
        }
    }
}
