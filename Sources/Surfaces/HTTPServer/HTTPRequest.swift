// A request as a site sees it.

public struct HTTPRequest: Sendable {
    /// HEAD is reported as GET: the library leaves the answer's body out.
    public var method: String
    public var isHead = false
    /// Decoded.
    public var path: String
    /// Names in lower case; those only that the site has asked for.
    public var headers: [String: String] = [:]
    /// The query's words and values, decoded.
    public var query: [String: String] = [:]
    public var cookies: [String: String] = [:]
    public var body: [UInt8] = []
    /// Whose process has made the other end; `nil` if the site has not asked for it, and where it
    /// is not known.
    public var user: UInt32?

    public init(method: String, path: String) {
        self.method = method
        self.path = path
    }
}

/// What a site looks at of a request; all else is left where it is.
public struct HTTPInterests: Sendable {
    /// In lower case.
    public var headers: [String] = []
    public var query: [String] = []
    public var cookies: [String] = []
    /// Bytes of a body. 0: bodies are read past. A longer one is answered with 413.
    public var body = 0
    public var user = false
    public init() {}
}
