// Pages through `userdriver-escl` when clients stop half-way, and when it is killed itself.

import CLinux
import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient
import Wire

extension EndToEndAsides {
    @Suite(.enabled(if: access(Programs.folder + "/userdriver-escl", X_OK) == 0, "userdriver-escl is not built: run make build"))
    struct ESCLDeaths {
        private struct Answer {
            var status = 0
            var head = ""
            /// Without the chunks' frames. `nil` where the end is missing.
            var body: Data?

            init(_ bytes: Data) {
                guard let end = bytes.range(of: Data("\r\n\r\n".utf8)) else { return }
                head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
                status = Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0
                let rest = Data(bytes[end.upperBound...])
                body = head.lowercased().contains("transfer-encoding: chunked") ? Self.unchunked(rest) : rest
            }

            private static func unchunked(_ bytes: Data) -> Data? {
                var (rest, body) = (bytes, Data())
                while let line = rest.range(of: Data("\r\n".utf8)) {
                    guard let size = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16) else { return nil }
                    if size == 0 { return body }
                    guard rest.distance(from: line.upperBound, to: rest.endIndex) >= size + 2 else { return nil }
                    body += rest[line.upperBound..<(line.upperBound + size)]
                    rest = Data(rest[(line.upperBound + size + 2)...])
                }
                return nil
            }

