// What supervisor and usbip-proxy say to each other: over the same kind of channel as with drivers.

/// From the supervisor to a port.
public enum MessageToPort: Codable, Hashable, Sendable {
    /// First word. Descriptor 0 attached: the USB/IP socket, on which the import has been answered.
    case start(usbipDeviceID: UInt32)
    /// A driver of that function has the other end of descriptor 0, a pair of stream sockets; what
    /// the one before left in flight is ended.
    case driver(function: Int, rights: PortRights)
    /// The function is let go of: nothing of it is in flight any more, and its interfaces are at
    /// alternate setting 0.
    case leave(function: Int)
    /// Carry the transfers of this ring of a function. Descriptor 0 attached: its memfd; descriptor
    /// 1: the eventfd by which the driver says that there are more.
    case carry(TransferGrant, function: Int, interval: Int32)
    /// End what is in flight in a function's ring.
    case end(function: Int, number: Int)
}

/// What of the device a function's driver may speak to.
public struct PortRights: Codable, Hashable, Sendable {
    /// Bit n: interface n.
    public var interfaces: UInt32
    /// `bEndpointAddress` of every endpoint of those interfaces.
    public var endpoints: [UInt8]

    public init(interfaces: UInt32, endpoints: [UInt8]) {
        self.interfaces = interfaces
        self.endpoints = endpoints
    }
}

/// From a port to the supervisor. A port that ends says why before, where it can.
public enum MessageFromPort: Codable, Hashable, Sendable {
    /// First word: its own code runs.
    case loaded
    /// The device is gone, or its server is. The process ends after it.
    case gone(reason: String)
    /// A ring can't be carried.
    case refused(number: Int, reason: String)
}
