// Facts in aligned columns.

import Wire

/// A table for people: a line of headings, columns two spaces apart.
struct TextTable {
    /// A cell's text, and how it is shown on a terminal.
    struct Cell: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
        var text: String
        var colour: Terminal.Colour?
        init(_ text: String, _ colour: Terminal.Colour? = nil) {
            self.text = text.printable
            self.colour = colour
        }
        init(stringLiteral value: String) { self.init(value) }
    }

    let headings: [String]
    /// Columns that are aligned to the right.
    var rightAligned: Set<Int> = []
    private(set) var rows: [[Cell]] = []

    init(_ headings: String..., rightAligned: Set<Int> = []) {
        self.headings = headings
        self.rightAligned = rightAligned
    }

    mutating func add(_ cells: Cell...) { rows.append(cells) }

    /// The lines, without colours unless they are asked for, and without spaces at their ends.
    func lines(colours: Bool) -> [String] {
        let widths = headings.indices.map { column in
            rows.reduce(headings[column].count) { max($0, column < $1.count ? $1[column].text.count : 0) }
        }
        let header = headings.map { Cell($0, .faint) }
        return ([header] + rows).map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: max(0, widths[column] - cell.text.count))
                let text = colours ? Terminal.coloured(cell.text, cell.colour) : cell.text
                let isLast = column == row.count - 1
                line += rightAligned.contains(column) ? padding + text : text + (isLast ? "" : padding)
                if !isLast { line += "  " }
            }
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }
}
