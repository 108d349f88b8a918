// What `io.userdriver` says of a device that `userdriver setup` concerns: the JSON that scripts rely on.

/// A device, or a function of one, that changes hands.
public struct SetUpChange: Codable, Hashable, Sendable {
    /// Its id, as `userdriver list` prints it.
    public var device: String
    public var name: String
    /// From the kernel's driver; else given back to it.
    public var taken: Bool
    /// Why it did not change hands.
    public var failure: String?

    public init(device: String, name: String, taken: Bool, failure: String? = nil) {
        self.device = device
        self.name = name
        self.taken = taken
        self.failure = failure
    }
}
