// A manifest as lines of text, into which digests are written: everything else stays as it is,
// comments too.

/// The text of a manifest. Whether a change came out as it was meant is for the parser to say.
struct ManifestText {
    private var lines: [[UInt8]]

    init(_ bytes: [UInt8]) {
        lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
    }

    var bytes: [UInt8] { Array(lines.joined(separator: [UInt8(ascii: "\n")])) }

    /// Replaces the line `sha256:`, or puts it below `executable:`.
    mutating func setExecutableDigest(_ digest: [UInt8]) {
        let line = Array("sha256: \(Hexadecimal.text(digest))".utf8)
        if let index = lines.firstIndex(where: { $0.starts(with: "sha256:".utf8) }) {
            lines[index] = line
        } else if let index = lines.firstIndex(where: { $0.starts(with: "executable:".utf8) }) {
            lines.insert(line, at: index + 1)
        }
    }

    /// Replaces the line `sha256:` of that interface's entry, or puts it below `interface:`, in the
    /// same column.
    mutating func setDigest(_ digest: [UInt8], of interface: String) {
        guard let start = lines.firstIndex(where: { Self.names($0, interface) }) else { return }
        let column = lines[start].prefix { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "-") }.count
        let line = [UInt8](repeating: UInt8(ascii: " "), count: column) + Array("sha256: \(Hexadecimal.text(digest))".utf8)
        var index = start + 1
        while index < lines.count {
            let indent = lines[index].prefix { $0 == UInt8(ascii: " ") }.count
            let isBlank = lines[index].allSatisfy { $0 == UInt8(ascii: " ") } || lines[index].dropFirst(indent).first == UInt8(ascii: "#")
            if !isBlank, indent < column { break }
            if indent == column, lines[index].dropFirst(indent).starts(with: "sha256:".utf8) {
                lines[index] = line
                return
            }
            index += 1
        }
        lines.insert(line, at: start + 1)
    }

    /// Whether the line is `- interface: NAME`, or `interface: NAME` within an entry.
    private static func names(_ line: [UInt8], _ interface: String) -> Bool {
        let rest = line.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "-") }
        guard rest.starts(with: "interface:".utf8) else { return false }
        let value = rest.dropFirst("interface:".utf8.count).filter { ![UInt8(ascii: " "), 0x22, 0x27, 0x0d].contains($0) }
        let name = value.prefix { $0 != UInt8(ascii: "#") }
        return name.elementsEqual(interface.utf8)
    }
}
