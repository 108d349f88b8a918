// A definition in Varlink's language into an interface: a parser of hostile text, in one pass over
// its bytes.

/// Reads one definition. Depth is bounded here, everything else by the text's size.
struct VarlinkInterfaceParser {
    private static let maximumDepth = 16
    private static let maximumName = 255

    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var lineStart = 0
    /// The comment lines right before the next word.
    private var comment: [String] = []
    /// Where each name of a type stands that was used, for those that are defined further down.
    private var uses: [(name: String, line: Int, column: Int)] = []

    init(_ text: some Sequence<UInt8>) throws(VarlinkSyntaxError) {
        var bytes: [UInt8] = []
        for byte in text {
            guard bytes.count < VarlinkInterface.maximumBytes else {
                throw VarlinkSyntaxError(
                    line: 1, column: 1, problem: "the definition has more than \(VarlinkInterface.maximumBytes) bytes")
            }
            bytes.append(byte)
        }
        self.bytes = bytes
    }

    mutating func parse() throws(VarlinkSyntaxError) -> VarlinkInterface {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw failure("the definition is not UTF-8") }
        try skip()
        let start = position
        guard try word() == "interface" else { throw failure("a definition must begin with \"interface NAME\"", at: start) }
        try skip()
        let name = try interfaceName()
        var types: [VarlinkInterface.TypeDefinition] = []
        var methods: [VarlinkInterface.Method] = []
        var errors: [VarlinkInterface.ErrorDefinition] = []
        var names: Set<String> = []
        while true {
            comment = []
            try skip()
            guard position < bytes.count else { break }
            let above = comment.joined(separator: "\n")
            var start = position
            let keyword = try word()
            guard ["type", "method", "error"].contains(keyword) else {
                throw failure("\"type\", \"method\" or \"error\" belongs here", at: start)
            }
            try skip()
            start = position
            let member = try memberName()
            guard names.insert(member).inserted else { throw failure("\(member) occurs twice", at: start) }
            try skip()
            switch keyword {
            case "type":
                guard peek == UInt8(ascii: "(") else { throw failure("a type must be a list in parentheses") }
                types.append(.init(name: member, type: try type(depth: 0)))
            case "method":
                let input = try fields("a method's parameters")
                try skip()
                guard take("->") else { throw failure("\"->\" belongs between a method's parameters and its reply's") }
                try skip()
                methods.append(.init(name: member, input: input, output: try fields("a method's reply"), comment: above))
            default:
                errors.append(.init(name: member, fields: try fields("an error's parameters")))
            }
        }
        let known = Set(types.map(\.name))
        for use in uses where !known.contains(use.name) {
            throw VarlinkSyntaxError(line: use.line, column: use.column, problem: "there is no type \(use.name)")
        }
        return VarlinkInterface(name: name, text: text, types: types, methods: methods, errors: errors)
    }

    // MARK: Types

    private mutating func fields(_ what: String) throws(VarlinkSyntaxError) -> [VarlinkInterface.Field] {
        guard peek == UInt8(ascii: "(") else { throw failure("\(what) must be a list in parentheses") }
        let (line, column) = (line, position - lineStart + 1)
        guard case .structure(let fields) = try list(depth: 0) else {
            throw VarlinkSyntaxError(line: line, column: column, problem: "\(what) must have types, as in (name: string)")
        }
        return fields
    }

    private mutating func type(depth: Int) throws(VarlinkSyntaxError) -> VarlinkType {
        guard depth < Self.maximumDepth else { throw failure("types are nested more than \(Self.maximumDepth) deep") }
        switch peek {
        case UInt8(ascii: "?"):
            position += 1
            let start = position
            let type = try type(depth: depth + 1)
            if case .optional = type { throw failure("a type can be optional only once", at: start) }
            return .optional(type)
        case UInt8(ascii: "["):
            if take("[]") { return .array(try type(depth: depth + 1)) }
            if take("[string]") { return .map(try type(depth: depth + 1)) }
            throw failure("\"[]\" or \"[string]\" belongs here")
        case UInt8(ascii: "("): return try list(depth: depth)
        case let byte? where Self.isUpper(byte):
            let (start, line) = (position, line)
            let name = try memberName()
            uses.append((name, line, start - lineStart + 1))
            return .named(name)
        default:
            let start = position
            switch try word() {
            case "bool": return .bool
            case "int": return .int
            case "float": return .float
            case "string": return .string
            case "object": return .object
            default: throw failure("a type belongs here", at: start)
            }
        }
    }

    /// A structure or an enumeration: which one is told by its first member.
    private mutating func list(depth: Int) throws(VarlinkSyntaxError) -> VarlinkType {
        position += 1
        var fields: [VarlinkInterface.Field] = []
        var cases: [String] = []
        var names: Set<String> = []
        try skip()
        if take(")") { return .structure([]) }
        while true {
            try skip()
            let start = position
            let name = try fieldName()
            guard names.insert(name).inserted else { throw failure("\(name) occurs twice", at: start) }
            try skip()
            if cases.isEmpty, take(":") {
                try skip()
                fields.append(.init(name: name, type: try type(depth: depth + 1)))
            } else if fields.isEmpty {
                cases.append(name)
            } else {
                throw failure("\":\" and a type belong after \(name)")
            }
            try skip()
            if take(")") { return cases.isEmpty ? .structure(fields) : .enumeration(cases) }
            guard take(",") else { throw failure("\",\" or \")\" belongs here") }
        }
    }

    // MARK: Names

    /// Two parts at least, of letters, digits and dashes between: `"org.example.thermometer"`.
    private mutating func interfaceName() throws(VarlinkSyntaxError) -> String {
        let start = position
        let name = run { Self.isLetter($0) || Self.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
        guard VarlinkInterface.isName(name) else {
            throw failure("an interface's name must be like org.example.thermometer", at: start)
        }
        return name
    }

    /// `"SetUnit"`
    private mutating func memberName() throws(VarlinkSyntaxError) -> String {
        let start = position
        let name = run { Self.isLetter($0) || Self.isDigit($0) }
        guard let first = name.utf8.first, Self.isUpper(first), name.utf8.count <= Self.maximumName else {
            throw failure("the name of a type, method or error must begin with a capital letter", at: start)
        }
        return name
    }

    /// `"minimum"`, `"min_value"`
    private mutating func fieldName() throws(VarlinkSyntaxError) -> String {
        let start = position
        let name = run { Self.isLetter($0) || Self.isDigit($0) || $0 == UInt8(ascii: "_") }
        guard let first = name.utf8.first, Self.isLetter(first), !name.hasSuffix("_"),
            // Not String's own search, which brings all of its regular expressions into each
            // driver.
            !zip(name.utf8, name.utf8.dropFirst()).contains(where: { $0 == UInt8(ascii: "_") && $0 == $1 }),
            name.utf8.count <= Self.maximumName
        else { throw failure("a member's name belongs here", at: start) }
        return name
    }

    private mutating func word() throws(VarlinkSyntaxError) -> String {
        let start = position
        let word = run { Self.isLetter($0) }
        guard !word.isEmpty, word.utf8.count <= Self.maximumName else { throw failure("a word belongs here", at: start) }
        return word
    }

    // MARK: Bytes

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    /// Takes that text where it stands here.
    private mutating func take(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { text in
            guard bytes.count - position >= text.count, bytes[position..<position + text.count].elementsEqual(text) else { return false }
            position += text.count
            return true
        }
    }

    private mutating func run(_ belongs: (UInt8) -> Bool) -> String {
        let start = position
        while let byte = peek, belongs(byte) { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    /// Passes over spaces, ends of lines and comments.
    private mutating func skip() throws(VarlinkSyntaxError) {
        var isBlank = false
        while let byte = peek {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): position += 1
            case UInt8(ascii: "\n"):
                position += 1
                line += 1
                lineStart = position
                // A blank line ends a comment: it is about nothing in particular.
                if isBlank { comment = [] }
                isBlank = true
            case UInt8(ascii: "#"):
                isBlank = false
                let start = position + 1
                while let byte = peek, byte != UInt8(ascii: "\n") { position += 1 }
                // The end of the comment's line is no blank line.
                if peek != nil {
                    position += 1
                    line += 1
                    lineStart = position
                    isBlank = true
                }
                var text = String(decoding: bytes[start..<max(start, position)], as: UTF8.self)
                while let last = text.last, last.isWhitespace { text.removeLast() }
                comment.append(String(text.drop { $0 == " " }))
            default: return
            }
        }
    }

    private func failure(_ problem: String, at start: Int? = nil) -> VarlinkSyntaxError {
        // Nothing that is told by its start crosses the end of a line.
        VarlinkSyntaxError(line: line, column: max(0, (start ?? position) - lineStart) + 1, problem: problem)
    }

    fileprivate static func isUpper(_ byte: UInt8) -> Bool { (0x41...0x5a).contains(byte) }
    fileprivate static func isLower(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) }
    fileprivate static func isLetter(_ byte: UInt8) -> Bool { isUpper(byte) || isLower(byte) }
    fileprivate static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}

extension VarlinkInterface {
    /// Whether that can be an interface's name: two parts at least, the first beginning with a
    /// letter.
    public static func isName(_ name: String) -> Bool {
        typealias Parser = VarlinkInterfaceParser
        let parts = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count >= 2, name.utf8.count <= 80, let first = name.utf8.first, Parser.isLetter(first) else { return false }
        return parts.allSatisfy { part in
            guard let first = part.first, let last = part.last, first != UInt8(ascii: "-"), last != UInt8(ascii: "-") else { return false }
            return part.allSatisfy { Parser.isLetter($0) || Parser.isDigit($0) || $0 == UInt8(ascii: "-") }
        }
    }
}
