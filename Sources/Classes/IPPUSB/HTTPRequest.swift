// An HTTP/1.1 request as bytes (RFC 9112).

/// What is sent over a channel. There is no connection to be closed: it stays as it is.
public struct HTTPRequest: Hashable, Sendable {
    public enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case delete = "DELETE"
    }

    public var method: Method
    /// Absolute: `"/eSCL/ScannerStatus"`.
    public var path: String
    public var headers: [(name: String, value: String)]
    /// All of the body, or with `isChunked` its beginning.
    public var body: [UInt8]
    /// More of the body follows, in chunks (`chunk`), behind the last of which comes `lastChunk`.
    public var isChunked: Bool

    public static func == (a: HTTPRequest, b: HTTPRequest) -> Bool { a.bytes == b.bytes }
    public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }

    public init(
        _ method: Method, _ path: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [], isChunked: Bool = false
    ) {
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.isChunked = isChunked
    }

    /// A path is hostile where a device made it: anything but what a path may hold would be another
    /// header, or another request.
    public static func isPath(_ path: String) -> Bool {
        path.utf8.count <= 240 && path.utf8.first == UInt8(ascii: "/") && path.utf8.allSatisfy { 0x21...0x7e ~= $0 }
    }

    /// Host is `localhost`: devices want one, and look no further. No `Connection`, which some of
    /// them stumble over (ipp-usb's quirk `http-connection=""`, for all).
    public var bytes: [UInt8] {
        precondition(Self.isPath(path), "a path must have no spaces")
        var text = "\(method.rawValue) \(path) HTTP/1.1\r\nHost: localhost\r\nUser-Agent: userdriver\r\nAccept-Encoding: identity\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if isChunked {
            return Array((text + "Transfer-Encoding: chunked\r\n\r\n").utf8) + Self.chunk(body)
        }
        if !body.isEmpty || method == .post { text += "Content-Length: \(body.count)\r\n" }
        return Array((text + "\r\n").utf8) + body
    }

    /// A piece of a body whose length was not known (RFC 9112 §7.1). None for no bytes, which would end it.
    public static func chunk(_ bytes: [UInt8]) -> [UInt8] {
        bytes.isEmpty ? [] : Array((String(bytes.count, radix: 16) + "\r\n").utf8) + bytes + [0x0d, 0x0a]
    }

    public static let lastChunk = Array("0\r\n\r\n".utf8)
}
