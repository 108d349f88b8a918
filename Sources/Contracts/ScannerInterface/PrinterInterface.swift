// io.userdriver.printer: requests of print programs on their way to the device. The definition is
// the file beside, which the driver's bundle ships.

public import Wire

/// The interface of devices that print.
public enum PrinterInterface {
    public static let name = "io.userdriver.printer"
    /// Parsed at its first use.
    public static let interface = VarlinkInterface(
        ours: String(decoding: PackageResources.io_userdriver_printer_varlink, as: UTF8.self))

    /// Its methods, without the interface's name.
    public enum Method: String, CaseIterable, Sendable {
        case send = "Send"
        case receive = "Receive"
        case end = "End"
    }

    /// The most bytes that a `Send` takes.
    public static let largestPiece = 1 << 20
}

/// A piece of a request's body; its bytes come as memory.
public struct PrintPiece: Codable, Hashable, Sendable {
    public var request: String
    public var path: String
    public var offset: UInt64
    public var last: Bool

    public init(request: String, path: String, offset: UInt64, last: Bool) {
        self.request = request
        self.path = path
        self.offset = offset
        self.last = last
    }

    /// Whether it can be the name of a request: 1 to 64 letters, digits, hyphens.
    public static func isName(_ text: String) -> Bool {
        1...64 ~= text.utf8.count
            && text.utf8.allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x7a ~= $0 | 0x20 || $0 == UInt8(ascii: "-") }
    }

    /// Whether it is a path of the device's print service: `/ipp/`, and names behind it. Nothing in it leads elsewhere, nor means anything to
    /// who decodes it once more.
    public static func isPath(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard text.utf8.count <= 240, parts.count >= 3, parts[0].isEmpty, parts[1].elementsEqual("ipp".utf8) else { return false }
        return parts.dropFirst(2).allSatisfy { part in
            !part.isEmpty && !part.elementsEqual(".".utf8) && !part.elementsEqual("..".utf8)
                && part.allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x7a ~= $0 | 0x20 || "-._".utf8.contains($0) }
        }
    }
}

/// What precedes an answer's bytes.
public struct PrintAnswerHead: Codable, Hashable, Sendable {
    /// HTTP's.
    public var status: Int
    /// The media type.
    public var type: String
    /// Bytes.
    public var size: Int

    public init(status: Int, type: String, size: Int) {
        self.status = status
        self.type = type
        self.size = size
    }
}
