// Messages of the Internet Printing Protocol as bytes (RFC 8010), as far as a printer needs them that
// prints nothing.

/// The head of a request.
struct IPPRequest: Hashable, Sendable {
    var version: UInt16
    var operation: UInt16
    var identifier: UInt32

    /// `nil` for what is no request.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 9, bytes[0] == 1 || bytes[0] == 2 else { return nil }
        version = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
        operation = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        identifier = bytes[4..<8].reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// An answer in the making.
struct IPPAnswer: Sendable {
    enum Group: UInt8 {
        case operation = 0x01
        case job = 0x02
        case end = 0x03
        case printer = 0x04
    }

    enum Value: Sendable {
        case integer(Int)
        case boolean(Bool)
        case enumeration(Int)
        case resolution(Int)
        case range(Int, Int)
        case text(String)
        case keyword(String)
        case name(String)
        case uri(String)
        case charset(String)
        case language(String)
        case mimeType(String)
        /// A collection of attributes.
        case collection([(name: String, value: Value)])
    }

    private(set) var bytes: [UInt8]

    init(_ request: IPPRequest, status: UInt16) {
        bytes = Self.word(UInt16(min(request.version, 0x0200))) + Self.word(status)
        bytes += Self.word(UInt16(request.identifier >> 16)) + Self.word(UInt16(request.identifier & 0xffff))
        begin(.operation)
        add("attributes-charset", .charset("utf-8"))
        add("attributes-natural-language", .language("en"))
    }

    mutating func begin(_ group: Group) { bytes.append(group.rawValue) }

    mutating func add(_ name: String, _ values: Value...) { add(name, values) }

    mutating func add(_ name: String, _ values: [Value]) {
        for (index, value) in values.enumerated() { append(index == 0 ? name : "", value) }
    }

    private mutating func append(_ name: String, _ value: Value) {
        let (tag, content) = Self.encoded(value)
        bytes.append(tag)
        bytes += Self.word(UInt16(name.utf8.count)) + Array(name.utf8)
        bytes += Self.word(UInt16(content.count)) + content
        guard case .collection(let members) = value else { return }
        for member in members {
            // memberAttrName, then the value without a name.
            bytes += [0x4a, 0, 0] + Self.word(UInt16(member.name.utf8.count)) + Array(member.name.utf8)
            append("", member.value)
        }
        bytes += [0x37, 0, 0, 0, 0]
    }

    private static func encoded(_ value: Value) -> (tag: UInt8, content: [UInt8]) {
        switch value {
        case .integer(let number): (0x21, long(number))
        case .boolean(let flag): (0x22, [flag ? 1 : 0])
        case .enumeration(let number): (0x23, long(number))
        case .resolution(let dots): (0x32, long(dots) + long(dots) + [3])
        case .range(let low, let high): (0x33, long(low) + long(high))
        case .collection: (0x34, [])
        case .text(let text): (0x41, Array(text.utf8))
        case .name(let text): (0x42, Array(text.utf8))
        case .keyword(let text): (0x44, Array(text.utf8))
        case .uri(let text): (0x45, Array(text.utf8))
        case .charset(let text): (0x47, Array(text.utf8))
        case .language(let text): (0x48, Array(text.utf8))
        case .mimeType(let text): (0x49, Array(text.utf8))
        }
    }

    private static func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xff)] }
    private static func long(_ value: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }
}
