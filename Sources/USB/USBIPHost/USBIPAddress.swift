// usbip://HOST[:PORT]/BUSID: a device on another machine, or an emulated one.

/// Where a device is offered over USB/IP, and under which name.
public struct USBIPAddress: Hashable, Sendable, CustomStringConvertible {
    /// The port that IANA gave USB/IP.
    public static let standardPort: UInt16 = 3240

    /// A name or a numeric address, IPv6 without brackets.
    public var host: String
    public var port: UInt16
    /// At most 31 bytes are carried.
    public var busID: String

    public init(host: String, port: UInt16 = standardPort, busID: String) {
        self.host = host
        self.port = port
        self.busID = busID
    }

    /// `nil` for anything that is not such an address.
    public init?(_ text: String) {
        let scheme = "usbip://"
        guard text.hasPrefix(scheme) else { return nil }
        let rest = text.dropFirst(scheme.count)
        guard let slash = rest.firstIndex(of: "/") else { return nil }
        var authority = rest[..<slash]
        let busID = rest[rest.index(after: slash)...]
        guard (1...31).contains(busID.utf8.count), !busID.contains("/") else { return nil }
        port = Self.standardPort
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            authority = authority[authority.index(after: end)...]
            guard authority.isEmpty || authority.hasPrefix(":") else { return nil }
        } else {
            let end = authority.firstIndex(of: ":") ?? authority.endIndex
            host = String(authority[..<end])
            authority = authority[end...]
        }
        if !authority.isEmpty {
            guard let number = UInt16(authority.dropFirst()), number > 0 else { return nil }
            port = number
        }
        guard !host.isEmpty else { return nil }
        self.busID = String(busID)
    }

    public var description: String { "usbip://" + (host.contains(":") ? "[\(host)]" : host) + ":\(port)/\(busID)" }
}
