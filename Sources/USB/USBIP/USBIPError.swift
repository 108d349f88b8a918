// Why bytes are not a USB/IP message.

/// Bytes from a peer that break the protocol. The connection they came on can't be trusted any further.
public struct USBIPError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong with them.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case tooShort = "fewer bytes than the message needs"
            case version = "a protocol version that is not 1.1.1"
            case code = "an operation that is not known here"
            case command = "a command that is not known here"
            case range = "a field is out of range"
            case tooLarge = "more than is accepted at once"
        }
        private var kind: Kind

        public static let tooShort = Code(kind: .tooShort)
        public static let version = Code(kind: .version)
        public static let code = Code(kind: .code)
        public static let command = Code(kind: .command)
        public static let range = Code(kind: .range)
        /// A length or a count above `USBIPLimit`.
        public static let tooLarge = Code(kind: .tooLarge)

        public var description: String { kind.rawValue }
    }

    public var code: Code
    /// The field, and what it held.
    public var detail: String

    public init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    public var description: String { "USB/IP message refused: \(code) (\(detail))" }
}

/// Bounds on what a peer can make the other side hold.
public enum USBIPLimit {
    /// Packets of one isochronous transfer: Linux's own bound.
    public static let packets = 1024
    /// Bytes of one transfer's buffer. usbfs allows 16 MiB for all transfers together.
    public static let transferBytes = 16 << 20
    /// Devices in one device list.
    public static let devices = 1024
}
