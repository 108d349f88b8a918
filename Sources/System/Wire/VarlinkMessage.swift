// Varlink's two messages: a call and a reply (varlink.org, "Protocol"): JSON objects, each followed by a zero byte.

/// A method's call.
public struct VarlinkCall: Codable, Hashable, Sendable {
    /// Fully qualified: `"io.userdriver.Status"`.
    public var method: String
    public var parameters: JSONValue
    /// Several replies are wanted.
    public var more: Bool
    /// No reply is wanted.
    public var oneway: Bool
    /// Another protocol is wanted after the reply; no method here offers one.
    public var upgrade: Bool

    public init(method: String, parameters: JSONValue = .object([:]), more: Bool = false, oneway: Bool = false) {
        self.method = method
        self.parameters = parameters
        self.more = more
        self.oneway = oneway
        self.upgrade = false
    }

    private enum CodingKeys: String, CodingKey { case method, parameters, more, oneway, upgrade }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        method = try container.decode(String.self, forKey: .method)
        parameters = try container.decodeIfPresent(JSONValue.self, forKey: .parameters) ?? .object([:])
        more = try container.decodeIfPresent(Bool.self, forKey: .more) ?? false
        oneway = try container.decodeIfPresent(Bool.self, forKey: .oneway) ?? false
        upgrade = try container.decodeIfPresent(Bool.self, forKey: .upgrade) ?? false
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(method, forKey: .method)
        try container.encode(parameters, forKey: .parameters)
        if more { try container.encode(true, forKey: .more) }
        if oneway { try container.encode(true, forKey: .oneway) }
        if upgrade { try container.encode(true, forKey: .upgrade) }
    }

    /// The interface's part of `method`: `"io.userdriver"`. `nil` if there is no dot.
    public var interfaceName: String? {
        method.lastIndex(of: ".").map { String(method[..<$0]) }
    }
    /// The method's own name: `"Status"`.
    public var methodName: String {
        method.lastIndex(of: ".").map { String(method[method.index(after: $0)...]) } ?? method
    }
}

/// A reply: parameters, or an error with its parameters.
public struct VarlinkReply: Codable, Hashable, Sendable {
    public var parameters: JSONValue
    /// More replies to the same call follow.
    public var continues: Bool
    /// Fully qualified: `"io.userdriver.NoSuchDevice"`.
    public var error: String?

    public init(_ parameters: JSONValue = .object([:]), continues: Bool = false) {
        self.parameters = parameters
        self.continues = continues
        self.error = nil
    }

    public init(error: String, parameters: JSONValue = .object([:])) {
        self.parameters = parameters
        self.continues = false
        self.error = error
    }

    private enum CodingKeys: String, CodingKey { case parameters, continues, error }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        parameters = try container.decodeIfPresent(JSONValue.self, forKey: .parameters) ?? .object([:])
        continues = try container.decodeIfPresent(Bool.self, forKey: .continues) ?? false
        error = try container.decodeIfPresent(String.self, forKey: .error)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(parameters, forKey: .parameters)
        if continues { try container.encode(true, forKey: .continues) }
        try container.encodeIfPresent(error, forKey: .error)
    }

    /// The reply's parameters, or its error as it is thrown to a caller: the name without its interface, and the `message` where one came.
    public func result() throws(CallError) -> JSONValue {
        guard let error else { return parameters }
        let name = error.lastIndex(of: ".").map { String(error[error.index(after: $0)...]) } ?? error
        let message = parameters["message"]?.stringValue ?? "The call failed: \(error)."
        throw CallError(name, message)
    }
}
