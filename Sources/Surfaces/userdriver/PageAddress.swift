// Where a page is, and links to a device on it.

import CLinux
import FileDescriptors
import Glibc

struct PageAddress {
    /// With the token: whoever has it gets in.
    let link: String
    private let host: String
    private let port: UInt16
    private let token: String
    private let device: String

    /// `nil` for what is no link that `userdriver-web` prints: `http://HOST:PORT/?token=TOKEN`.
    init?(_ text: String, device: String) {
        guard let match = text.wholeMatch(of: /http:\/\/(\[[0-9a-f:.]+\]|[0-9.]+):([0-9]+)\/\?token=([0-9a-f]+)/),
            let port = UInt16(match.output.2)
        else {
            return nil
        }
        (host, self.port, token) = (String(match.output.1), port, String(match.output.3))
        self.device = Self.escaped(device)
        link = "\(text)#\(self.device)"
    }

    /// A link that works once. A browser's command line is there for every user of this machine to
    /// read.
    func once() throws(CommandFailure) -> String { "http://\(host):\(port)/?code=\(try code())#\(device)" }

    private func code() throws(CommandFailure) -> String {
        let unbracketed = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        let connected = clinux_tcp_connect(unbracketed, port, 2000)
        guard let connection = OwnedDescriptor(opened: connected) else {
            throw CommandFailure("The page can't be reached: \(String(cString: strerror(-connected))).")
        }
        let socket = connection.number
        clinux_set_nonblocking(socket, 0)
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let head = [
            "POST /api/code HTTP/1.1", "Host: \(host):\(port)", "Authorization: Bearer \(token)", "Content-Length: 0", "Connection: close",
            "", "",
        ]
        let question = Array(head.joined(separator: "\r\n").utf8)
        guard question.withUnsafeBytes({ Terminal.writeAll($0, to: socket) }) == 0 else {
            throw CommandFailure("The page's server does not answer.")
        }
        let answer = String(decoding: Self.read(socket), as: UTF8.self)
        guard answer.hasPrefix("HTTP/1.1 200 "),
            let code = answer.split(separator: "\r\n\r\n").dropFirst().first?.prefix(while: \.isHexDigit),
            !code.isEmpty
        else { throw CommandFailure("The page's server gives out no one-time link.") }
        return String(code)
    }

    /// To its end, or as much as an answer may be.
    private static func read(_ socket: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count < 16 << 10 {
            let count = Glibc.read(socket, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return bytes
    }

    /// As it may stand behind a link's #.
    private static func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            let character = Character(UnicodeScalar(byte))
            if byte < 0x80, character.isLetter || character.isNumber || "-._~:@".contains(character) { return String(character) }
            let digits = String(byte, radix: 16, uppercase: true)
            return "%" + (digits.count < 2 ? "0" : "") + digits
        }.joined()
    }
}
