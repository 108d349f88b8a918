// What is odd in a device's descriptors: found by the parsers, read by people, never a reason to refuse the device.

/// One thing that a device's descriptors get wrong, or that the parser had to guess or leave out.
public struct DescriptorAnomaly: Hashable, Sendable, Codable, CustomStringConvertible {
    /// How much it matters.
    public enum Severity: String, Hashable, Sendable, Codable {
        /// Unusual, and without consequence for the reader of the descriptors.
        case note
        /// Wrong; the parser knew what was meant.
        case wrong
        /// Something could not be read, and is missing from the result.
        case lost
    }

    /// What sort of mistake it is.
    public enum Kind: String, Hashable, Sendable, Codable {
        /// The bytes end before the descriptor does.
        case truncated
        /// A `bLength` or `wTotalLength` that does not fit what it describes.
        case length
        /// A count (`bNumFormats`, `bNumEndpoints`…) that does not fit what is there.
        case count
        /// Two things with the same number.
        case duplicate
        /// Something that is referred to, or is mandatory, and is not there.
        case missing
        /// A descriptor that no specification we know defines.
        case unknown
        /// A field with a value that makes no sense.
        case value
        /// A descriptor in a place where it does not belong.
        case misplaced
    }

    /// Where, in bytes from the start of what was parsed.
    public var offset: Int
    public var severity: Severity
    public var kind: Kind
    /// A full sentence.
    public var message: String

    public init(offset: Int, severity: Severity, kind: Kind, message: String) {
        self.offset = offset
        self.severity = severity
        self.kind = kind
        self.message = message
    }

    public var description: String { "\(message) (at byte \(offset))" }
}

/// Collects anomalies, up to a limit: hostile bytes must not fill the memory with complaints.
public struct DescriptorAnomalies: Sendable {
    /// More than any real device has, by far.
    public static let limit = 200
    /// The first `limit` anomalies, in the order in which they were found.
    public private(set) var list: [DescriptorAnomaly] = []
    /// How many more there were.
    public private(set) var omitted = 0

    public init() {}

    /// The sentence is only made when it will be kept.
    public mutating func add(
        _ severity: DescriptorAnomaly.Severity, _ kind: DescriptorAnomaly.Kind, at offset: Int, _ message: @autoclosure () -> String
    ) {
        if list.count < Self.limit {
            list.append(DescriptorAnomaly(offset: offset, severity: severity, kind: kind, message: message()))
        } else {
            omitted += 1
        }
    }
}
