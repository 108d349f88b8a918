// Printing through `userdriver-escl`: requests of IPP go to the device as they are, each byte once.

import CLinux
import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite(.enabled(if: access(Programs.folder + "/userdriver-escl", X_OK) == 0, "userdriver-escl is not built: run make build"))
    struct Printing {
        private struct Place {
            let bench: Bench
            let server: Running
            let port: UInt16

            init(_ options: String...) async throws {
                bench = try await Bench.start(emulating: "scanner", options)
                let port = Int.random(in: 20_000...50_000)
                server = try Programs.start(
                    "userdriver-escl",
                    [
                        "--runtime-dir", bench.runtime, "--port", "\(port)", "--state-file", bench.runtime + "/escl", "--no-dns-sd",
                        "--socket-dir", bench.runtime,
                    ])
                let said = try await server.waitForOutput { $0.contains("ipp://") && $0.hasSuffix("\n") }
                let line = try #require(said.split(separator: "\n").first { $0.hasPrefix("ipp://") })
                self.port = UInt16(try #require(URLComponents(string: String(line.prefix { $0 != " " }))?.port))
            }

            var url: String { "ipp://127.0.0.1:\(port)/ipp/print" }

            func stop() async throws {
                _ = try await server.stop()
                try await bench.stop()
            }

            /// Kills the driver, and returns once the next one runs.
            func killDriver() async throws {
                let old = try await bench.waitForDevice { $0.state == .running && $0.pid > 0 }
                kill(old.pid, SIGKILL)
                try await bench.waitForDevice { $0.state == .running && $0.restarts > old.restarts }
            }

            func connect() throws -> Connection { try Connection(port) }
        }

        /// A program that prints. Blocking, so each step is taken off the pool.
        private final class Connection: Sendable {
            private let descriptor: Int32
            private let port: UInt16

            convenience init(_ port: UInt16) throws { try self.init(clinux_tcp_connect("127.0.0.1", port, 5000), port) }
            convenience init(socket: String) throws { try self.init(clinux_unix_stream(socket, 0), 0) }

            private init(_ descriptor: Int32, _ port: UInt16) throws {
                try #require(descriptor >= 0, "connecting failed: \(descriptor)")
                (self.descriptor, self.port) = (descriptor, port)
                clinux_set_nonblocking(descriptor, 0)
                var limit = timeval(tv_sec: 90, tv_usec: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
                setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            }

            deinit { close(descriptor) }

            func send(_ bytes: Data) async throws {
                try await offPool { [descriptor] in
                    var rest = bytes
                    while !rest.isEmpty {
                        let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                        try #require(count > 0, "the connection was cut")
                        rest = rest.dropFirst(count)
                    }
                }
            }

            func sendHead(_ line: String = "POST /ipp/print", _ fields: [String] = ["Content-Type: application/ipp"]) async throws {
                let lines = ["\(line) HTTP/1.1", "Host: 127.0.0.1:\(port)", "Connection: close"] + fields + ["", ""]
                try await send(Data(lines.joined(separator: "\r\n").utf8))
            }

            func sendChunk(_ bytes: Data) async throws {
                try await send(Data((String(bytes.count, radix: 16) + "\r\n").utf8) + bytes + Data("\r\n".utf8))
            }

            /// All that comes until the end.
            func receive() async throws -> String {
                try await offPool { [descriptor] in
                    var (all, buffer) = (Data(), [UInt8](repeating: 0, count: 16 << 10))
                    while true {
                        let count = recv(descriptor, &buffer, buffer.count, 0)
                        guard count > 0 else { return String(decoding: all, as: UTF8.self) }
                        all += buffer[..<count]
                    }
                }
            }
        }

        /// The beginning of a request, before a document (RFC 8010 §3.1).
        private static func request(_ operation: UInt8) -> Data {
            var bytes = Data([2, 0, 0, operation, 0, 0, 0, 1, 1])
            for (tag, name, value) in [
                (0x47, "attributes-charset", "utf-8"), (0x48, "attributes-natural-language", "en"),
                (0x45, "printer-uri", "ipp://localhost/ipp/print"),
            ] as [(UInt8, String, String)] {
                bytes += [tag, 0, UInt8(name.utf8.count)] + Array(name.utf8) + [0, UInt8(value.utf8.count)] + Array(value.utf8)
            }
            return bytes + [3]
        }

        private static func printed(_ answer: String) -> String? {
            answer.firstRange(of: "SHA-256 ").map { String(answer[$0.upperBound...].prefix(64)) }
        }

        private static func digest(_ data: Data) async throws -> String {
            let file = FileManager.default.temporaryDirectory.path + "/printed-\(getpid())-\(UInt32.random(in: 0 ... .max))"
            try data.write(to: URL(fileURLWithPath: file))
            defer { try? FileManager.default.removeItem(atPath: file) }
            let sum = try Running(path: "/usr/bin/sha256sum", name: "sha256sum", arguments: [file], environment: [:])
            return String(try await sum.finish().text.prefix(64))
        }

        private static let ipptoolIsThere = access("/usr/bin/ipptool", X_OK) == 0

        @Test(.enabled(if: ipptoolIsThere, "cups-ipp-utils is not installed"))
        func `CUPS's own tester asks the printer and prints`() async throws {
            let place = try await Place()
            #expect(try await place.bench.userdriver("status", "--json").text.contains(place.url), "status has the address")
            let document = place.bench.runtime + "/page.jpg"
            try Data((0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }).write(to: URL(fileURLWithPath: document))
            for arguments in [["get-printer-attributes.test"], ["-f", document, "print-job.test"]] {
                let tool = try Running(
                    path: "/usr/bin/ipptool", name: "ipptool", arguments: ["-tv", place.url] + arguments,
                    environment: ["HOME": place.bench.runtime, "PATH": "/usr/bin:/bin"])
                let result = try await tool.finish()
                #expect(result.status == .exited(status: 0) && result.text.contains("[PASS]"), "\(arguments): \(result.text)")
            }
            try await place.stop()
        }

        /// With one, two and three channels, all at once: most of it is waiting. The one with two takes what it prints slowly, so that a driver dies
        /// with transfers in flight.
        @Test func `each byte is printed once while the driver is killed, and a scan goes on beside`() async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for pairs in 1...3 { group.addTask { try await Self.printsUnderKills(pairs: pairs) } }
                try await group.waitForAll()
            }
        }

        private static func printsUnderKills(pairs: Int) async throws {
            let place = try await Place(
                "--pairs", "\(pairs)", "--sheets", "3", "--bytes-per-second", "200000", "--print-bytes-per-second",
                pairs == 2 ? "400000" : "0")
            let scan = try place.bench.startUserdriver("scan", "--source", "adf", "-o", place.bench.runtime + "/p%d.jpg")
            let connection = try place.connect()
            try await connection.sendHead("POST /ipp/print", ["Content-Type: application/ipp", "Transfer-Encoding: chunked"])
            let request = Self.request(2)
            try await connection.sendChunk(request)
            var all = request
            for round in 0..<5 {
                for _ in 0..<8 {
                    let piece = Data((0..<100_000).map { _ in UInt8.random(in: 0...255) })
                    try await connection.sendChunk(piece)
                    all += piece
                }
                if round < 4 { try await place.killDriver() }
            }
            try await connection.send(Data("0\r\n\r\n".utf8))
            let answer = try await connection.receive()
            #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer.prefix(300))")
            #expect(Self.printed(answer) == (try await Self.digest(all)))
            let scanned = try await scan.finish()
            #expect(scanned.status == .exited(status: 0), "\(scanned.errors)")
            #expect((1...3).allSatisfy { access(place.bench.runtime + "/p\($0).jpg", R_OK) == 0 })
            try await place.stop()
        }

        @Test func `a program that goes away in the middle leaves the printer to the next one`() async throws {
            let place = try await Place()
            do {
                let gone = try place.connect()
                try await gone.sendHead("POST /ipp/print", ["Content-Type: application/ipp", "Transfer-Encoding: chunked"])
                try await gone.sendChunk(Self.request(2) + Data(repeating: 7, count: 600_000))
            }
            for count in [0, 100, 500_000] {
                let body = Self.request(2) + Data((0..<count).map { _ in UInt8.random(in: 0...255) })
                let next = try place.connect()
                try await next.sendHead("POST /ipp/print", ["Content-Type: application/ipp", "Content-Length: \(body.count)"])
                try await next.send(body)
                let answer = try await next.receive()
                #expect(Self.printed(answer) == (try await Self.digest(body)), "\(answer.prefix(300))")
            }
            try await place.stop()
        }

        @Test func `scanner and printer are there over a UNIX socket, too`() async throws {
            let place = try await Place()
            let device = try await place.bench.waitForDevice { ($0.endpoints ?? []).count == 3 }
            #expect(Set((device.endpoints ?? []).map(\.kind)) == ["escl", "ipp", "socket"])
            let path = place.bench.runtime + "/\(place.port).sock"
            #expect(device.endpoints?.contains { $0.url == "unix:" + path } == true)
            let scanner = try Connection(socket: path)
            try await scanner.sendHead("GET /eSCL/ScannerCapabilities", [])
            #expect(try await scanner.receive().contains("ScannerCapabilities>"))
            let printer = try Connection(socket: path)
            let body = Self.request(11)
            try await printer.sendHead("POST /ipp/print", ["Content-Type: application/ipp", "Content-Length: \(body.count)"])
            try await printer.send(body)
            #expect(try await printer.receive().contains("printer-make-and-model"))
            try await place.stop()
        }

        @Test func `what is no request of a printer's does not reach it`() async throws {
            let place = try await Place()
            let cases: [(line: String, fields: [String], body: Data, status: String)] = [
                ("GET /ipp/print", [], Data(), "404"),
                ("POST /ipp/print", ["Content-Type: text/plain"], Data("x".utf8), "415"),
                ("POST /ipp/print", ["Content-Type: application/ipp", "Origin: http://example.org"], Self.request(11), "403"),
                ("POST /ipp/print", ["Content-Type: application/ipp", "Host: example.org"], Self.request(11), "421"),
                ("POST /ipp/../DevMgmt/ProductConfigDyn.xml", ["Content-Type: application/ipp"], Self.request(11), "404"),
                ("POST /ipp/%2e%2e/DevMgmt", ["Content-Type: application/ipp"], Self.request(11), "404"),
                ("POST /ipp/%252e%252e/DevMgmt", ["Content-Type: application/ipp"], Self.request(11), "404"),
                ("POST /ipp/../../etc", ["Content-Type: application/ipp"], Self.request(11), "404"),
                // The device's own word on it.
                ("POST /ipp/print", ["Content-Type: application/ipp"], Data("x".utf8), "400"),
            ]
            for (line, fields, body, status) in cases {
                let connection = try place.connect()
                let isNamed = fields.contains { $0.hasPrefix("Host") }
                let head = [line + " HTTP/1.1"] + (isNamed ? [] : ["Host: 127.0.0.1"]) + fields + ["Connection: close"]
                try await connection.send(
                    Data((head + ["Content-Length: \(body.count)", "", ""]).joined(separator: "\r\n").utf8) + body)
                let answer = try await connection.receive()
                #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(line) \(fields): \(answer.prefix(200))")
                // The endpoint's own word: the device would say the same status.
                if status == "404" { #expect(answer.contains("There is nothing at this path."), "\(line): \(answer.suffix(200))") }
            }
            try await place.stop()
        }
    }
}
