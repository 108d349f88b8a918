// Reads IPP responses (RFC 8010 §3.1): a pure function of bytes.

/// What a printer answers. It has no document behind it.
public struct IPPResponse: Hashable, Sendable {
    /// Major and minor: 0x0200.
    public var version: UInt16
    /// RFC 8011 Appendix B: 0x0000 successful-ok, 0x0400 client-error-bad-request.
    public var status: UInt16
    /// The request's.
    public var id: UInt32
    public var groups: [IPPGroup]

    public static let longest = 256 << 10
    public static let mostGroups = 64
    /// Members of collections are counted, too.
    public static let mostAttributes = 4096
    /// Collections are counted with their members' values.
    public static let mostValues = 16_384
    /// How deep collections may lie in each other; `media-col-database` needs three.
    public static let deepest = 8

    public init(version: UInt16 = 0x0200, status: UInt16 = 0, id: UInt32 = 1, groups: [IPPGroup]) {
        self.version = version
        self.status = status
        self.id = id
        self.groups = groups
    }

    /// Strict about structure and lengths; it does not ask what attributes mean. Bytes behind the
    /// attributes are passed over.
    public init(parsing bytes: [UInt8]) throws(IPPSyntaxError) {
        guard bytes.count <= Self.longest else { throw .tooLarge }
        var reader = IPPReader(bytes)
        version = try reader.word()
        guard version >> 8 == 1 || version >> 8 == 2 else { throw .version(version) }
        status = try reader.word()
        id = try reader.long()
        groups = try reader.groups()
    }

    /// 0x0000…0x00ff, some of which mean that attributes were ignored.
    public var isSuccessful: Bool { status < 0x0100 }

    /// The values of the first attribute of this name, in any group except the unsupported ones.
    /// Empty if there is no such attribute.
    public func values(_ name: String) -> [IPPValue] {
        for group in groups where group.tag != .unsupported {
            if let attribute = group.attributes.first(where: { $0.name == name }) { return attribute.values }
        }
        return []
    }

    /// Those values that are text of any kind.
    public func strings(_ name: String) -> [String] { values(name).compactMap(\.string) }

    public func string(_ name: String) -> String? { strings(name).first }

    /// The first value, where it is an integer or an enum.
    public func integer(_ name: String) -> Int? { values(name).first?.integer }

    /// The first value, where it is a boolean.
    public func boolean(_ name: String) -> Bool? { values(name).first?.boolean }
}

/// Why bytes are not an IPP response.
public enum IPPSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    case tooLarge
    case version(UInt16)
    /// It ends before its attributes do.
    case truncated
    /// A tag that stands for nothing, or where it can't stand.
    case tag(UInt8)
    /// A value that has not the length that its syntax has.
    case length(tag: UInt8)
    /// A further value of no attribute, or an attribute of no group.
    case stray
    /// A collection that is not made of members and an end.
    case collection
    case tooMany
    case tooDeep

    public var description: String {
        switch self {
        case .tooLarge: "The printer's IPP response has more than \(IPPResponse.longest) bytes."
        case .version(let version): "The printer's IPP response has version \(version >> 8).\(version & 0xff), which is not an IPP version."
        case .truncated: "The printer's IPP response ends in the middle."
        case .tag(let tag): "The printer's IPP response has the tag \(tag) where it can't be."
        case .length(let tag): "The printer's IPP response has a value (tag \(tag)) of a wrong length."
        case .stray: "The printer's IPP response has a value without an attribute."
        case .collection: "The printer's IPP response has a malformed collection."
        case .tooMany: "The printer's IPP response has too many attributes or values."
        case .tooDeep: "The printer's IPP response has collections more than \(IPPResponse.deepest) deep."
        }
    }
}

/// A place in a message's bytes, and how much has come of it.
private struct IPPReader {
    private let bytes: [UInt8]
    private var position = 0
    private var attributes = 0
    private var values = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    // MARK: Bytes

    private mutating func take(_ count: Int) throws(IPPSyntaxError) -> ArraySlice<UInt8> {
        guard count <= bytes.count - position else { throw .truncated }
        defer { position += count }
        return bytes[position..<(position + count)]
    }

    private mutating func byte() throws(IPPSyntaxError) -> UInt8 {
        let slice = try take(1)
        return slice[slice.startIndex]
    }

    mutating func word() throws(IPPSyntaxError) -> UInt16 { UInt16(truncatingIfNeeded: Self.number(try take(2))) }
    mutating func long() throws(IPPSyntaxError) -> UInt32 { Self.number(try take(4)) }

    /// Two bytes of length, and so many more.
    private mutating func counted() throws(IPPSyntaxError) -> ArraySlice<UInt8> {
        let count = try word()
        return try take(Int(count))
    }

    /// Big-endian, of four bytes at most.
    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    // MARK: Groups

    /// To the tag that ends them. The operation's comes first (RFC 8011 §4.1.4).
    mutating func groups() throws(IPPSyntaxError) -> [IPPGroup] {
        var groups: [IPPGroup] = []
        while true {
            let tag = try byte()
            guard tag >= IPPValueTag.outOfBand.lowerBound else {
                if tag == IPPGroup.Tag.end.rawValue { return groups }
                guard tag != 0, !groups.isEmpty || tag == IPPGroup.Tag.operation.rawValue else { throw .tag(tag) }
                guard groups.count < IPPResponse.mostGroups else { throw .tooMany }
                groups.append(IPPGroup(IPPGroup.Tag(rawValue: tag)))
                continue
            }
            guard !groups.isEmpty else { throw .stray }
            let name = try counted()
            let value = try value(tag, depth: 0)
            try add(value, named: name, to: &groups[groups.count - 1].attributes)
        }
    }

