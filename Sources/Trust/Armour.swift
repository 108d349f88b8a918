// Bytes as text between a BEGIN and an END line.

import FoundationEssentials

enum Armour {
    /// No signature and no key of ours comes near it.
    static let maximumBytes = 64 << 10

    /// The bytes between `-----BEGIN NAME-----` and `-----END NAME-----`. Nothing but blank space may stand around them.
    static func decode(_ text: some Collection<UInt8>, name: String, subject: String) throws(TrustError) -> [UInt8] {
        guard text.count <= maximumBytes else { throw TrustError(.malformed, "\(subject) is larger than \(maximumBytes) bytes.") }
        var lines = text.split(separator: UInt8(ascii: "\n")).map { line in
            line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        }
        while let last = lines.last, last.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { lines.removeLast() }
        guard lines.count >= 2, lines[0].elementsEqual("-----BEGIN \(name)-----".utf8),
            lines[lines.count - 1].elementsEqual("-----END \(name)-----".utf8)
        else { throw TrustError(.malformed, "\(subject) does not stand between the lines BEGIN \(name) and END \(name).") }
        guard let bytes = base64(lines[1..<(lines.count - 1)].joined()) else {
            throw TrustError(.malformed, "\(subject) has characters between BEGIN and END that are no base64.")
        }
        return bytes
    }

    static func encode(_ bytes: [UInt8], name: String) -> String {
        var rest = Substring(Data(bytes).base64EncodedString())
        var text = "-----BEGIN \(name)-----\n"
        while !rest.isEmpty {
            text += rest.prefix(70) + "\n"
            rest = rest.dropFirst(70)
        }
        return text + "-----END \(name)-----\n"
    }

    /// `nil` for anything but base64 with its padding.
    static func base64(_ text: some Sequence<UInt8>) -> [UInt8]? { Data(base64Encoded: Data(text)).map(Array.init) }
}
