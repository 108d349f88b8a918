// JSON texts as bytes, into Codable types and out of them, in one pass each way.

/// JSON texts. Parser, writer and the way between trees and Codable types are our own: Foundation's decoder can say of a `JSONValue` only by trial what it
/// is, which takes seconds for 47 KB of small objects; and its encoder takes a hundred times as long as this one for what is nested deep.
public enum JSON {
    /// Throws `EncodingError` for what JSON has no form for.
    public static func encode(_ value: some Encodable, pretty: Bool = false) throws -> [UInt8] {
        do {
            return try JSONWriter.text(of: try JSONTreeEncoder.tree(of: value), pretty: pretty)
        } catch let error as JSONWriter.NoNumber {
            throw EncodingError.invalidValue(error.value, EncodingError.Context(codingPath: [], debugDescription: "\(error)"))
        }
    }

    /// Throws `DecodingError`, also for text that is not JSON.
    public static func decode<T: Decodable>(
        _ type: T.Type, from bytes: some Sequence<UInt8>, limits: JSONLimits = JSONLimits()
    ) throws -> T {
        let tree: JSONValue
        do {
            tree = try JSONParser.parse(Array(bytes), limits: limits)
        } catch {
            throw DecodingError.dataCorrupted(DecodingError.Context(codingPath: [], debugDescription: "\(error)"))
        }
        return try tree.decoded(as: type)
    }

    /// Decodes what another process sent.
    static func decodeMessage<T: Decodable>(_ type: T.Type, from bytes: some Sequence<UInt8>, limits: JSONLimits) throws(WireError) -> T {
        do {
            return try decode(type, from: bytes, limits: limits)
        } catch let error as DecodingError {
            throw WireError(.malformed, operation: "decoding \(type)", detail: error.reason)
        } catch {
            throw WireError(.malformed, operation: "decoding \(type)", detail: "\(error)")
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

extension DecodingError {
    /// In a line: where, and what is wrong. A text of the other end's is part of it, so it has an end.
    fileprivate var reason: String {
        let context =
            switch self {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context), .dataCorrupted(let context):
                context
            @unknown default: Context(codingPath: [], debugDescription: "\(self)")
            }
        let path = context.codingPath.map(\.stringValue).joined(separator: ".")
        return String(((path.isEmpty ? "" : path + ": ") + context.debugDescription).unicodeScalars.prefix(300).map(Character.init))
    }
}