    /// A value without a name is a further one of the attribute before.
    private mutating func add(
        _ value: IPPValue, named name: ArraySlice<UInt8>, to list: inout [IPPAttribute]
    ) throws(IPPSyntaxError) {
        if name.isEmpty {
            guard !list.isEmpty else { throw .stray }
            list[list.count - 1].values.append(value)
        } else {
            try countAttribute()
            list.append(IPPAttribute(Self.text(name), [value]))
        }
    }

    private mutating func countAttribute() throws(IPPSyntaxError) {
        attributes += 1
        guard attributes <= IPPResponse.mostAttributes else { throw .tooMany }
    }

    // MARK: Values

    private mutating func value(_ tag: UInt8, depth: Int) throws(IPPSyntaxError) -> IPPValue {
        values += 1
        guard values <= IPPResponse.mostValues else { throw .tooMany }
        let content = try counted()
        switch tag {
        case IPPValueTag.outOfBand: return .outOfBand(tag: tag)
        case IPPValueTag.collection:
            guard content.isEmpty else { throw .length(tag: tag) }
            guard depth < IPPResponse.deepest else { throw .tooDeep }
            return .collection(try members(depth: depth + 1))
        case IPPValueTag.endOfCollection, IPPValueTag.memberName: throw .collection
        case 0x20...IPPValueTag.last: return try Self.simple(tag, content)
        default: throw .tag(tag)
        }
    }

    /// Up to the end of a collection. Its entries have no names: a member's name is a value. Some
    /// printers (Pantum's, as goipp knows) name members as if they were attributes, which is read, too.
    private mutating func members(depth: Int) throws(IPPSyntaxError) -> [IPPAttribute] {
        var members: [IPPAttribute] = []
        while true {
            let tag = try byte()
            let name = try counted()
            guard tag >= IPPValueTag.outOfBand.lowerBound else { throw .collection }
            let isMember = tag == IPPValueTag.memberName || !name.isEmpty
            // Each has a value before the next one, or the end.
            if isMember || tag == IPPValueTag.endOfCollection, members.last?.values.isEmpty == true { throw .collection }
            if isMember { try countAttribute() }
            switch tag {
            case IPPValueTag.endOfCollection:
                guard name.isEmpty, try counted().isEmpty else { throw .collection }
                return members
            case IPPValueTag.memberName:
                let member = try counted()
                guard name.isEmpty, !member.isEmpty else { throw .collection }
                members.append(IPPAttribute(Self.text(member), []))
            default:
                if !name.isEmpty { members.append(IPPAttribute(Self.text(name), [])) }
                guard !members.isEmpty else { throw .collection }
                let value = try value(tag, depth: depth)
                members[members.count - 1].values.append(value)
            }
        }
    }

    private static func simple(_ tag: UInt8, _ content: ArraySlice<UInt8>) throws(IPPSyntaxError) -> IPPValue {
        func long(_ index: Int) -> Int32 { Int32(bitPattern: number(content.dropFirst(4 * index).prefix(4))) }
        func expect(_ count: Int) throws(IPPSyntaxError) { guard content.count == count else { throw .length(tag: tag) } }
        switch tag {
        case IPPValueTag.integer:
            try expect(4)
            return .integer(long(0))
        case IPPValueTag.boolean:
            try expect(1)
            // 1 is true; whatever else some firmware sends for it is, too.
            return .boolean(content.first != 0)
        case IPPValueTag.enumeration:
            try expect(4)
            return .enumeration(long(0))
        case IPPValueTag.resolution:
            try expect(9)
            return .resolution(x: long(0), y: long(1), units: content[content.startIndex + 8])
        case IPPValueTag.rangeOfInteger:
            try expect(8)
            return .rangeOfInteger(lower: long(0), upper: long(1))
        case IPPValueTag.textWithLanguage: return .text(try withLanguage(tag, content))
        case IPPValueTag.nameWithLanguage: return .name(try withLanguage(tag, content))
        case IPPValueTag.text: return .text(text(content))
        case IPPValueTag.name: return .name(text(content))
        case IPPValueTag.keyword: return .keyword(text(content))
        case IPPValueTag.uri: return .uri(text(content))
        case IPPValueTag.uriScheme: return .uriScheme(text(content))
        case IPPValueTag.charset: return .charset(text(content))
        case IPPValueTag.naturalLanguage: return .naturalLanguage(text(content))
        case IPPValueTag.mimeMediaType: return .mimeMediaType(text(content))
        default: return .other(tag: tag, bytes: Array(content))
        }
    }

    /// Language and text, each with its length in front (RFC 8010 §3.9).
    private static func withLanguage(_ tag: UInt8, _ content: ArraySlice<UInt8>) throws(IPPSyntaxError) -> String {
        guard content.count >= 4 else { throw .length(tag: tag) }
        let language = Int(number(content.prefix(2)))
        guard content.count >= 4 + language else { throw .length(tag: tag) }
        let rest = content.dropFirst(2 + language)
        guard rest.count - 2 == Int(number(rest.prefix(2))) else { throw .length(tag: tag) }
        return text(rest.dropFirst(2))
    }
}
