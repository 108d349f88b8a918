// The page from another machine: nginx with TLS before it, with the lines that Docs/Web.md gives.

import Foundation
import Glibc
import Spawn
import Testing
import UserDriverClient

private let proxyTools = ["/usr/sbin/nginx", "/usr/bin/openssl", "/usr/bin/curl"]

extension EndToEndAsides {
    @Suite(
        .enabled(if: access(Programs.folder + "/userdriver-web", X_OK) == 0, "userdriver-web is not built: run make build"),
        .enabled(if: proxyTools.allSatisfy { access($0, X_OK) == 0 }, "nginx, openssl or curl is not installed"))
    struct WebProxy {
        private static let name = "cameras.example.org"

        /// The block of the document, as it stands there.
        private static func location() throws -> String {
            let top = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
            let text = try String(contentsOfFile: top + "/Docs/Web.md", encoding: .utf8)
            let start = try #require(text.range(of: "```nginx\n"))
            let end = try #require(text.range(of: "```", range: start.upperBound..<text.endIndex))
            return String(text[start.upperBound..<end.lowerBound])
        }

        private struct Proxy {
            let port: Int
            let nginx: Running
            let folder: String

            init(before site: WebSite, in folder: String) async throws {
                self.folder = folder
                let key = try Running(
                    path: "/usr/bin/openssl", name: "openssl",
                    arguments: [
                        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=\(WebProxy.name)", "-addext", "subjectAltName=DNS:\(WebProxy.name)", "-keyout", folder + "/key.pem", "-out",
                        folder + "/certificate.pem",
                    ], environment: [:])
                let made = try await key.finish()
                try #require(made.status == .exited(status: 0), "\(made.errors)")
                port = Int.random(in: 20_000...50_000)
                let location = try WebProxy.location()
                try #require(location.contains("127.0.0.1:8720;"), "the document's port")
                let text = """
                    daemon off; worker_processes 1; pid \(folder)/nginx.pid; error_log stderr;
                    events {}
                    http {
                        access_log off;
                        client_body_temp_path \(folder)/body; proxy_temp_path \(folder)/proxy; fastcgi_temp_path \(folder)/f;
                        uwsgi_temp_path \(folder)/u; scgi_temp_path \(folder)/s;
                        server {
                            listen 127.0.0.1:\(port) ssl;
                            server_name \(WebProxy.name);
                            ssl_certificate \(folder)/certificate.pem;
                            ssl_certificate_key \(folder)/key.pem;
                            \(location.replacingOccurrences(of: "127.0.0.1:8720;", with: "127.0.0.1:\(site.port);"))
                        }
                    }
                    """
                try text.write(toFile: folder + "/nginx.conf", atomically: true, encoding: .utf8)
                nginx = try Running(
                    path: "/usr/sbin/nginx", name: "nginx", arguments: ["-p", folder, "-c", folder + "/nginx.conf"], environment: [:])
            }

            /// What curl brings, by the name that the certificate is for.
            func curl(_ path: String, _ options: String...) async throws -> Programs.Result {
                let tool = try Running(
                    path: "/usr/bin/curl", name: "curl",
                    arguments: [
                        "--silent", "--show-error", "--cacert", folder + "/certificate.pem", "--resolve",
                        "\(WebProxy.name):\(port):127.0.0.1", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "--max-time",
                        "60", "https://\(WebProxy.name):\(port)\(path)",
                    ] + options, environment: ["HOME": folder])
                return try await tool.finish()
            }
        }

        @Test func `nginx with TLS before the page serves it, and its live picture`() async throws {
            let bench = try await Bench.start()
            let site = try await WebSite(bench, ["--host", Self.name])
            let proxy = try await Proxy(before: site, in: bench.runtime)
            let status = "%{stderr}%{http_code}"
            #expect(try await proxy.curl("/healthz", "-w", status).errors.hasSuffix("200"))
            #expect(try await proxy.curl("/api/status", "-w", status).errors.hasSuffix("401"), "the token is asked for, there too")
            let jar = bench.runtime + "/cookies"
            let link = try await proxy.curl("/?token=\(site.token)", "-c", jar, "-L", "-b", jar, "-w", status)
            #expect(link.errors.hasSuffix("200") && link.text.contains("<title>UserDriver</title>"), "\(link.errors)")
            // As the page's own scripts do it.
            let origin = "Origin: https://\(Self.name):\(proxy.port)"
            let set = try await proxy.curl(
                "/api/controls?device=1209:0001&name=brightness&value=12", "-X", "POST", "-b", jar, "-H", origin, "-w", status)
            #expect(set.errors.hasSuffix("200"), "\(set.errors) \(set.text)")
            #expect(try await bench.client.camera().control("brightness").value == 12)
            let foreign = try await proxy.curl(
                "/api/controls?device=1209:0001&name=brightness&value=13", "-X", "POST", "-b", jar, "-H", "Origin: https://example.com",
                "-w", status)
            #expect(foreign.errors.hasSuffix("403"))
            // Pictures come through as they are made, not once a buffer is full: five seconds of them.
            let live = try await proxy.curl("/stream.mjpg?device=1209:0001&size=320x240", "-b", jar, "--max-time", "5", "--retry", "0")
            let pictures = live.output.split(separator: Data("Content-Type: image/jpeg".utf8)).count - 1
            #expect(pictures >= 10, "\(pictures) pictures")
            _ = try await proxy.nginx.stop()
            _ = try await site.server.stop()
            try await bench.stop()
        }
    }
}

extension Data {
    /// Pieces between occurrences of some bytes.
    fileprivate func split(separator: Data) -> [Data] {
        var (pieces, rest) = ([Data](), self[...])
        while let found = rest.range(of: separator) {
            pieces.append(rest[..<found.lowerBound])
            rest = rest[found.upperBound...]
        }
        return pieces + [rest]
    }
}
