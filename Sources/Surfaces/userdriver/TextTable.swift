// Tables for people: columns as wide as they need to be, and no wider than the terminal.

import Wire

/// A table for people: a line of headings, columns two spaces apart.
///
/// Where a terminal has too little room, columns that can be spared are shortened and then left out, in the order that the table says; the
/// first column, by which a row is known, is the last to be shortened.
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
    /// Columns that can be left out, the first to go first.
    var spared: [Int] = []
    private(set) var rows: [[Cell]] = []
    private static let gap = 2
    /// A column that is shortened keeps this much, as far as it has it, before one is left out.
    private static let least = 10

    init(_ headings: String..., rightAligned: Set<Int> = [], spared: [Int] = []) {
        self.headings = headings
        self.rightAligned = rightAligned
        self.spared = spared
    }

    mutating func add(_ cells: Cell...) { rows.append(cells) }

    /// The lines, without colours unless they are asked for, without spaces at their ends, and where `width` says so not longer than that.
    func lines(colours: Bool, width: Int? = nil, utf8: Bool = true) -> [String] {
        let table = ([headings.map { Cell($0, .faint) }] + rows).map { row in
            row.map { Cell(PlainText.line($0.text, utf8: utf8), $0.colour) }
        }
        let (columns, widths) = layout(table, width: width)
        return table.map { row in
            let shown = columns.filter { $0 < row.count }
            var line = ""
            for column in shown {
                let text = PlainText.shortened(row[column].text, to: widths[column], utf8: utf8)
                let padding = String(repeating: " ", count: max(0, widths[column] - text.count))
                let painted = colours ? Terminal.coloured(text, row[column].colour) : text
                let isLast = column == shown.last
                line += rightAligned.contains(column) ? padding + painted : painted + (isLast ? "" : padding)
                if !isLast { line += String(repeating: " ", count: Self.gap) }
            }
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }

    /// The columns that are shown, and how wide each is.
    private func layout(_ table: [[Cell]], width: Int?) -> (columns: [Int], widths: [Int]) {
        var widths = headings.indices.map { column in table.reduce(0) { max($0, column < $1.count ? $1[column].text.count : 0) } }
        var columns = Array(headings.indices)
        guard let width else { return (columns, widths) }
        func excess() -> Int { columns.reduce(-Self.gap) { $0 + widths[$1] + Self.gap } - width }
        for column in spared where excess() > 0 {
            let least = min(widths[column], Self.least)
            if !rightAligned.contains(column), widths[column] - excess() >= least {
                widths[column] -= excess()
            } else {
                columns.removeAll { $0 == column }
            }
        }
        // What remains is shortened where it is widest, so that as much as can be is left of each.
        while excess() > 0 {
            let others = columns.dropFirst().filter { widths[$0] > 4 }
            guard let widest = (others.isEmpty ? columns.prefix(1).filter { widths[$0] > 4 } : others).max(by: { widths[$0] < widths[$1] })
            else { break }
            widths[widest] -= 1
        }
        return (columns, widths)
    }
}
