// What DNS-SD says of a scanner (service _uscan._tcp; Mopria eSCL 2.97 §5): its name and its TXT
// record, of what a device said.

import ScannerClient
import Wire

struct Announcement: Hashable, Sendable {
    var port: UInt16
    /// The instance's: what people read, and what SANE calls the scanner.
    var name: String
    /// `KEY=VALUE`, each of 255 bytes at most (RFC 6763 §6.1).
    var strings: [String]

    /// The longest label of DNS, bytes.
    private static let longestName = 63
    private static let longestString = 255

    init(_ scanner: ScannerCapabilities, identity: String, port: UInt16, name: String) {
        self.port = port
        self.name = Self.plain(name).clipped(toBytes: Self.longestName)
        let sources = Set(scanner.sources.map(\.source))
        let inputs = [sources.contains(.flatbed) ? "platen" : nil, sources.isDisjoint(with: [.feeder, .feederDuplex]) ? nil : "adf"]
        let modes = Set(scanner.sources.flatMap(\.modes))
        let colours: [(ScanMode, String)] = [(.color, "color"), (.gray, "grayscale"), (.blackAndWhite, "binary")]
        strings = [
            "txtvers=1",
            Self.string("ty", Self.plain(scanner.name)),
            "rs=eSCL",
            "vers=" + EndpointText.version,
            Self.list("pdl", Set(scanner.sources.flatMap(\.formats)).sorted()),
            Self.list("cs", colours.filter { modes.contains($0.0) }.map(\.1)),
            Self.list("is", inputs.compactMap(\.self)),
            "duplex=" + (sources.contains(.feederDuplex) ? "T" : "F"),
            Self.string("UUID", identity),
        ]
    }

    /// The instance's name without what tells it from others: room is left for that.
    static func base(_ scanner: ScannerCapabilities) -> String {
        let name = plain(scanner.name).clipped(toBytes: 48)
        return name.isEmpty ? "Scanner" : name
    }

    /// The names of scanners that call themselves the same, in the order in which they are given out.
    static func names(_ base: String) -> some Sequence<String> {
        (1...EndpointIdentity.range).lazy.map { $0 == 1 ? "\(base) (USB)" : "\(base) (USB \($0))" }
    }

    /// One line, no spaces at its ends.
    private static func plain(_ text: String) -> String {
        let words = text.printable.unicodeScalars.split { $0 == " " }
        return words.map { String(String.UnicodeScalarView($0)) }.joined(separator: " ")
    }

    private static func string(_ key: String, _ value: String) -> String { "\(key)=\(value)".clipped(toBytes: longestString) }

    /// As many of the values as there is room for.
    private static func list(_ key: String, _ values: [String]) -> String {
        var text = key + "="
        var isFirst = true
        for value in values.map(plain) where !value.isEmpty && !value.contains(",") {
            let longer = text + (isFirst ? "" : ",") + value
            guard longer.utf8.count <= longestString else { break }
            (text, isFirst) = (longer, false)
        }
        return text
    }

    /// As `userdriver-announce` reads it.
    var line: String { (["announce", "\(port)", name] + strings).joined(separator: "\t") + "\n" }
}
