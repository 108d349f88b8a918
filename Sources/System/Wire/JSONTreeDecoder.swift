// Codable types out of a JSON tree that is there already: nothing is tried, each value is what it is.

/// Decodes from a tree. `JSONValue` comes out as it is, without being looked at.
final class JSONTreeDecoder: Decoder {
    let value: JSONValue
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(_ value: JSONValue, codingPath: [any CodingKey] = []) {
        self.value = value
        self.codingPath = codingPath
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = value else { throw mismatch("an object") }
        return KeyedDecodingContainer(Members(members: members, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let elements) = value else { throw mismatch("an array") }
        return Elements(elements: elements, codingPath: codingPath)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { Single(decoder: self) }

    func decoded<T: Decodable>(_ type: T.Type) throws -> T {
        if type == JSONValue.self, let value = value as? T { return value }
        return try type.init(from: self)
    }

    // MARK: Values

    private func mismatch(_ wanted: String) -> DecodingError {
        .typeMismatch(
            JSONValue.self,
            DecodingError.Context(codingPath: codingPath, debugDescription: "\(value.kind) is found where \(wanted) is expected"))
    }

    fileprivate func bool() throws -> Bool {
        guard case .bool(let value) = value else { throw mismatch("true or false") }
        return value
    }

    fileprivate func string() throws -> String {
        guard case .string(let value) = value else { throw mismatch("a string") }
        return value
    }

    fileprivate func integer<Integer: FixedWidthInteger>(_ type: Integer.Type) throws -> Integer {
        let exact: Integer?
        switch value {
        case .int(let value): exact = Integer(exactly: value)
        // Beyond 63 bits a number has 53 that count: the largest of 64 bits was rounded up.
        case .double(let value): exact = Integer(exactly: value) ?? (Integer.self == UInt64.self && value == 0x1p64 ? .max : nil)
        case .null, .bool, .string, .array, .object: throw mismatch("a whole number")
        }
        guard let exact else { throw mismatch("a whole number of \(Integer.bitWidth) bits") }
        return exact
    }

    fileprivate func floating<Number: BinaryFloatingPoint>(_ type: Number.Type) throws -> Number {
        switch value {
        case .int(let value): return Number(value)
        case .double(let value): return Number(value)
        case .null, .bool, .string, .array, .object: throw mismatch("a number")
        }
    }

    // MARK: Containers

    private struct Members<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let members: [String: JSONValue]
        let codingPath: [any CodingKey]

        var allKeys: [Key] { members.keys.compactMap { Key(stringValue: $0) } }
        func contains(_ key: Key) -> Bool { members[key.stringValue] != nil }

        private func decoder(_ key: any CodingKey) throws -> JSONTreeDecoder {
            guard let value = members[key.stringValue] else {
                throw DecodingError.keyNotFound(
                    key, DecodingError.Context(codingPath: codingPath, debugDescription: "\"\(key.stringValue)\" is missing"))
            }
            return JSONTreeDecoder(value, codingPath: codingPath + [key])
        }

        func decodeNil(forKey key: Key) throws -> Bool { try decoder(key).value == .null }
        func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try decoder(key).bool() }
        func decode(_ type: String.Type, forKey key: Key) throws -> String { try decoder(key).string() }
        func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try decoder(key).floating(type) }
        func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try decoder(key).floating(type) }
        func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try decoder(key).integer(type) }
        func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try decoder(key).integer(type) }
        func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try decoder(key).integer(type) }
        func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try decoder(key).integer(type) }
        func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try decoder(key).integer(type) }
        func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try decoder(key).integer(type) }
        func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try decoder(key).integer(type) }
        func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try decoder(key).integer(type) }
        func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try decoder(key).integer(type) }
        func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try decoder(key).integer(type) }
        func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try decoder(key).decoded(type) }

        func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<Nested> {
            try decoder(key).container(keyedBy: type)
        }
        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try decoder(key).unkeyedContainer() }
        func superDecoder() throws -> any Decoder { try decoder(Position.parent) }
        func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }
    }

    private struct Elements: UnkeyedDecodingContainer {
        let elements: [JSONValue]
        let codingPath: [any CodingKey]
        private(set) var currentIndex = 0

        init(elements: [JSONValue], codingPath: [any CodingKey]) {
            self.elements = elements
            self.codingPath = codingPath
        }

        var count: Int? { elements.count }
        var isAtEnd: Bool { currentIndex >= elements.count }

        private mutating func take<T>(_ body: (JSONTreeDecoder) throws -> T) throws -> T {
            guard !isAtEnd else {
                throw DecodingError.valueNotFound(
                    T.self, DecodingError.Context(codingPath: codingPath, debugDescription: "an array has too few elements"))
            }
            let result = try body(JSONTreeDecoder(elements[currentIndex], codingPath: codingPath + [Position(index: currentIndex)]))
            currentIndex += 1
            return result
        }

        mutating func decodeNil() throws -> Bool {
            guard !isAtEnd, elements[currentIndex] == .null else { return false }
            currentIndex += 1
            return true
        }
        mutating func decode(_ type: Bool.Type) throws -> Bool { try take { try $0.bool() } }
        mutating func decode(_ type: String.Type) throws -> String { try take { try $0.string() } }
        mutating func decode(_ type: Double.Type) throws -> Double { try take { try $0.floating(type) } }
        mutating func decode(_ type: Float.Type) throws -> Float { try take { try $0.floating(type) } }
        mutating func decode(_ type: Int.Type) throws -> Int { try take { try $0.integer(type) } }
        mutating func decode(_ type: Int8.Type) throws -> Int8 { try take { try $0.integer(type) } }
        mutating func decode(_ type: Int16.Type) throws -> Int16 { try take { try $0.integer(type) } }
        mutating func decode(_ type: Int32.Type) throws -> Int32 { try take { try $0.integer(type) } }
        mutating func decode(_ type: Int64.Type) throws -> Int64 { try take { try $0.integer(type) } }
        mutating func decode(_ type: UInt.Type) throws -> UInt { try take { try $0.integer(type) } }
        mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try take { try $0.integer(type) } }
        mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try take { try $0.integer(type) } }
        mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try take { try $0.integer(type) } }
        mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try take { try $0.integer(type) } }
        mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try take { try $0.decoded(type) } }

        mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
            try take { try $0.container(keyedBy: type) }
        }
        mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try take { try $0.unkeyedContainer() } }
        mutating func superDecoder() throws -> any Decoder { try take { $0 } }
    }

    private struct Single: SingleValueDecodingContainer {
        let decoder: JSONTreeDecoder
        var codingPath: [any CodingKey] { decoder.codingPath }

        func decodeNil() -> Bool { decoder.value == .null }
        func decode(_ type: Bool.Type) throws -> Bool { try decoder.bool() }
        func decode(_ type: String.Type) throws -> String { try decoder.string() }
        func decode(_ type: Double.Type) throws -> Double { try decoder.floating(type) }
        func decode(_ type: Float.Type) throws -> Float { try decoder.floating(type) }
        func decode(_ type: Int.Type) throws -> Int { try decoder.integer(type) }
        func decode(_ type: Int8.Type) throws -> Int8 { try decoder.integer(type) }
        func decode(_ type: Int16.Type) throws -> Int16 { try decoder.integer(type) }
        func decode(_ type: Int32.Type) throws -> Int32 { try decoder.integer(type) }
        func decode(_ type: Int64.Type) throws -> Int64 { try decoder.integer(type) }
        func decode(_ type: UInt.Type) throws -> UInt { try decoder.integer(type) }
        func decode(_ type: UInt8.Type) throws -> UInt8 { try decoder.integer(type) }
        func decode(_ type: UInt16.Type) throws -> UInt16 { try decoder.integer(type) }
        func decode(_ type: UInt32.Type) throws -> UInt32 { try decoder.integer(type) }
        func decode(_ type: UInt64.Type) throws -> UInt64 { try decoder.integer(type) }
        func decode<T: Decodable>(_ type: T.Type) throws -> T { try decoder.decoded(type) }
    }
}

/// An element's place, or the member that a class's parent is in.
struct Position: CodingKey {
    static let parent = Position(name: "super")
    let stringValue: String
    let intValue: Int?

    init(index: Int) {
        stringValue = String(index)
        intValue = index
    }
    private init(name: String) {
        stringValue = name
        intValue = nil
    }
    init?(stringValue: String) { self.init(name: stringValue) }
    init?(intValue: Int) { self.init(index: intValue) }
}

extension JSONValue {
    /// For a message about a value that is not what was wanted.
    fileprivate var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .int, .double: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}
