// A value of a YAML text, and what plain text stands for.

/// A scalar, a list or a mapping; each knows its line.
struct YAMLNode {
    enum Content {
        /// Plain text is what YAML takes it for; text in quotes or in a block stays text.
        case scalar(String, isPlain: Bool)
        case list([YAMLNode])
        /// In the order of the text; no key stands there twice.
        case mapping([(key: String, value: YAMLNode)])
    }

    var content: Content
    /// Counted from 1.
    var line: Int

    var text: String? {
        guard case .scalar(let text, _) = content else { return nil }
        return text
    }

    private var plain: String? {
        guard case .scalar(let text, isPlain: true) = content else { return nil }
        return text
    }

    var isNull: Bool { plain.map { ["", "~", "null", "Null", "NULL"].contains($0) } ?? false }

    /// YAML 1.1's words for it, in lower case, upper case or capitalised.
    var bool: Bool? {
        switch plain?.lowercased() {
        case "true", "yes", "on": true
        case "false", "no", "off": false
        default: nil
        }
    }

    /// Decimal, or with 0x, 0o, 0b before it, or octal with a 0 before it; digits may be grouped by underscores.
    var int: Int? {
        guard let plain else { return nil }
        let digits = plain.filter { $0 != "_" }
        let isNegative = digits.hasPrefix("-")
        let magnitude = digits.dropFirst(isNegative || digits.hasPrefix("+") ? 1 : 0)
        let sign = isNegative ? "-" : ""
        guard let first = magnitude.utf8.first, (0x30...0x39).contains(first) else { return nil }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)] where magnitude.hasPrefix(prefix) {
            if magnitude == "0" { return 0 }
            let rest = magnitude.dropFirst(prefix.count)
            // A sign belongs before the prefix.
            guard let first = rest.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") else { return nil }
            return Int(sign + rest, radix: radix)
        }
        return Int(sign + magnitude)
    }

    /// A finite number.
    var double: Double? {
        guard let plain, plain.utf8.contains(where: { (0x30...0x39).contains($0) }),
            plain.utf8.allSatisfy({ (0x30...0x39).contains($0) || "+-.eE_".utf8.contains($0) })
        else { return nil }
        let value = Double(plain.filter { $0 != "_" })
        return value.flatMap { $0.isFinite ? $0 : nil }
    }
}
