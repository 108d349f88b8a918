// Line charts and stacked bars as SVG: no more than the documents need.

import Glibc

/// Text that may stand in SVG.
private func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
}

/// A picture that is put together line by line. Coordinates are pixels from the top left corner.
struct Drawing {
    static let palette = ["#2f6f9f", "#d1702a", "#3d8f54", "#8a4f9e", "#b03a48", "#6b6b6b"]

    private var lines: [String] = []

    init(width: Int, height: Int, title: String) {
        lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(width) \(height)\" width=\"\(width)\" height=\"\(height)\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">",
            "<title>\(escaped(title))</title>", "<rect width=\"\(width)\" height=\"\(height)\" fill=\"#ffffff\"/>",
        ]
        text(title, 16, 24, size: 15)
    }

    mutating func text(_ text: String, _ x: Double, _ y: Double, anchor: String = "start", size: Int = 12, colour: String = "#222222") {
        lines.append(
            "<text x=\"\(Self.short(x))\" y=\"\(Self.short(y))\" text-anchor=\"\(anchor)\" font-size=\"\(size)\" fill=\"\(colour)\">\(escaped(text))</text>"
        )
    }

    mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, colour: String = "#dddddd") {
        lines.append(
            "<line x1=\"\(Self.short(x1))\" y1=\"\(Self.short(y1))\" x2=\"\(Self.short(x2))\" y2=\"\(Self.short(y2))\" stroke=\"\(colour)\"/>"
        )
    }

    mutating func rectangle(_ x: Double, _ y: Double, _ width: Double, _ height: Double, colour: String) {
        lines.append(
            "<rect x=\"\(Self.short(x))\" y=\"\(Self.short(y))\" width=\"\(Self.short(width))\" height=\"\(Self.short(height))\" fill=\"\(colour)\"/>"
        )
    }

    mutating func curve(_ points: [(Double, Double)], colour: String) {
        let path = points.map { "\(Self.short($0.0)),\(Self.short($0.1))" }.joined(separator: " ")
        lines.append("<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.8\"/>")
    }

    mutating func dot(_ x: Double, _ y: Double, colour: String) {
        lines.append("<circle cx=\"\(Self.short(x))\" cy=\"\(Self.short(y))\" r=\"2.6\" fill=\"\(colour)\"/>")
    }

    var svg: String { (lines + ["</svg>"]).joined(separator: "\n") + "\n" }

    /// One digit behind the point is enough for a pixel.
    private static func short(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        let fraction = abs(tenths % 10)
        return (tenths < 0 && tenths > -10 ? "-" : "") + "\(tenths / 10)" + (fraction == 0 ? "" : ".\(fraction)")
    }
}

/// Curves over a common pair of axes.
struct LineChart {
    struct Series {
        var name: String
        var points: [(x: Double, y: Double)]
    }
    struct Axis {
        var label: String
        /// Where the axis is marked, ascending; the first and the last are its ends.
        var marks: [Double]
        var isLogarithmic = false

        /// 0…1
        func place(_ value: Double) -> Double {
            let (low, high) = (marks[0], marks[marks.count - 1])
            let within = min(max(value, low), high)
            return isLogarithmic ? (log(within) - log(low)) / (log(high) - log(low)) : (within - low) / (high - low)
        }

        /// Marks at 1, 2 and 5 times each power of ten, so that the largest value has room.
        static func logarithmic(_ label: String, from low: Double, through high: Double) -> Axis {
            var marks: [Double] = []
            var decade = 1.0
            while decade > low { decade /= 10 }
            while marks.last ?? 0 < high {
                marks += [1, 2, 5].map { $0 * decade }
                decade *= 10
            }
            let first = marks.lastIndex { $0 <= low } ?? 0
            let last = marks.firstIndex { $0 >= high } ?? marks.count - 1
            return Axis(label: label, marks: Array(marks[first...last]), isLogarithmic: true)
        }

        /// Marks at whole steps from zero.
        static func linear(_ label: String, through high: Double) -> Axis {
            var step = 1.0
            while high / step > 8 { step *= high / step > 40 ? 10 : high / step > 16 ? 5 : 2 }
            let count = max(1, Int((high / step).rounded(.up)))
            return Axis(label: label, marks: (0...count).map { Double($0) * step })
        }
    }

    var title: String
    var x: Axis
    var y: Axis
    var series: [Series]
    var hasDots = false

    var svg: String {
        let (left, top, width, height) = (70.0, 44.0, 620.0, 290.0)
        var drawing = Drawing(width: 860, height: 400, title: title)
        for mark in y.marks {
            let place = top + height * (1 - y.place(mark))
            drawing.line(left, place, left + width, place)
            drawing.text(Self.number(mark), left - 8, place + 4, anchor: "end")
        }
        for mark in x.marks {
            let place = left + width * x.place(mark)
            drawing.line(place, top + height, place, top + height + 5, colour: "#222222")
            drawing.text(Self.number(mark), place, top + height + 20, anchor: "middle")
        }
        drawing.line(left, top + height, left + width, top + height, colour: "#222222")
        drawing.text(x.label, left + width / 2, top + height + 42, anchor: "middle")
        drawing.text(y.label, left, top - 6)
        for (index, series) in series.enumerated() {
            let colour = Drawing.palette[index % Drawing.palette.count]
            let points = series.points.map { (left + width * x.place($0.x), top + height * (1 - y.place($0.y))) }
            drawing.curve(points, colour: colour)
            if hasDots { for point in points { drawing.dot(point.0, point.1, colour: colour) } }
            drawing.rectangle(left + width + 18, top + 8 + Double(index) * 22, 14, 4, colour: colour)
            drawing.text(series.name, left + width + 38, top + 14 + Double(index) * 22)
        }
        return drawing.svg
    }

    /// `"1.5"`, `"20"`, `"100k"`
    private static func number(_ value: Double) -> String {
        if value >= 10_000 { return number(value / 1000) + "k" }
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}

/// A bar of shares for each row.
struct ShareChart {
    var title: String
    /// What the pieces of a bar stand for.
    var pieces: [String]
    /// How many of each piece.
    var rows: [(name: String, counts: [Int])]

    private static let colours = ["#cfe3d4", "#f3d98b", "#eeb15f", "#d97a3c", "#b03a48"]

    var svg: String {
        let (left, top, width, step) = (100.0, 70.0, 600.0, 26.0)
        var drawing = Drawing(width: 860, height: Int(top + Double(rows.count) * step) + 20, title: title)
        var place = left
        for (index, piece) in pieces.enumerated() {
            drawing.rectangle(place, 42, 14, 14, colour: Self.colours[index])
            drawing.text(piece, place + 20, 54)
            place += 40 + Double(piece.count) * 7
        }
        for (row, entry) in rows.enumerated() {
            let y = top + Double(row) * step
            let total = max(1, entry.counts.reduce(0, +))
            drawing.text(entry.name, left - 8, y + 14, anchor: "end")
            var x = left
            for (index, count) in entry.counts.enumerated() where count > 0 {
                let piece = width * Double(count) / Double(total)
                drawing.rectangle(x, y, piece, 18, colour: Self.colours[index])
                x += piece
            }
            let none = Double(entry.counts[0]) / Double(total) * 1000
            drawing.text("\(Double(Int(none.rounded(.down))) / 10) % cost none", left + width + 10, y + 14)
        }
        return drawing.svg
    }
}
