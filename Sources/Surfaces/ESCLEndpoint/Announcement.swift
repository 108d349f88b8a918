// What DNS-SD says of a device: a service's type, its name and its TXT record, of what a device said.

import Wire

struct Announcement: Hashable, Sendable {
    enum ServiceType: String, CaseIterable, Comparable, Sendable {
        case printer = "_ipp._tcp"
        case scanner = "_uscan._tcp"
        static func < (a: ServiceType, b: ServiceType) -> Bool { a.rawValue < b.rawValue }
    }

    /// A port may carry several services, one of each type.
    struct Key: Hashable, Comparable, Sendable {
        var port: UInt16
        var type: ServiceType
        static func < (a: Key, b: Key) -> Bool { (a.port, a.type) < (b.port, b.type) }
    }

    let key: Key
    var port: UInt16 { key.port }
    /// By which clients look for some of the services only (RFC 6763 §7.1): `"_universal"`.
    var subtypes: [String] = []
    /// The instance's: what people read, and what SANE calls the scanner.
    var name: String
    /// `KEY=VALUE`, each of 255 bytes at most (RFC 6763 §6.1).
    var strings: [String]

    /// The longest label of DNS, bytes.
    private static let longestName = 63
    private static let longestString = 255

    init(_ type: ServiceType, subtypes: [String] = [], port: UInt16, name: String, strings: [String]) {
        key = Key(port: port, type: type)
        self.subtypes = subtypes
        self.name = Self.plain(name).clipped(toBytes: Self.longestName)
        self.strings = strings
    }

    // MARK: Names

    /// Of what a device calls itself: room is left for what tells it from others.
    static func base(_ name: String, otherwise: String) -> String {
        let name = plain(name).clipped(toBytes: 48)
        return name.isEmpty ? otherwise : name
    }

    /// The names of devices that call themselves the same, in the order in which they are given out.
    static func names(_ base: String) -> some Sequence<String> {
        (1...EndpointIdentity.range).lazy.map { $0 == 1 ? "\(base) (USB)" : "\(base) (USB \($0))" }
    }

    // MARK: Texts

    /// One line, no spaces at its ends.
    static func plain(_ text: String) -> String {
        let words = text.printable.unicodeScalars.split { $0 == " " }
        return words.map { String(String.UnicodeScalarView($0)) }.joined(separator: " ")
    }

    static func string(_ key: String, _ value: String) -> String { "\(key)=\(plain(value))".clipped(toBytes: longestString) }

    /// As many of the values as there is room for.
    static func list(_ key: String, _ values: [String]) -> String {
        var text = key + "="
        var isFirst = true
        for value in values.map(plain) where !value.isEmpty && !value.utf8.contains(UInt8(ascii: ",")) {
            let longer = text + (isFirst ? "" : ",") + value
            guard longer.utf8.count <= longestString else { break }
            (text, isFirst) = (longer, false)
        }
        return text
    }

    // MARK: Lines

    /// As `userdriver-announce` reads it.
    var line: String {
        let type = ([key.type.rawValue] + subtypes).joined(separator: ",")
        return (["announce", type, "\(key.port)", name] + strings).joined(separator: "\t") + "\n"
    }

    static func withdrawal(_ key: Key) -> String { "withdraw\t\(key.type.rawValue)\t\(key.port)\n" }
}
