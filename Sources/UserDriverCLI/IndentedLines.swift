// Lines of text with indentation, and items that wrap under each other.

struct IndentedLines {
    static let width = 100
    private var lines: [String] = []
    private var depth = 0

    /// With a line feed at the end of each line.
    var text: String { lines.map { $0 + "\n" }.joined() }

    mutating func add(_ line: String) {
        var line = String(repeating: "  ", count: depth) + line
        while line.hasSuffix(" ") { line.removeLast() }
        lines.append(line)
    }

    mutating func blank() { lines.append("") }

    mutating func indented(_ body: (inout IndentedLines) -> Void) {
        depth += 1
        body(&self)
        depth -= 1
    }

    /// The items behind `start`, in as many lines as it takes, each beginning where the first item does.
    mutating func addWrapped(_ start: String, items: [String], separator: String) {
        let room = Self.width - 2 * depth
        let indent = String(repeating: " ", count: start.count)
        var line = start
        var isFirst = true
        for item in items {
            if !isFirst, line.count + separator.count + item.count > room {
                // A separator that says something ends the line that it breaks.
                while line.hasSuffix(" ") { line.removeLast() }
                let visible = separator.split(separator: " ").joined()
                add(visible == "," ? line + "," : line)
                line = indent + (visible.isEmpty || visible == "," ? "" : separator.drop { $0 == " " })
                isFirst = true
            }
            line += (isFirst ? "" : separator) + item
            isFirst = false
        }
        add(line)
    }
}
