// What may be shown: no character from a device, a driver, a client or a server steers a terminal or a log, or hides what stands there.

extension Unicode.Scalar {
    /// Whether it shows as itself: no control character (C0, DEL, C1), none that formats (bidirectional marks and isolates, zero width, tags), no
    /// separator of lines or paragraphs.
    public var isPrintable: Bool {
        if value < 0x7F { return value >= 0x20 }
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: return false
        default: return value & 0xFFFE != 0xFFFE && !(0xFDD0...0xFDEF ~= value)
        }
    }
}

extension String {
    /// The beginning of it, so many bytes of UTF-8 at most, and no scalar cut in two. (A character may be as long as it likes.)
    public func clipped(toBytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        return String(unicodeScalars[..<unicodeScalars.index(before: utf8.index(after: utf8.index(startIndex, offsetBy: limit)))])
    }

    /// The same text for a log or a terminal, in one line: of what is not printable controls and white space become a space, everything else U+FFFD.
    public var printable: String {
        if utf8.allSatisfy({ 0x20..<0x7F ~= $0 }) { return self }
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if scalar.isPrintable {
                result.append(scalar)
            } else {
                result.append(scalar.value < 0xA0 || scalar.properties.isWhitespace ? " " : "\u{FFFD}")
            }
        }
        return String(result)
    }
}
