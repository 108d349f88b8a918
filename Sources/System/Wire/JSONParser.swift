// JSON text into a tree, in one pass: RFC 8259 to the letter, bounded in depth and in the number of values.

/// What a text may cost besides its bytes, whose number the caller bounds.
public struct JSONLimits: Hashable, Sendable {
    /// Levels of arrays and objects. Ours have fewer than ten.
    public var depth: Int
    /// Values of every kind, each member and element counted: a byte or two of text can be one, and each takes memory and time.
    public var values: Int

    public init(depth: Int = 64, values: Int = .max) {
        self.depth = depth
        self.values = values
    }
}

/// Why a text is not JSON, or more than is taken.
struct JSONSyntaxError: Error, CustomStringConvertible {
    var reason: String
    /// Byte at which it showed.
    var offset: Int
    var description: String { "\(reason) at byte \(offset)" }
}

/// Reads one value. What RFC 8259 leaves open is settled so:
/// - a whole number that fits in 64 bits with a sign is `int`, however it is written (`1e18`, `5.0`); every other one is `double`, and one that is
///   too large for that (`1e400`) is refused; too small becomes 0;
/// - a name that occurs twice in an object is refused, so that no two readers can disagree;
/// - text that is not UTF-8, a byte order mark, and a surrogate without its other half are refused;
/// - a number has at most 1,024 characters.
struct JSONParser {
    private static let longestNumber = 1024

    private let bytes: [UInt8]
    private var position = 0
    private var valuesLeft: Int
    private var depthLeft: Int

    /// The value that the text consists of.
    static func parse(_ bytes: [UInt8], limits: JSONLimits) throws(JSONSyntaxError) -> JSONValue {
        var parser = JSONParser(bytes: bytes, limits: limits)
        let value = try parser.value()
        parser.skipSpace()
        guard parser.next == nil else { throw parser.failure("something follows the value") }
        return value
    }

    private init(bytes: [UInt8], limits: JSONLimits) {
        self.bytes = bytes
        valuesLeft = limits.values
        depthLeft = limits.depth
    }

    // MARK: Bytes

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func failure(_ reason: String) -> JSONSyntaxError { JSONSyntaxError(reason: reason, offset: position) }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private mutating func expect(_ word: StaticString) throws(JSONSyntaxError) {
        for offset in 0..<word.utf8CodeUnitCount {
            guard next == word.utf8Start[offset] else { throw failure("no value begins like this") }
            position += 1
        }
    }

    // MARK: Values

    private mutating func value() throws(JSONSyntaxError) -> JSONValue {
        skipSpace()
        guard valuesLeft > 0 else { throw failure("there are too many values") }
        valuesLeft -= 1
        guard let first = next else { throw failure("the text ends before the value does") }
        switch first {
        case UInt8(ascii: "{"): return .object(try object())
        case UInt8(ascii: "["): return .array(try array())
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "t"):
            try expect("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try expect("null")
            return .null
        default: throw failure("no value begins like this")
        }
    }

    private mutating func enter() throws(JSONSyntaxError) {
        guard depthLeft > 0 else { throw failure("it is nested too deep") }
        depthLeft -= 1
        position += 1
        skipSpace()
    }

    /// After a member or element: true where another follows, false at the end of the container.
    private mutating func goesOn(until end: UInt8) throws(JSONSyntaxError) -> Bool {
        skipSpace()
        guard let byte = next else { throw failure("the text ends before the value does") }
        switch byte {
        case UInt8(ascii: ","):
            position += 1
            return true
        case end:
            position += 1
            depthLeft += 1
            return false
        default: throw failure("a comma or the end is expected")
        }
    }

    private mutating func isEmpty(until end: UInt8) -> Bool {
        guard next == end else { return false }
        position += 1
        depthLeft += 1
        return true
    }

    private mutating func array() throws(JSONSyntaxError) -> [JSONValue] {
        try enter()
        var elements: [JSONValue] = []
        if isEmpty(until: UInt8(ascii: "]")) { return elements }
        repeat { elements.append(try value()) } while try goesOn(until: UInt8(ascii: "]"))
        return elements
    }

    private mutating func object() throws(JSONSyntaxError) -> [String: JSONValue] {
        try enter()
        var members: [String: JSONValue] = [:]
        if isEmpty(until: UInt8(ascii: "}")) { return members }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw failure("a member has no name") }
            let name = try string()
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw failure("a member has no value") }
            position += 1
            guard members.updateValue(try value(), forKey: name) == nil else { throw failure("a member occurs twice") }
        } while try goesOn(until: UInt8(ascii: "}"))
        return members
    }

    // MARK: Strings

    private mutating func string() throws(JSONSyntaxError) -> String {
        position += 1
        let start = position
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: bytes[start..<position], as: UTF8.self) else { throw failure("a string is not UTF-8") }
                position += 1
                return text
            case UInt8(ascii: "\\"): return try escapedString(from: start)
            case 0..<0x20: throw failure("a string has a control character")
            default: position += 1
            }
        }
        throw failure("the text ends before a string does")
    }

    /// The rest of a string, from its first escape on.
    private mutating func escapedString(from start: Int) throws(JSONSyntaxError) -> String {
        var content = Array(bytes[start..<position])
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else { throw failure("a string is not UTF-8") }
                return text
            case UInt8(ascii: "\\"): try appendEscape(to: &content)
            case 0..<0x20: throw failure("a string has a control character")
            default: content.append(byte)
            }
        }
        throw failure("the text ends before a string does")
    }

    private mutating func appendEscape(to content: inout [UInt8]) throws(JSONSyntaxError) {
        guard let byte = next else { throw failure("the text ends before a string does") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"): content.append(contentsOf: String(Character(try escapedScalar())).utf8)
        default: throw failure("a string has an unknown escape")
        }
    }

    /// RFC 8259 §7: what lies beyond U+FFFF is written as two escapes, a high and a low surrogate.
    private mutating func escapedScalar() throws(JSONSyntaxError) -> Unicode.Scalar {
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, next == UInt8(ascii: "\\"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "u") else {
            throw failure("a surrogate is unpaired")
        }
        position += 2
        let second = try hexadecimal()
        guard 0xDC00...0xDFFF ~= second, let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)) else {
            throw failure("a surrogate is unpaired")
        }
        return scalar
    }

    private mutating func hexadecimal() throws(JSONSyntaxError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch next {
            case let byte? where UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte: digit = byte - UInt8(ascii: "0")
            case let byte? where UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte: digit = byte - UInt8(ascii: "a") + 10
            case let byte? where UInt8(ascii: "A")...UInt8(ascii: "F") ~= byte: digit = byte - UInt8(ascii: "A") + 10
            default: throw failure("an escape does not have four digits")
            }
            position += 1
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    // MARK: Numbers

    /// Digits from here on, of which there has to be one at least.
    private mutating func digits() throws(JSONSyntaxError) {
        let start = position
        while let byte = next, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { position += 1 }
        guard position > start else { throw failure("a number lacks a digit") }
    }

    private mutating func number() throws(JSONSyntaxError) -> JSONValue {
        let start = position
        if next == UInt8(ascii: "-") { position += 1 }
        let first = position
        try digits()
        guard bytes[first] != UInt8(ascii: "0") || position == first + 1 else { throw failure("a number begins with 0") }
        var isWhole = true
        if next == UInt8(ascii: ".") {
            isWhole = false
            position += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            isWhole = false
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        guard position - start <= Self.longestNumber else { throw failure("a number is too long") }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else { throw failure("a number is too large") }
        return Int64(exactly: value).map { .int($0) } ?? .double(value)
    }
}
