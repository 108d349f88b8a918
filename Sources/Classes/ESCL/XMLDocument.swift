// A small XML document as a tree, read by expat within limits.

import CExpat

/// An element with what is in it. Names are without their prefix: devices choose prefixes freely,
/// and eSCL has no two elements that differ in nothing else.
public struct XMLElement: Hashable, Sendable {
    public var name: String
    /// Its own text, without what its children hold and without space around it.
    public var text: String
    public var children: [XMLElement]

    public init(_ name: String, text: String = "", children: [XMLElement] = []) {
        self.name = name
        self.text = text
        self.children = children
    }

    /// The first child of this name.
    public subscript(_ name: String) -> XMLElement? { children.first { $0.name == name } }

    public func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// Every element of this name, itself and at any depth, in the document's order.
    public func descendants(_ name: String) -> [XMLElement] {
        (self.name == name ? [self] : []) + children.flatMap { $0.descendants(name) }
    }

    /// A whole number, also one that is written with a fraction or a sign.
    public var number: Int? {
        guard text.utf8.count <= 32 else { return nil }
        return Int(text) ?? Double(text).flatMap { $0.isFinite && abs($0) < 1e9 ? Int($0) : nil }
    }
}

/// Why a text is not a document.
public struct XMLFailure: Error, Hashable, Sendable, CustomStringConvertible {
    public var reason: String
    public var line: Int
    public var description: String { "The device's XML can't be read: \(reason) in line \(line)." }
}

/// What a document may cost.
public struct XMLLimits: Hashable, Sendable {
    public var bytes = 256 << 10
    public var depth = 32
    public var elements = 8192
    public init() {}
}

extension XMLElement {
    /// The document's root.
    ///
    /// A DOCTYPE is passed over, nothing outside of the text is looked at, and a document that
    /// declares entities is refused: no device needs them, and they can grow without end.
    public init(parsing bytes: [UInt8], limits: XMLLimits = XMLLimits()) throws(XMLFailure) {
        guard bytes.count <= limits.bytes else { throw XMLFailure(reason: "it has more than \(limits.bytes) bytes", line: 1) }
        let builder = XMLBuilder(limits)
        guard let parser = XML_ParserCreate(nil) else { throw XMLFailure(reason: "expat has no memory", line: 1) }
        defer { XML_ParserFree(parser) }
        // The builder lives until the parser is done: it is used below.
        XML_SetUserData(parser, Unmanaged.passUnretained(builder).toOpaque())
        builder.parser = parser
        XML_SetElementHandler(
            parser, { data, name, _ in XMLBuilder.of(data)?.begin(name) }, { data, _ in XMLBuilder.of(data)?.end() })
        XML_SetCharacterDataHandler(parser) { data, text, count in XMLBuilder.of(data)?.take(text, Int(count)) }
        XML_SetEntityDeclHandler(parser) { data, _, _, _, _, _, _, _, _ in XMLBuilder.of(data)?.fail("it declares entities") }
        let status = bytes.withUnsafeBytes { XML_Parse(parser, $0.baseAddress, Int32($0.count), 1) }
        let line = Int(cexpat_line(parser))
        if let reason = builder.failure { throw XMLFailure(reason: reason, line: line) }
        // What follows the root's end harms nobody: some devices send a zero byte.
        if status != XML_STATUS_OK, !builder.isWhole {
            let reason = XML_ErrorString(XML_GetErrorCode(parser)).map { String(cString: $0) } ?? "it is not XML"
            throw XMLFailure(reason: reason, line: line)
        }
        guard let root = builder.root else { throw XMLFailure(reason: "there is no element", line: line) }
        self = root
    }
}

/// Where expat puts what it reads.
private final class XMLBuilder {
    private let limits: XMLLimits
    private var open: [XMLElement] = []
    private var texts: [[UInt8]] = []
    private var elements = 0
    private(set) var root: XMLElement?
    private(set) var failure: String?
    var parser: XML_Parser?

    init(_ limits: XMLLimits) { self.limits = limits }

    var isWhole: Bool { root != nil && open.isEmpty }

    static func of(_ data: UnsafeMutableRawPointer?) -> XMLBuilder? {
        data.map { Unmanaged<XMLBuilder>.fromOpaque($0).takeUnretainedValue() }
    }

    func fail(_ reason: String) {
        failure = failure ?? reason
        XML_StopParser(parser, 0)
    }

    func begin(_ name: UnsafePointer<CChar>?) {
        guard failure == nil else { return }
        elements += 1
        guard open.count < limits.depth else { return fail("elements are nested more than \(limits.depth) deep") }
        guard elements <= limits.elements else { return fail("there are more than \(limits.elements) elements") }
        let whole = name.map { String(cString: $0) } ?? ""
        let local = whole.utf8.lastIndex(of: UInt8(ascii: ":")).map { String(whole[whole.utf8.index(after: $0)...]) } ?? whole
        open.append(XMLElement(local))
        texts.append([])
    }

    func take(_ text: UnsafePointer<CChar>?, _ count: Int) {
        guard failure == nil, let text, !texts.isEmpty else { return }
        texts[texts.count - 1] += UnsafeRawBufferPointer(start: text, count: count)
    }

    func end() {
        guard failure == nil, var element = open.popLast(), let bytes = texts.popLast() else { return }
        var text = bytes[...]
        while let last = text.last, last <= 0x20 { text.removeLast() }
        while let first = text.first, first <= 0x20 { text.removeFirst() }
        element.text = String(decoding: text, as: UTF8.self)
        if open.isEmpty { root = root ?? element } else { open[open.count - 1].children.append(element) }
    }
}
