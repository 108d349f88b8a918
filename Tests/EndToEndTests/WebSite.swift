// The page's server for tests, and the requests of a browser by hand.

import CLinux
import Foundation
import Glibc
import Spawn
import Testing

/// The page's server beside a bench, and its link.
struct WebSite {
    let server: Running
    let port: UInt16
    let token: String

    init(_ bench: Bench, _ options: [String] = []) async throws {
        let server = try Programs.start("userdriver-web", ["--runtime-dir", bench.runtime, "--port", "0"] + options)
        let said = try await server.waitForOutput { $0.contains("\n") }
        try self.init(server, link: said)
    }

    /// Where somebody else has started it.
    init(_ server: Running, link: String) throws {
        self.server = server
        let link = try #require(URLComponents(string: link.trimmingCharacters(in: .whitespacesAndNewlines)), "\(link)")
        port = UInt16(try #require(link.port))
        token = try #require(link.queryItems?.first { $0.name == "token" }?.value)
    }

    func connect() throws -> WebConnection { try WebConnection(port: port) }

    /// One request, the answer to its end.
    func ask(
        _ path: String, method: String = "GET", headers: [String] = [], body: Data = Data(), withToken: Bool = true, host: String? = nil
    ) async throws -> HTTPAnswer {
        let head =
            ["\(method) \(path) HTTP/1.1", "Host: \(host ?? "127.0.0.1:\(port)")", "Connection: close"] + headers
            + (body.isEmpty ? [] : ["Content-Length: \(body.count)"]) + (withToken ? ["Authorization: Bearer \(token)"] : [])
        let socket = try connect()
        return try await offPool {
            try socket.send(Data((head + ["", ""]).joined(separator: "\r\n").utf8) + body)
            return HTTPAnswer(socket.readToEnd())
        }
    }
}

/// A connection to the server, on a thread that may block.
final class WebConnection: Sendable {
    let descriptor: Int32
    init(port: UInt16) throws {
        descriptor = clinux_tcp_connect("127.0.0.1", port, 5000)
        try #require(descriptor >= 0, "connecting failed: \(descriptor)")
        clinux_set_nonblocking(descriptor, 0)
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    deinit { close(descriptor) }

    func send(_ data: Data) throws {
        let count = data.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        try #require(count == data.count)
    }

    /// What comes next; empty at the end.
    func read() -> Data {
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return Data(bytes.prefix(max(0, count)))
    }

    func readToEnd() -> Data {
        var all = Data()
        while true {
            let more = read()
            if more.isEmpty { return all }
            all += more
        }
    }

    /// Reads until so many JPEGs have begun. Returns how many have.
    func pictures(_ wanted: Int) -> Int {
        var (count, all) = (0, Data())
        while count < wanted {
            let more = read()
            if more.isEmpty { break }
            all += more
            while let head = all.range(of: Data("Content-Type: image/jpeg\r\n".utf8)) {
                count += 1
                all = all[head.upperBound...]
            }
            all = Data(all.suffix(64))
        }
        return count
    }
}

struct HTTPAnswer {
    var status = 0
    var head = ""
    var body = Data()
    init(_ bytes: Data) {
        guard let end = bytes.range(of: Data("\r\n\r\n".utf8)) else { return }
        head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
        body = Data(bytes[end.upperBound...])
        if head.lowercased().contains("transfer-encoding: chunked") { body = Self.joined(body) }
        status = Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0
    }
    var text: String { String(decoding: body, as: UTF8.self) }

    /// Chunks as one; empty where the last one is missing.
    private static func joined(_ chunks: Data) -> Data {
        var (rest, all) = (chunks, Data())
        while let end = rest.range(of: Data("\r\n".utf8)) {
            guard let count = Int(String(decoding: rest[..<end.lowerBound], as: UTF8.self), radix: 16) else { break }
            if count == 0 { return all }
            let chunk = rest[end.upperBound...].prefix(count)
            all += chunk
            rest = rest[chunk.endIndex...].dropFirst(2)
        }
        return Data()
    }
}
