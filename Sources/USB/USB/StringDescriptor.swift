// String descriptors: UTF-16 little endian text, and string 0's list of languages.

/// USB 2.0 §9.6.7.
public enum StringDescriptor {
    /// `wLANGID` of US English, what nearly every device has.
    public static let english: UInt16 = 0x0409

    /// The languages of string 0. Empty for anything that is not a string descriptor.
    public static func languages(_ bytes: [UInt8]) -> [UInt16] { units(bytes) ?? [] }

    /// The text: what is not UTF-16 becomes U+FFFD, zeros at the end (many devices pad) and control
    /// characters go. `nil` for anything that is not a string descriptor.
    public static func text(_ bytes: [UInt8]) -> String? {
        guard let units = units(bytes) else { return nil }
        let text = String(decoding: units, as: UTF16.self)
        let scalars = text.unicodeScalars.filter { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) }
        let kept = String(String.UnicodeScalarView(scalars))
        return String(kept.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    /// A string descriptor of the text, cut to the 126 UTF-16 units that fit.
    public static func encode(_ text: String) -> [UInt8] {
        var units = Array(text.utf16.prefix(126))
        if let last = units.last, UTF16.isLeadSurrogate(last) { units.removeLast() }
        return encode(units: units)
    }

    /// String 0.
    public static func encode(languages: [UInt16]) -> [UInt8] { encode(units: Array(languages.prefix(126))) }

    private static func encode(units: [UInt16]) -> [UInt8] {
        [UInt8(2 + 2 * units.count), DescriptorType.string] + units.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
    }

    /// Whole 16-bit units within both `bLength` and what came: some devices send more or less than they say.
    private static func units(_ bytes: [UInt8]) -> [UInt16]? {
        guard bytes.count >= 2, bytes[1] == DescriptorType.string, bytes[0] >= 2 else { return nil }
        let end = min(bytes.count, Int(bytes[0]))
        return stride(from: 2, to: end - 1, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
    }
}