            func field(_ name: String) -> String? {
                head.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name + ":") }?
                    .drop { $0 != " " }.trimmingCharacters(in: .whitespaces)
            }
        }

        private static func serve(_ bench: Bench, port: Int) throws -> Running {
            try Programs.start("userdriver-escl", ["--runtime-dir", bench.runtime, "--port", "\(port)", "--no-dns-sd"])
        }

        /// The URL's port, once it is served.
        private static func port(_ server: Running) async throws -> UInt16 {
            let said = try await server.waitForOutput { $0.contains("\n") }
            return UInt16(try #require(URLComponents(string: String(said.prefix { $0 != " " }))?.port))
        }

        /// One request; of the answer all, or so many bytes.
        private static func ask(_ port: UInt16, _ line: String, _ body: String = "", take: Int = .max) async throws -> Answer {
            let head = [
                "\(line) HTTP/1.1", "Host: 127.0.0.1:\(port)", "Connection: close", "Content-Length: \(body.utf8.count)", "", "",
            ]
            let text = head.joined(separator: "\r\n") + body
            return try await offPool {
                let descriptor = clinux_tcp_connect("127.0.0.1", port, 5000)
                try #require(descriptor >= 0, "connecting failed: \(descriptor)")
                defer { close(descriptor) }
                clinux_set_nonblocking(descriptor, 0)
                var limit = timeval(tv_sec: 60, tv_usec: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
                _ = Array(text.utf8).withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                var (all, buffer) = (Data(), [UInt8](repeating: 0, count: 16 << 10))
                while all.count < take {
                    let count = recv(descriptor, &buffer, min(buffer.count, take - all.count), 0)
                    guard count > 0 else { break }
                    all += buffer[..<count]
                }
                return Answer(all)
            }
        }

        /// `nil` where nobody listens yet.
        private static func askOnce(_ port: UInt16, _ line: String) async throws -> Answer? {
            let probe = try await offPool { clinux_tcp_connect("127.0.0.1", port, 5000) }
            guard probe >= 0 else {
                try await Task.sleep(for: .milliseconds(1))
                return nil
            }
            close(probe)
            return try await ask(port, line)
        }

        private static let settings = """
            <?xml version="1.0"?><scan:ScanSettings xmlns:scan="s" xmlns:pwg="p"><pwg:InputSource>Feeder</pwg:InputSource>\
            <pwg:DocumentFormat>image/jpeg</pwg:DocumentFormat><scan:XResolution>75</scan:XResolution>\
            <scan:YResolution>75</scan:YResolution></scan:ScanSettings>
            """

        private static func begin(_ port: UInt16) async throws -> String {
            let created = try await ask(port, "POST /eSCL/ScanJobs", settings)
            try #require(created.status == 201, "\(created.head)")
            return try #require(created.field("location").flatMap { URLComponents(string: $0)?.path })
        }

        @Test func `a page that a client did not read to its end comes again, and each comes once`() async throws {
            let bench = try await Bench.start(emulating: "scanner", ["--sheets", "3"])
            let server = try Self.serve(bench, port: Int.random(in: 20_000...30_000))
            let port = try await Self.port(server)
            let job = try await Self.begin(port)
            var pages: [Data] = []
            for _ in 0..<3 {
                // All of it fits into the kernel: that is not yet the client's.
                let part = try await Self.ask(port, "GET \(job)/NextDocument", take: 2000)
                #expect(part.status == 200 && part.body == nil)
                let whole = try await Self.ask(port, "GET \(job)/NextDocument")
                pages.append(try #require(whole.body, "\(whole.status) \(whole.head)"))
            }
            #expect(pages.allSatisfy { $0.starts(with: [0xff, 0xd8]) && $0.suffix(2) == Data([0xff, 0xd9]) })
            #expect(Set(pages).count == 3)
            #expect(try await Self.ask(port, "GET \(job)/NextDocument").status == 404)
            #expect(try await bench.client.objects().isEmpty)
            #expect(try await Self.ask(port, "DELETE \(job)").status == 200)
            _ = try await server.stop()
            try await bench.stop()
        }

        @Test func `a job goes on at the same address when the endpoint was killed over it`() async throws {
            let bench = try await Bench.start(emulating: "scanner", ["--sheets", "3", "--bytes-per-second", "100000"])
            let base = Int.random(in: 20_000...30_000)
            let first = try Self.serve(bench, port: base)
            let port = try await Self.port(first)
            let job = try await Self.begin(port)
            var pages = [try #require(try await Self.ask(port, "GET \(job)/NextDocument").body)]
            // Until it is written down that a page was fetched, a death brings it again.
            while try await !bench.client.objects().isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            // In the middle of the second page.
            async let cut = Self.ask(port, "GET \(job)/NextDocument")
            while try await !bench.client.objects().contains(where: { $0.length > 0 }) { try await Task.sleep(for: .milliseconds(5)) }
            kill(first.pid, SIGKILL)
            #expect(try await cut.body == nil)
            let second = try Self.serve(bench, port: base)
            #expect(try await Self.port(second) == port)
            for _ in 0..<2 { pages.append(try #require(try await Self.ask(port, "GET \(job)/NextDocument").body)) }
            #expect(Set(pages).count == 3, "each sheet once")
            #expect(try await Self.ask(port, "GET \(job)/NextDocument").status == 404)
            #expect(try await bench.client.devices().first?.endpoints?.count(where: { $0.kind == "escl" }) == 1, "one endpoint, not two")
            _ = try await second.stop()
            try await bench.stop()
        }

        @Test func `a page that was scanned when the endpoint died is there for whoever asks first`() async throws {
            let bench = try await Bench.start(emulating: "scanner", ["--sheets", "3"])
            let base = Int.random(in: 20_000...30_000)
            var server = try Self.serve(bench, port: base)
            let port = try await Self.port(server)
            let job = try await Self.begin(port)
            var pages: [Data] = []
            for _ in 0..<3 {
                // The daemon has the page whole, and its client has not.
                #expect(try await Self.ask(port, "GET \(job)/NextDocument", take: 2000).status == 200)
                let witness = Witness(of: server.pid)
                kill(server.pid, SIGKILL)
                try await witness.ended()
                server = try Self.serve(bench, port: base)
                // It is asked before it has said that it serves.
                var page: Answer?
                while page == nil { page = try await Self.askOnce(port, "GET \(job)/NextDocument") }
                pages.append(try #require(page?.body, "\(page?.status ?? 0) \(page?.head ?? "")"))
                // Until it is written down that a page was fetched, a death brings it again.
                for try await _ in bench.client.replies(to: "io.userdriver.WatchObjects") {
                    if try await bench.client.objects().isEmpty { break }
                }
            }
            #expect(Set(pages).count == 3 && pages.allSatisfy { $0.suffix(2) == Data([0xff, 0xd9]) })
            #expect(try await Self.ask(port, "GET \(job)/NextDocument").status == 404)
            _ = try await server.stop()
            try await bench.stop()
        }

        @Test(arguments: [("jam@2", 409), ("cut@2", 500)])
        func `what went wrong with a sheet is a status, and no page`(fault: String, status: Int) async throws {
            let bench = try await Bench.start(emulating: "scanner", ["--sheets", "3", "--fault", fault])
            let server = try Self.serve(bench, port: Int.random(in: 20_000...30_000))
            let port = try await Self.port(server)
            let job = try await Self.begin(port)
            #expect(try await Self.ask(port, "GET \(job)/NextDocument").status == 200)
            let second = try await Self.ask(port, "GET \(job)/NextDocument")
            #expect(second.status == status, "\(second.head)")
            if status == 409 {
                let told = try #require(try await Self.ask(port, "GET /eSCL/ScannerStatus").body)
                #expect(String(decoding: told, as: UTF8.self).contains("ScannerAdfJam"))
            } else {
                #expect(try await Self.ask(port, "GET \(job)/NextDocument").status == 200, "the third sheet is whole")
            }
            _ = try await server.stop()
            try await bench.stop()
        }
    }
}
