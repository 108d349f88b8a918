// What stands on a sheet: rulers, a title, its number, lines of text, patches of colour, a picture, and
// the stamp.

import Glibc

enum PageDrawing {
    private static let paper = ScanSettings.Region.a4

    static func draw(_ order: PageOrder) -> PageCanvas {
        var canvas = PageCanvas(order.settings)
        let seed = UInt64(order.sheet) << 1 | UInt64(order.side.rawValue)
        canvas.layPaper(width: paper.width, height: paper.height, seed: seed)
        rulers(&canvas)
        title(order, &canvas)
        number(order, &canvas)
        text(seed, &canvas)
        patches(&canvas)
        picture(seed, &canvas)
        PageStamp(order).draw(&canvas)
        return canvas
    }

    /// Millimetres along the upper and the left edge.
    private static func rulers(_ canvas: inout PageCanvas) {
        let millimetre = 300 / 25.4
        for index in 1..<297 {
            let length: Double = index % 10 == 0 ? 44 : index % 5 == 0 ? 32 : 20
            let place = Double(index) * millimetre
            if index < 210 { canvas.fill(place - 1, 0, 2, length, .black) }
            canvas.fill(0, place - 1, length, 2, .black)
            guard index % 10 == 0 else { continue }
            let label = String(index / 10)
            if index < 200 { canvas.write(label, place - 14, 52, size: 24, PageColour(90, 90, 96)) }
            canvas.write(label, 52, place - 12, size: 24, PageColour(90, 90, 96))
        }
        // Crosses, by which corners are found.
        for (x, y) in [(2380.0, 140.0), (140, 3400), (2380, 3400)] {
            canvas.fill(x - 40, y - 2, 80, 4, .black)
            canvas.fill(x - 2, y - 40, 4, 80, .black)
        }
    }

    private static func title(_ order: PageOrder, _ canvas: inout PageCanvas) {
        canvas.write("UserDriver", 170, 170, size: 110, PageColour(28, 72, 132))
        canvas.write("Emulated Scanner", 170, 320, size: 56, PageColour(60, 60, 68))
        let settings = order.settings
        let mode =
            switch settings.colourMode {
            case .colour: "colour"
            case .grey: "grey"
            case .blackAndWhite: "black and white"
            }
        canvas.write("\(settings.resolution) dpi, \(mode), job \(order.job)", 170, 410, size: 40, PageColour(60, 60, 68))
        canvas.fill(170, 490, 2140, 5, PageColour(28, 72, 132))
    }

    private static func number(_ order: PageOrder, _ canvas: inout PageCanvas) {
        let label = order.sheet == 0 ? "P" : String(order.sheet)
        let size = label.count > 3 ? 480.0 : 760.0
        let isBack = order.side == .back
        canvas.write(label, 170, 580, size: size, isBack ? PageColour(150, 54, 40) : PageColour(28, 72, 132))
        let caption = order.sheet == 0 ? "platen" : "sheet \(order.sheet), \(isBack ? "back" : "front")"
        canvas.write(caption, 170, 1400, size: 64, PageColour(60, 60, 68))
    }

    private static let words = [
        "paper", "feeder", "page", "light", "glass", "margin", "the", "of", "and", "a", "under", "lamp", "letter", "line", "edge", "grey",
        "colour", "sheet", "slowly", "twice", "never", "lost", "read", "once", "without", "noise", "sharp", "corner", "to", "in", "is",
    ]

    private static func text(_ seed: UInt64, _ canvas: inout PageCanvas) {
        var random = SplitMix(seed: seed &+ 100)
        var y = 1540.0
        for size in [28.0, 28, 28, 28, 36, 36, 36, 36, 44, 44, 44] {
            var line = ""
            while PageCanvas.length(of: line, size: size) < 1950 {
                line += (line.isEmpty ? "" : " ") + words[random.next(words.count)]
            }
            canvas.write(line, 170, y, size: size)
            y += size * 1.7
        }
    }

    private static func patches(_ canvas: inout PageCanvas) {
        let colours = [
            PageColour(220, 38, 38), PageColour(234, 128, 24), PageColour(236, 204, 40), PageColour(44, 152, 66), PageColour(24, 156, 176),
            PageColour(36, 80, 188), PageColour(120, 52, 160), PageColour(206, 60, 132),
        ]
        for (index, colour) in colours.enumerated() { canvas.fill(170 + Double(index) * 267.5, 2270, 255, 150, colour) }
        for index in 0..<16 {
            let value = UInt8(index * 17)
            canvas.fill(170 + Double(index) * 133.75, 2440, 133.75, 90, PageColour(value, value, value))
        }
        // Lines ever closer: what a resolution can tell apart.
        var x = 1400.0
        for gap in stride(from: 16.0, through: 2, by: -1) {
            canvas.fill(x, 1400, gap / 2, 80, .black)
            canvas.fill(x + gap, 1400, gap / 2, 80, .black)
            canvas.fill(x + gap * 2, 1400, gap / 2, 80, .black)
            x += gap * 3 + 12
        }
    }

    /// Hills before a sun, each sheet's at its own place.
    private static func picture(_ seed: UInt64, _ canvas: inout PageCanvas) {
        var random = SplitMix(seed: seed &+ 200)
        let sunX = 0.15 + Double(random.next(70)) / 100
        let phase = Double(random.next(628)) / 100
        canvas.fill(162, 2582, 2156, 746, PageColour(60, 60, 68))
        canvas.paint(170, 2590, 2140, 730) { x, y in
            let far = 0.62 + 0.07 * sin(x * 9 + phase) + 0.03 * sin(x * 23 + phase * 2)
            let near = 0.78 + 0.09 * sin(x * 5 + phase * 3) + 0.02 * sin(x * 31)
            if y > near {
                let shade = (y - near) / (1 - near)
                return PageColour(UInt8(38 + 30 * shade), UInt8(92 - 34 * shade), UInt8(52))
            }
            if y > far {
                let shade = min(1, (y - far) * 4)
                return PageColour(UInt8(96 - 30 * shade), UInt8(130 - 14 * shade), UInt8(134 - 50 * shade))
            }
            let (dx, dy) = ((x - sunX) * 2.93, y - 0.32)
            let distance = (dx * dx + dy * dy).squareRoot()
            if distance < 0.13 { return PageColour(255, 244, 196) }
            let glow = max(0, 1 - (distance - 0.13) * 1.6)
            return PageColour(UInt8(116 + 70 * y + 66 * glow * (1 - y)), UInt8(168 + 40 * y + 20 * glow), UInt8(226 - 20 * y - 40 * glow))
        }
    }
}
