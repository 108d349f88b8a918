// The head of an HTTP response, and what its body's end is told by.

/// Status line and header fields.
public struct HTTPHead: Hashable, Sendable {
    /// 100…999.
    public var status: Int
    /// Names in lower case, in their order.
    public var headers: [Field]

    public struct Field: Hashable, Sendable {
        public var name: String
        public var value: String
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    public init(status: Int, headers: [Field] = []) {
        self.status = status
        self.headers = headers
    }

    /// The first field of this name, in lower case.
    public subscript(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// `image/jpeg` of `Image/JPEG; charset=x`.
    public var mediaType: String? {
        self["content-type"].map { value in
            let type = value.utf8.prefix { $0 != UInt8(ascii: ";") && $0 > 0x20 }
            return String(decoding: type, as: UTF8.self).lowercased()
        }
    }

    /// Of a body that is not chunked. Throws for what is no number, and for two that differ.
    func contentLength() throws(HTTPSyntaxError) -> UInt64? {
        var length: UInt64?
        for field in headers where field.name == "content-length" {
            for part in field.value.utf8.split(separator: UInt8(ascii: ",")) {
                let digits = part.filter { $0 > 0x20 }
                guard !digits.isEmpty, digits.allSatisfy({ 0x30...0x39 ~= $0 }),
                    let value = UInt64(String(decoding: digits, as: UTF8.self)),
                    value <= HTTPResponseParser.longestBody, length ?? value == value
                else { throw HTTPSyntaxError.contentLength }
                length = value
            }
        }
        return length
    }

    var isChunked: Bool {
        headers.contains { field in
            field.name == "transfer-encoding"
                && field.value.lowercased().utf8.split(separator: UInt8(ascii: ",")).last
                    .map { $0.filter { $0 > 0x20 }.elementsEqual("chunked".utf8) } == true
        }
    }
}

/// Why bytes are not an HTTP response.
public enum HTTPSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// So many bytes came that are no beginning of a response.
    case noResponse
    case headTooLarge
    case header
    case contentLength
    case chunk
    /// The state that was kept is none of this parser's.
    case checkpoint

    public var description: String {
        switch self {
        case .noResponse: "The device's answer is not an HTTP response."
        case .headTooLarge: "The device's HTTP response has a header of more than \(HTTPResponseParser.longestHead) bytes."
        case .header: "The device's HTTP response has a malformed header line."
        case .contentLength: "The device's HTTP response has a Content-Length that is not a length."
        case .chunk: "The device's HTTP response has malformed chunks."
        case .checkpoint: "The saved state of an HTTP response is not sound."
        }
    }
}
