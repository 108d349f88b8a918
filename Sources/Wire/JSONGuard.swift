// What stands between hostile bytes and the JSON decoder: a limit on nesting, checked without recursion.

extension JSON {
    /// Levels of arrays and objects that a message from another process may have. Ours have fewer than ten.
    public static let maximumDepth = 64

    /// Whether arrays and objects nest deeper than `limit`. Linear in time, constant in memory, for any bytes.
    public static func nests(deeperThan limit: Int, _ bytes: some Sequence<UInt8>) -> Bool {
        var depth = 0
        var inString = false
        var escaped = false
        for byte in bytes {
            if inString {
                if escaped {
                    escaped = false
                } else if byte == UInt8(ascii: "\\") {
                    escaped = true
                } else if byte == UInt8(ascii: "\"") {
                    inString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): inString = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                if depth > limit { return true }
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth = max(0, depth - 1)
            default: break
            }
        }
        return false
    }

    /// Decodes what another process sent.
    static func decodeUntrusted<T: Decodable>(_ type: T.Type, from bytes: some Collection<UInt8>) throws(WireError) -> T {
        let operation = "decoding \(type)"
        guard !nests(deeperThan: maximumDepth, bytes) else {
            throw WireError(.malformed, operation: operation, detail: "nested deeper than \(maximumDepth) levels")
        }
        do {
            return try decode(type, from: bytes)
        } catch {
            throw WireError(.malformed, operation: operation, detail: String("\(error)".prefix(300)))
        }
    }

    static func encodeMessage(_ message: some Encodable) throws(WireError) -> [UInt8] {
        do {
            return try encode(message)
        } catch {
            throw WireError(.malformed, operation: "encoding \(type(of: message))", detail: "\(error)")
        }
    }
}
