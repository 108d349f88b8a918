// Answers of HTTP/1.1 as bytes (RFC 9112).

/// An answer before it is framed.
struct HTTPAnswer: Sendable {
    var status: Int
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []
    /// Leaves out what would say how long the body is. Violates HTTP on a connection that stays.
    var hidesLength = false

    init(_ status: Int, _ fields: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// A page of text.
    static func text(_ status: Int, _ fields: [(name: String, value: String)] = []) -> HTTPAnswer {
        HTTPAnswer(status, fields + [("Content-Type", "text/plain")], body: Array("\(status) \(reason(status))\n".utf8))
    }

    static func xml(_ text: String, _ fields: [(name: String, value: String)] = []) -> HTTPAnswer {
        HTTPAnswer(200, [("Content-Type", "text/xml")] + fields, body: Array(text.utf8))
    }

    static func reason(_ status: Int) -> String {
        switch status {
        case 100: "Continue"
        case 200: "OK"
        case 201: "Created"
        case 400: "Bad Request"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }

    /// Bytes of a body's chunk, where it comes in chunks.
    static let chunk = 16 << 10

    /// The whole answer as it is sent.
    /// - Parameters:
    ///   - isLastLineMissing: chunks end without the empty line that should follow the last one.
    ///   - withoutBody: the answer to HEAD.
    func framed(_ framing: EmulatedScannerOptions.Framing, isLastLineMissing: Bool = false, withoutBody: Bool = false) -> FramedAnswer {
        var head = "HTTP/1.1 \(status) \(Self.reason(status))\r\nServer: UserDriver\r\n"
        for field in fields { head += "\(field.name): \(field.value)\r\n" }
        let isChunked = framing == .chunked && !body.isEmpty
        if hidesLength {
        } else if isChunked {
            head += "Transfer-Encoding: chunked\r\n"
        } else {
            head += "Content-Length: \(body.count)\r\n"
        }
        var framed = FramedAnswer(bytes: Array((head + "\r\n").utf8))
        framed.bodyStart = framed.bytes.count
        guard !withoutBody else { return framed }
        guard isChunked, !hidesLength else {
            framed.bytes += body
            return framed
        }
        framed.bytes.reserveCapacity(framed.bytes.count + body.count + body.count / 1000 + 32)
        var position = 0
        while position < body.count {
            let count = min(Self.chunk, body.count - position)
            framed.bytes += Array("\(String(count, radix: 16))\r\n".utf8)
            framed.bytes += body[position..<position + count]
            framed.bytes += [0x0d, 0x0a]
            framed.chunkEnds.append(framed.bytes.count)
            position += count
        }
        framed.bytes += Array((isLastLineMissing ? "0\r\n" : FramedAnswer.lastChunk).utf8)
        return framed
    }
}

/// An answer as it goes through a pipe.
struct FramedAnswer: Sendable {
    static let lastChunk = "0\r\n\r\n"

    var bytes: [UInt8]
    /// Where the body begins.
    var bodyStart = 0
    /// Behind each chunk; empty for a body with a length.
    var chunkEnds: [Int] = []

    /// Ends the answer early, behind the first chunk that ends at `offset` or later: in good form, with
    /// half a body. False if its length was promised.
    mutating func cut(behind offset: Int) -> Bool {
        guard let end = chunkEnds.first(where: { $0 >= offset }) else { return false }
        bytes.removeLast(bytes.count - end)
        bytes += Array(Self.lastChunk.utf8)
        return true
    }
}
