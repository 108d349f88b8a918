// A GUID as USB devices send it: the names of UVC formats and extension units, container ids, platform capabilities.

/// Sixteen bytes on the wire; in text the first three groups are little endian, as Microsoft writes them.
public struct GUID: Hashable, Sendable, CustomStringConvertible {
    // Two words rather than an array: a GUID is compared often and never allocates.
    private var high: UInt64
    private var low: UInt64

    /// From the wire. `nil` unless there are exactly sixteen bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        func word(_ part: some Collection<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        high = word(bytes.prefix(8))
        low = word(bytes.dropFirst(8))
    }

    /// From text: `"32595559-0000-0010-8000-00aa00389b71"`. `nil` for anything else.
    public init?(_ text: String) {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        guard groups.map(\.count) == [8, 4, 4, 4, 12] else { return nil }
        var bytes: [UInt8] = []
        for (place, group) in groups.enumerated() {
            guard let value = UInt64(group, radix: 16), group.first != "+" else { return nil }
            let width = group.utf8.count / 2
            let big = (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (width - 1 - $0))) }
            bytes += place < 3 ? big.reversed() : big
        }
        self.init(bytes: bytes)
    }

    /// As on the wire.
    public var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) } }
    }

    /// `"32595559-0000-0010-8000-00aa00389b71"` for YUY2.
    public var description: String {
        let bytes = bytes
        return [bytes[0..<4].reversed(), bytes[4..<6].reversed(), bytes[6..<8].reversed(), Array(bytes[8..<10]), Array(bytes[10...])]
            .map { $0.map { hexadecimal($0, digits: 2) }.joined() }.joined(separator: "-")
    }
}

/// `value` in lower-case hexadecimal with at least `digits` digits.
public func hexadecimal(_ value: some BinaryInteger, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
}
