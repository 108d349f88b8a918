// Codable types into a JSON tree. `JSONValue` goes in as it is, without being looked at.

/// Encodes into a tree, which is there once the value has been encoded.
final class JSONTreeEncoder: Encoder {
    /// What has been encoded so far at one place.
    fileprivate final class Node {
        enum Content {
            case nothing
            case value(JSONValue)
            case members([String: Node])
            case elements([Node])
        }
        var content = Content.nothing

        var tree: JSONValue {
            switch content {
            case .nothing: .object([:])
            case .value(let value): value
            case .members(let members): .object(members.mapValues(\.tree))
            case .elements(let elements): .array(elements.map(\.tree))
            }
        }

        func member(_ name: String) -> Node {
            let node = Node()
            var members: [String: Node] = [:]
            if case .members(let known) = content { members = known }
            content = .nothing
            members[name] = node
            content = .members(members)
            return node
        }

        func element() -> Node {
            let node = Node()
            var elements: [Node] = []
            if case .elements(let known) = content { elements = known }
            content = .nothing
            elements.append(node)
            content = .elements(elements)
            return node
        }

        var count: Int { if case .elements(let elements) = content { elements.count } else { 0 } }
    }

    private let node: Node
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    private init(_ node: Node, _ codingPath: [any CodingKey]) {
        self.node = node
        self.codingPath = codingPath
    }

    /// Throws `EncodingError` for what JSON has no form for: infinity, and what is not a number.
    static func tree(of value: some Encodable) throws -> JSONValue {
        let node = Node()
        try encode(value, into: node, [])
        return node.tree
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if case .nothing = node.content { node.content = .members([:]) }
        return KeyedEncodingContainer(Members(node: node, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if case .nothing = node.content { node.content = .elements([]) }
        return Elements(node: node, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { Single(node: node, codingPath: codingPath) }

    // MARK: Values

    fileprivate static func encode(_ value: some Encodable, into node: Node, _ codingPath: [any CodingKey]) throws {
        switch value {
        case let value as JSONValue: node.content = .value(value)
        case let value as String: node.content = .value(.string(value))
        case let value as Bool: node.content = .value(.bool(value))
        case let value as Double: node.content = .value(try number(value, codingPath))
        case let value as Float: node.content = .value(try number(Double(value), codingPath))
        case let value as any FixedWidthInteger & Encodable: node.content = .value(number(value))
        default: try value.encode(to: JSONTreeEncoder(node, codingPath))
        }
    }

    private static func number(_ value: Double, _ codingPath: [any CodingKey]) throws -> JSONValue {
        guard value.isFinite else {
            throw EncodingError.invalidValue(
                value, EncodingError.Context(codingPath: codingPath, debugDescription: "JSON can't represent \(value)"))
        }
        return .double(value)
    }

    /// What has more bits than the tree keeps loses the last ones.
    private static func number(_ value: some FixedWidthInteger) -> JSONValue {
        Int64(exactly: value).map { .int($0) } ?? .double(Double(value))
    }

    // MARK: Containers

    private struct Members<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let node: Node
        let codingPath: [any CodingKey]

        mutating func encodeNil(forKey key: Key) throws { node.member(key.stringValue).content = .value(.null) }
        mutating func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
            try JSONTreeEncoder.encode(value, into: node.member(key.stringValue), codingPath + [key])
        }
        mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
            JSONTreeEncoder(node.member(key.stringValue), codingPath + [key]).container(keyedBy: type)
        }
        mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
            JSONTreeEncoder(node.member(key.stringValue), codingPath + [key]).unkeyedContainer()
        }
        mutating func superEncoder() -> any Encoder {
            JSONTreeEncoder(node.member(Position.parent.stringValue), codingPath + [Position.parent])
        }
        mutating func superEncoder(forKey key: Key) -> any Encoder { JSONTreeEncoder(node.member(key.stringValue), codingPath + [key]) }
    }

    private struct Elements: UnkeyedEncodingContainer {
        let node: Node
        let codingPath: [any CodingKey]
        var count: Int { node.count }

        private var path: [any CodingKey] { codingPath + [Position(index: count)] }

        mutating func encodeNil() throws { node.element().content = .value(.null) }
        mutating func encode<T: Encodable>(_ value: T) throws {
            let path = path
            try JSONTreeEncoder.encode(value, into: node.element(), path)
        }
        mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
            let path = path
            return JSONTreeEncoder(node.element(), path).container(keyedBy: type)
        }
        mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
            let path = path
            return JSONTreeEncoder(node.element(), path).unkeyedContainer()
        }
        mutating func superEncoder() -> any Encoder {
            let path = path
            return JSONTreeEncoder(node.element(), path)
        }
    }

    private struct Single: SingleValueEncodingContainer {
        let node: Node
        let codingPath: [any CodingKey]

        mutating func encodeNil() throws { node.content = .value(.null) }
        mutating func encode<T: Encodable>(_ value: T) throws { try JSONTreeEncoder.encode(value, into: node, codingPath) }
    }
}
