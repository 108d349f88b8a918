// A JSON tree as text.

/// Writes a tree in one pass. Members come in the order of their names. What no terminal shows as it is (`isPrintable`) is escaped, so that the text
/// can be printed and says the same.
struct JSONWriter {
    /// JSON has no form for infinity and what is not a number.
    struct NoNumber: Error, CustomStringConvertible {
        var value: Double
        var description: String { "JSON can't represent \(value)" }
    }

    private static let hexadecimal = Array("0123456789abcdef".utf8)
    private let isPretty: Bool
    private var bytes: [UInt8] = []
    private var depth = 0

    static func text(of value: JSONValue, pretty: Bool = false) throws(NoNumber) -> [UInt8] {
        var writer = JSONWriter(isPretty: pretty)
        try writer.write(value)
        return writer.bytes
    }

    private init(isPretty: Bool) { self.isPretty = isPretty }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func write(_ value: JSONValue) throws(NoNumber) {
        switch value {
        case .null: append("null")
        case .bool(let value): append(value ? "true" : "false")
        case .int(let value): append(String(value))
        case .double(let value): try write(value)
        case .string(let value): write(value)
        case .array(let elements): try write(elements)
        case .object(let members): try write(members)
        }
    }

    private mutating func write(_ value: Double) throws(NoNumber) {
        guard value.isFinite else { throw NoNumber(value: value) }
        let text = value.description
        append(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    }

    private mutating func write(_ elements: [JSONValue]) throws(NoNumber) {
        bytes.append(UInt8(ascii: "["))
        depth += 1
        for (index, element) in elements.enumerated() {
            separate(isFirst: index == 0)
            try write(element)
        }
        close(UInt8(ascii: "]"), isEmpty: elements.isEmpty)
    }

    private mutating func write(_ members: [String: JSONValue]) throws(NoNumber) {
        bytes.append(UInt8(ascii: "{"))
        depth += 1
        for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
            separate(isFirst: index == 0)
            write(member.key)
            append(isPretty ? " : " : ":")
            try write(member.value)
        }
        close(UInt8(ascii: "}"), isEmpty: members.isEmpty)
    }

    private mutating func separate(isFirst: Bool) {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        breakLine()
    }

    private mutating func close(_ end: UInt8, isEmpty: Bool) {
        depth -= 1
        // As Foundation's encoder has it.
        if isEmpty, isPretty { bytes.append(UInt8(ascii: "\n")) }
        breakLine()
        bytes.append(end)
    }

    private mutating func breakLine() {
        guard isPretty else { return }
        bytes.append(UInt8(ascii: "\n"))
        for _ in 0..<depth { bytes.append(contentsOf: [0x20, 0x20]) }
    }

    // MARK: Strings

    private mutating func write(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": append("\\\"")
            case "\\": append("\\\\")
            case "\u{8}": append("\\b")
            case "\u{C}": append("\\f")
            case "\n": append("\\n")
            case "\r": append("\\r")
            case "\t": append("\\t")
            case _ where scalar.isASCII && scalar.value >= 0x20 && scalar.value != 0x7F: bytes.append(UInt8(ascii: scalar))
            case _ where scalar.isPrintable: bytes.append(contentsOf: scalar.utf8)
            default: for unit in scalar.utf16 { escape(unit) }
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ unit: UInt16) {
        append("\\u")
        for shift in [12, 8, 4, 0] { bytes.append(Self.hexadecimal[Int(unit >> UInt16(shift) & 0xF)]) }
    }
}
