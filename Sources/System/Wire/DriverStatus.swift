// What `io.userdriver` says of a driver on disk: the JSON that scripts rely on.

/// A driver, as `userdriver driver list --json` prints it.
public struct DriverStatus: Codable, Hashable, Sendable {
    public enum State: String, Codable, Sendable {
        /// It is used for devices that it suits.
        case ready
        /// It is never run.
        case refused
    }

    /// Empty if the manifest can't be read.
    public var id: String
    public var version: String
    public var kind: String
    /// The folder, or the file in it that is wrong.
    public var path: String
    public var state: State
    /// Who signed it, by the name in the list of signers.
    public var signer: String?
    /// The fingerprint of the key that signed it: `"SHA256:…"`.
    public var key: String?
    /// Why it is refused, or what it goes without: `"unsigned"`.
    public var reason: String?
    /// The interfaces that it answers.
    public var provides: [String]?

    public init(
        id: String, version: String, kind: String, path: String, state: State, signer: String? = nil, key: String? = nil,
        reason: String? = nil, provides: [String]? = nil
    ) {
        self.id = id
        self.version = version
        self.kind = kind
        self.path = path
        self.state = state
        self.signer = signer
        self.key = key
        self.reason = reason
        self.provides = provides
    }
}
