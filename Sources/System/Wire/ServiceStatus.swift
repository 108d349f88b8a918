// What `io.userdriver` says of a service: the JSON of `Services`, and what a manifest says of a
// method.

/// What the supervisor must know about a method, besides its definition.
public struct MethodPolicy: Hashable, Sendable {
    public enum Right: String, Codable, Sendable {
        /// Whoever may talk to the daemon.
        case anyone
        /// Root and the daemon's own user.
        case administrator
    }

    /// May be asked again where the driver died while it worked on a call.
    public var isIdempotent: Bool
    /// The same for a call that has given replies already: the next one stands by itself.
    public var resumes: Bool
    /// How long the answer may take, and with `more` each reply, whatever happens to the driver in
    /// the meantime. `nil`: the daemon's default.
    public var deadline: Duration?
    public var right: Right

    public static let longestDeadline = Duration.seconds(3600)

    public init(isIdempotent: Bool = false, resumes: Bool = false, deadline: Duration? = nil, right: Right = .anyone) {
        self.isIdempotent = isIdempotent
        self.resumes = resumes
        self.deadline = deadline
        self.right = right
    }
}

/// An interface that a device's driver answers.
public struct ServiceStatus: Codable, Hashable, Sendable {
    public struct Method: Codable, Hashable, Sendable {
        public var name: String
        public var idempotent: Bool
        public var resumes: Bool
        /// Seconds.
        public var deadline: Double
        public var right: MethodPolicy.Right

        public init(_ name: String, _ policy: MethodPolicy) {
            self.name = name
            idempotent = policy.isIdempotent
            resumes = policy.resumes
            let (seconds, attoseconds) = (policy.deadline ?? .zero).components
            deadline = Double(seconds) + Double(attoseconds) / 1e18
            right = policy.right
        }
    }

    /// The device's id.
    public var device: String
    public var interface: String
    public var methods: [Method]

    public init(device: String, interface: String, methods: [Method]) {
        self.device = device
        self.interface = interface
        self.methods = methods
    }
}
