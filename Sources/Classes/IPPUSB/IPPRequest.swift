// IPP requests as bytes (RFC 8010 §3.1).

/// What is posted as `application/ipp`. A document may follow its bytes.
public struct IPPRequest: Hashable, Sendable {
    /// RFC 8011 §5.4.15.
    public struct Operation: RawRepresentable, Hashable, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        public static let getPrinterAttributes = Operation(rawValue: 0x000b)
    }

    public var operation: Operation
    /// The response has the same.
    public var id: UInt32
    /// Those of the operation, behind charset and natural language, which are always there.
    public var attributes: [IPPAttribute]

    public init(_ operation: Operation, id: UInt32, attributes: [IPPAttribute]) {
        self.operation = operation
        self.id = id
        self.attributes = attributes
    }

    /// Get-Printer-Attributes (RFC 8011 §4.2.5).
    ///
    /// - Parameters:
    ///   - uri: the printer's: `ipp://localhost/ipp/print` over USB.
    ///   - requested: attributes or groups of them. None asks for all, which for some printers is
    ///     hundreds of kilobytes of `media-col-database`.
    ///   - id: not 0.
    public static func printerAttributes(uri: String, requested: [String], id: UInt32) -> [UInt8] {
        var attributes = [IPPAttribute("printer-uri", .uri(uri))]
        if !requested.isEmpty { attributes.append(IPPAttribute("requested-attributes", requested.map { .keyword($0) })) }
        return IPPRequest(.getPrinterAttributes, id: id, attributes: attributes).bytes
    }

    /// Version 2.0, which IPP Everywhere's printers speak (PWG 5100.14 §4.1).
    public var bytes: [UInt8] {
        var writer = IPPWriter()
        writer.word(0x0200)
        writer.word(operation.rawValue)
        writer.long(id)
        // These two first, in this order (RFC 8011 §4.1.4).
        let first = [
            IPPAttribute("attributes-charset", .charset("utf-8")), IPPAttribute("attributes-natural-language", .naturalLanguage("en")),
        ]
        writer.group(IPPGroup(.operation, first + attributes))
        return writer.bytes + [IPPGroup.Tag.end.rawValue]
    }
}

/// Puts groups into bytes. Names and values are this program's own: one that is longer than 32,767
/// bytes is a mistake in it.
struct IPPWriter {
    private(set) var bytes: [UInt8] = []

    mutating func word(_ value: UInt16) { bytes += [UInt8(value >> 8), UInt8(value & 0xff)] }
    mutating func long(_ value: UInt32) { bytes += Self.long(value) }

    mutating func group(_ group: IPPGroup) {
        bytes.append(group.tag.rawValue)
        for attribute in group.attributes {
            for (index, value) in attribute.values.enumerated() { entry(value, name: index == 0 ? attribute.name : "") }
        }
    }

    private mutating func entry(_ value: IPPValue, name: String) {
        let (tag, content) = Self.encoded(value)
        bytes.append(tag)
        counted(Array(name.utf8))
        counted(content)
        guard case .collection(let members) = value else { return }
        for member in members {
            bytes += [IPPValueTag.memberName, 0, 0]
            counted(Array(member.name.utf8))
            for value in member.values { entry(value, name: "") }
        }
        bytes += [IPPValueTag.endOfCollection, 0, 0, 0, 0]
    }

    private mutating func counted(_ content: [UInt8]) {
        precondition(content.count <= 0x7fff, "IPP's lengths are signed, and have 16 bits")
        word(UInt16(content.count))
        bytes += content
    }

    private static func encoded(_ value: IPPValue) -> (tag: UInt8, content: [UInt8]) {
        switch value {
        case .outOfBand(let tag): (tag, [])
        case .integer(let number): (IPPValueTag.integer, long(UInt32(bitPattern: number)))
        case .boolean(let flag): (IPPValueTag.boolean, [flag ? 1 : 0])
        case .enumeration(let number): (IPPValueTag.enumeration, long(UInt32(bitPattern: number)))
        case .resolution(let x, let y, let units):
            (IPPValueTag.resolution, long(UInt32(bitPattern: x)) + long(UInt32(bitPattern: y)) + [units])
        case .rangeOfInteger(let lower, let upper):
            (IPPValueTag.rangeOfInteger, long(UInt32(bitPattern: lower)) + long(UInt32(bitPattern: upper)))
        case .text(let text): (IPPValueTag.text, Array(text.utf8))
        case .name(let text): (IPPValueTag.name, Array(text.utf8))
        case .keyword(let text): (IPPValueTag.keyword, Array(text.utf8))
        case .uri(let text): (IPPValueTag.uri, Array(text.utf8))
        case .uriScheme(let text): (IPPValueTag.uriScheme, Array(text.utf8))
        case .charset(let text): (IPPValueTag.charset, Array(text.utf8))
        case .naturalLanguage(let text): (IPPValueTag.naturalLanguage, Array(text.utf8))
        case .mimeMediaType(let text): (IPPValueTag.mimeMediaType, Array(text.utf8))
        case .collection: (IPPValueTag.collection, [])
        case .other(let tag, let bytes): (tag, bytes)
        }
    }

    private static func long(_ value: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }
}
