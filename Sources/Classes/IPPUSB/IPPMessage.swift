// What IPP's messages are made of: groups of attributes with values (RFC 8010 §3.1, RFC 8011 §5.1).

/// A value of an attribute. Texts are UTF-8; invalid bytes are replaced, as `String` does.
public indirect enum IPPValue: Hashable, Sendable {
    /// There is no value, for a reason: 0x10 unsupported, 0x12 unknown, 0x13 no-value (RFC 8010
    /// §3.5.2).
    case outOfBand(tag: UInt8)
    case integer(Int32)
    case boolean(Bool)
    case enumeration(Int32)
    /// `units`: 3 dots per inch, 4 per centimetre.
    case resolution(x: Int32, y: Int32, units: UInt8)
    /// As it came: the lower bound may be above the upper one.
    case rangeOfInteger(lower: Int32, upper: Int32)
    /// textWithLanguage, too, without the language.
    case text(String)
    /// nameWithLanguage, too, without the language.
    case name(String)
    case keyword(String)
    case uri(String)
    case uriScheme(String)
    case charset(String)
    case naturalLanguage(String)
    case mimeMediaType(String)
    case collection([IPPAttribute])
    /// Of a syntax that nothing here looks into: octetString (0x30), dateTime (0x31), others.
    case other(tag: UInt8, bytes: [UInt8])

    /// What is text of any kind.
    public var string: String? {
        switch self {
        case .text(let text), .name(let text), .keyword(let text), .uri(let text), .uriScheme(let text), .charset(let text),
            .naturalLanguage(let text), .mimeMediaType(let text):
            text
        case .outOfBand, .integer, .boolean, .enumeration, .resolution, .rangeOfInteger, .collection, .other: nil
        }
    }

    /// An integer or an enum.
    public var integer: Int? {
        switch self {
        case .integer(let number), .enumeration(let number): Int(number)
        default: nil
        }
    }

    public var boolean: Bool? { if case .boolean(let flag) = self { flag } else { nil } }
}

/// A name with one value, or with several: a `1setOf`.
public struct IPPAttribute: Hashable, Sendable {
    public var name: String
    public var values: [IPPValue]

    public init(_ name: String, _ values: [IPPValue]) {
        self.name = name
        self.values = values
    }

    public init(_ name: String, _ values: IPPValue...) { self.init(name, values) }
}

/// Attributes of one kind, as their begin-attribute-group-tag says.
public struct IPPGroup: Hashable, Sendable {
    /// RFC 8010 §3.5.1; later ones are added by others, up to 0x0f.
    public struct Tag: RawRepresentable, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        public static let operation = Tag(rawValue: 0x01)
        public static let job = Tag(rawValue: 0x02)
        public static let printer = Tag(rawValue: 0x04)
        /// What of a request was not understood.
        public static let unsupported = Tag(rawValue: 0x05)
        /// The end of all attributes: no group.
        static let end = Tag(rawValue: 0x03)
    }

    public var tag: Tag
    public var attributes: [IPPAttribute]

    public init(_ tag: Tag, _ attributes: [IPPAttribute] = []) {
        self.tag = tag
        self.attributes = attributes
    }
}

/// Tags of values (RFC 8010 §3.5.2).
enum IPPValueTag {
    static let outOfBand: ClosedRange<UInt8> = 0x10...0x1f
    static let integer: UInt8 = 0x21
    static let boolean: UInt8 = 0x22
    static let enumeration: UInt8 = 0x23
    static let resolution: UInt8 = 0x32
    static let rangeOfInteger: UInt8 = 0x33
    static let collection: UInt8 = 0x34
    static let textWithLanguage: UInt8 = 0x35
    static let nameWithLanguage: UInt8 = 0x36
    static let endOfCollection: UInt8 = 0x37
    static let text: UInt8 = 0x41
    static let name: UInt8 = 0x42
    static let keyword: UInt8 = 0x44
    static let uri: UInt8 = 0x45
    static let uriScheme: UInt8 = 0x46
    static let charset: UInt8 = 0x47
    static let naturalLanguage: UInt8 = 0x48
    static let mimeMediaType: UInt8 = 0x49
    static let memberName: UInt8 = 0x4a
    static let last: UInt8 = 0x7f
}
