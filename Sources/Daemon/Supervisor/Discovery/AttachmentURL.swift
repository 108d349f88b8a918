// usbip://HOST[:PORT]/BUSID: a device on another machine.

/// Where an attached device is: a USB/IP server and the bus id it exports the device under.
public struct AttachmentURL: Hashable, Sendable, CustomStringConvertible {
    /// What is wrong with a text that should be one.
    public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        public var description: String
    }

    /// A name or an address; an IPv6 address without its brackets.
    public let host: String
    public let port: UInt16
    /// `"1-1"`
    public let busID: String

    public static let scheme = "usbip://"
    /// USB/IP's registered port.
    public static let defaultPort: UInt16 = 3240

    public init(_ text: String) throws(ParseError) {
        func failure(_ problem: String) -> ParseError {
            ParseError(
                description:
                    "\"\(text.prefix(200))\" is not the address of a device: \(problem). The form is usbip://HOST[:PORT]/BUSID.")
        }
        guard text.utf8.count <= 300 else { throw failure("it is longer than 300 bytes") }
        guard text.hasPrefix(Self.scheme) else { throw failure("it does not begin with \(Self.scheme)") }
        let rest = text.dropFirst(Self.scheme.count)
        guard let slash = rest.firstIndex(of: "/") else { throw failure("the bus id is missing") }
        var authority = rest[..<slash]
        let busID = rest[rest.index(after: slash)...]
        var portText: Substring?
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw failure("the bracket of the IPv6 address is not closed") }
            let after = authority[authority.index(after: end)...]
            guard after.isEmpty || after.hasPrefix(":") else { throw failure("the bracket must be followed by a colon and the port") }
            if after.hasPrefix(":") { portText = after.dropFirst() }
            authority = authority[authority.index(after: authority.startIndex)..<end]
            guard authority.contains(":"), authority.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." || $0 == "%" || $0.isLetter })
            else {
                throw failure("the part in brackets is not an IPv6 address")
            }
        } else {
            if let colon = authority.firstIndex(of: ":") {
                portText = authority[authority.index(after: colon)...]
                authority = authority[..<colon]
            }
            guard authority.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "-" || $0 == "_") }) else {
                throw failure("the host has characters that no name has (put an IPv6 address in brackets)")
            }
        }
        guard !authority.isEmpty else { throw failure("the host is missing") }
        if let portText {
            guard let port = UInt16(portText), port > 0, portText.allSatisfy(\.isNumber) else {
                throw failure("the port is not a number from 1 to 65535")
            }
            self.port = port
        } else {
            port = Self.defaultPort
        }
        // The protocol has 32 bytes for it, the last of them zero.
        guard !busID.isEmpty, busID.utf8.count <= 31 else { throw failure("a bus id has 1 to 31 characters") }
        guard busID.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "-" || $0 == "_" || $0 == ":") }) else {
            throw failure("the bus id has characters that no bus id has")
        }
        host = String(authority)
        self.busID = String(busID)
    }

    /// `"127.0.0.1:3240"`, `"[::1]:3240"`
    public var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    public var description: String { "\(Self.scheme)\(authority)/\(busID)" }
}
