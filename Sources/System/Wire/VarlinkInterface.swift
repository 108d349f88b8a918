// A Varlink interface as its definition says it: types, methods, errors.

/// An interface that was read from its definition (varlink.org, "Interface Definition").
public struct VarlinkInterface: Hashable, Sendable {
    /// A member of a structure, a parameter.
    public struct Field: Hashable, Sendable {
        public var name: String
        public var type: VarlinkType

        public init(name: String, type: VarlinkType) {
            self.name = name
            self.type = type
        }
    }

    public struct TypeDefinition: Hashable, Sendable {
        public var name: String
        public var type: VarlinkType
    }

    public struct Method: Hashable, Sendable {
        public var name: String
        public var input: [Field]
        public var output: [Field]
        /// The comment lines above it, without their signs.
        public var comment: String

        /// `"SetUnit(unit: string) -> (unit: string)"`
        public var signature: String { "\(name)\(VarlinkType.text(input)) -> \(VarlinkType.text(output))" }
    }

    public struct ErrorDefinition: Hashable, Sendable {
        public var name: String
        public var fields: [Field]
    }

    /// `"org.example.thermometer"`
    public let name: String
    /// The definition, to the letter.
    public let text: String
    public let types: [TypeDefinition]
    public let methods: [Method]
    public let errors: [ErrorDefinition]

    /// Bytes of a definition.
    public static let maximumBytes = 64 << 10

    /// Reads a definition, which is not trusted: bounded in size and depth, read in one pass.
    public init(parsing text: some Sequence<UInt8>) throws(VarlinkSyntaxError) {
        var parser = try VarlinkInterfaceParser(text)
        self = try parser.parse()
    }

    init(name: String, text: String, types: [TypeDefinition], methods: [Method], errors: [ErrorDefinition]) {
        self.name = name
        self.text = text
        self.types = types
        self.methods = methods
        self.errors = errors
    }

    /// A definition of this project's own; that it can be read is for a test to show.
    public init(ours text: String) {
        do throws(VarlinkSyntaxError) {
            self = try VarlinkInterface(parsing: text.utf8)
        } catch {
            preconditionFailure("a definition of this program's own can't be read: \(error)")
        }
    }

    public func method(_ name: String) -> Method? { methods.first { $0.name == name } }
    public func hasError(_ name: String) -> Bool { errors.contains { $0.name == name } }
    public func type(_ name: String) -> VarlinkType? { types.first { $0.name == name }?.type }
}

/// A type of Varlink's.
public indirect enum VarlinkType: Hashable, Sendable, CustomStringConvertible {
    case bool, int, float, string
    /// Any JSON object.
    case object
    case enumeration([String])
    case structure([VarlinkInterface.Field])
    /// One of the interface's own types.
    case named(String)
    case optional(VarlinkType)
    case array(VarlinkType)
    /// From strings to a type.
    case map(VarlinkType)

    public var description: String {
        switch self {
        case .bool: "bool"
        case .int: "int"
        case .float: "float"
        case .string: "string"
        case .object: "object"
        case .enumeration(let cases): "(\(cases.joined(separator: ", ")))"
        case .structure(let fields): Self.text(fields)
        case .named(let name): name
        case .optional(let type): "?\(type)"
        case .array(let type): "[]\(type)"
        case .map(let type): "[string]\(type)"
        }
    }

    static func text(_ fields: [VarlinkInterface.Field]) -> String {
        "(\(fields.map { "\($0.name): \($0.type)" }.joined(separator: ", ")))"
    }
}

/// What is wrong with a definition, and where.
public struct VarlinkSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Counted from 1; columns in bytes.
    public var line: Int
    public var column: Int
    public var problem: String

    public var description: String { "\(problem) (line \(line), column \(column))" }
}
