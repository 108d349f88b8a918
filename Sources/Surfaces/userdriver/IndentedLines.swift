// Lines of text with indentation, and items that wrap under each other.

struct IndentedLines {
    /// How wide a line may be: narrower where a terminal is.
    static let widest = 100
    let width: Int
    private let utf8: Bool
    private var lines: [String] = []
    private var depth = 0

    init(width: Int? = nil, utf8: Bool = true) {
        self.width = min(width ?? Self.widest, Self.widest)
        self.utf8 = utf8
    }

    /// With a line feed at the end of each line.
    var text: String { lines.map { $0 + "\n" }.joined() }

    mutating func add(_ line: String) {
        let line = PlainText.line(line, utf8: utf8)
        let room = width - 2 * depth
        // What does not fit goes on in lines that stand further in.
        for (place, part) in PlainText.wrapped(line, width: line.count > room ? room - 4 : nil).enumerated() {
            var part = String(repeating: "  ", count: place > 0 ? depth + 2 : depth) + part
            while part.hasSuffix(" ") { part.removeLast() }
            lines.append(part)
        }
    }

    mutating func blank() { lines.append("") }

    mutating func indented(_ body: (inout IndentedLines) -> Void) {
        depth += 1
        body(&self)
        depth -= 1
    }

    /// The items behind `start`, in as many lines as it takes, each beginning where the first item does.
    mutating func addWrapped(_ start: String, items: [String], separator: String) {
        // The sign that ends a line may not be the one that is too much.
        let room = width - 2 * depth
        let indent = String(repeating: " ", count: start.count)
        var line = start
        var isFirst = true
        for (index, item) in items.enumerated() {
            let sign = index < items.count - 1 || width < Self.widest ? 1 : 0
            if !isFirst, line.count + separator.count + item.count > room - sign {
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
