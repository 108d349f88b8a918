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
        else { throw TrustError(.malformed, "\(subject) is not between the lines BEGIN \(name) and END \(name).") }
        guard let bytes = base64(lines[1..<(lines.count - 1)].joined()) else {
            throw TrustError(.malformed, "\(subject) has characters between BEGIN and END that are not base64.")
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

    /// `nil` for anything but base64 with exactly its padding, as OpenSSH has it (and Foundation does not: it takes any number of `=`).
    static func base64(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var (word, digits, padding) = (UInt32(0), 0, 0)
        for character in text {
            if character == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let digit = base64Digit(character) else { return nil }
            word = word << 6 | digit
            digits += 1
            if digits == 4 {
                bytes += [UInt8(truncatingIfNeeded: word >> 16), UInt8(truncatingIfNeeded: word >> 8), UInt8(truncatingIfNeeded: word)]
                (word, digits) = (0, 0)
            }
        }
        // Bits beyond the last byte are zero.
        switch (digits, padding) {
        case (0, 0): return bytes
        case (2, 2): return word & 0xf == 0 ? bytes + [UInt8(truncatingIfNeeded: word >> 4)] : nil
        case (3, 1):
            return word & 0x3 == 0 ? bytes + [UInt8(truncatingIfNeeded: word >> 10), UInt8(truncatingIfNeeded: word >> 2)] : nil
        default: return nil
        }
    }

    private static func base64Digit(_ character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a") + 26)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0") + 52)
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
