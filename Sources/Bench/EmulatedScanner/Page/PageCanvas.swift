// What a page is drawn on: one or three bytes a pixel, measured in 1/300 inch.

import Glibc
import Pictures

struct PageColour: Hashable {
    var red: UInt8
    var green: UInt8
    var blue: UInt8
    init(_ red: UInt8, _ green: UInt8, _ blue: UInt8) { (self.red, self.green, self.blue) = (red, green, blue) }

    /// As an eye sees it (BT.601).
    var grey: UInt8 {
        let (red, green, blue) = (Int(red), Int(green), Int(blue))
        let sum: Int = red * 299 + green * 587 + blue * 114
        return UInt8((sum + 500) / 1000)
    }

    static let black = PageColour(24, 24, 28)
    static let white = PageColour(255, 255, 255)
}

struct PageCanvas {
    let width: Int
    let height: Int
    let channels: Int
    /// Pixels in 1/300 inch.
    let scale: Double
    private let region: ScanSettings.Region
    var pixels: [UInt8]

    init(_ settings: ScanSettings) {
        (width, height) = settings.pixels
        channels = settings.colourMode == .colour ? 3 : 1
        scale = Double(settings.resolution) / 300
        region = settings.region
        pixels = [UInt8](repeating: 0, count: width * height * channels)
    }

    func column(_ x: Double) -> Int { Int(((x - Double(region.x)) * scale).rounded()) }
    func row(_ y: Double) -> Int { Int(((y - Double(region.y)) * scale).rounded()) }

    /// Paper with its grain up to its edges; the lid's grey beyond.
    mutating func layPaper(width paperWidth: Int, height paperHeight: Int, seed: UInt64) {
        var random = SplitMix(seed: seed)
        var grain: [UInt8] = []
        grain.reserveCapacity((width + 1021) * channels)
        for _ in 0..<width + 1021 {
            let value = UInt8(243 + random.next(8))
            if channels == 3 {
                grain.append(value)
                grain.append(value)
                grain.append(value - 4)
            } else {
                grain.append(value)
            }
        }
        let right = min(width, max(0, column(Double(paperWidth))))
        let bottom = min(height, max(0, row(Double(paperHeight))))
        let (width, channels) = (width, channels)
        pixels.withUnsafeMutableBytes { target in
            memset(target.baseAddress!, 198, target.count)
            grain.withUnsafeBytes { grain in
                for row in 0..<bottom {
                    let shift = random.next(1021)
                    memcpy(target.baseAddress! + row * width * channels, grain.baseAddress! + shift * channels, right * channels)
                }
            }
        }
    }

    mutating func fill(_ x: Double, _ y: Double, _ width: Double, _ height: Double, _ colour: PageColour) {
        fillPixels(column(x), row(y), column(x + width), row(y + height), colour)
    }

    private mutating func fillPixels(_ left: Int, _ top: Int, _ right: Int, _ bottom: Int, _ colour: PageColour) {
        let left = max(0, left)
        let top = max(0, top)
        let right = min(width, right)
        let bottom = min(height, bottom)
        guard left < right, top < bottom else { return }
        let (width, channels) = (width, channels)
        let count = (right - left) * channels
        pixels.withUnsafeMutableBytes { target in
            let first = target.baseAddress! + (top * width + left) * channels
            if channels == 1 {
                memset(first, Int32(colour.grey), count)
            } else {
                for pixel in 0..<(right - left) {
                    first.storeBytes(of: colour.red, toByteOffset: pixel * 3, as: UInt8.self)
                    first.storeBytes(of: colour.green, toByteOffset: pixel * 3 + 1, as: UInt8.self)
                    first.storeBytes(of: colour.blue, toByteOffset: pixel * 3 + 2, as: UInt8.self)
                }
            }
            for row in top + 1..<max(top + 1, bottom) { memcpy(target.baseAddress! + (row * width + left) * channels, first, count) }
        }
    }

    /// Each pixel of a rectangle by a function of its place in it, both from 0 to 1.
    mutating func paint(_ x: Double, _ y: Double, _ width: Double, _ height: Double, _ colour: (Double, Double) -> PageColour) {
        let (left, top, right, bottom) = (column(x), row(y), column(x + width), row(y + height))
        for row in max(0, top)..<max(max(0, top), min(self.height, bottom)) {
            for column in max(0, left)..<max(max(0, left), min(self.width, right)) {
                let value = colour((Double(column - left) + 0.5) / Double(right - left), (Double(row - top) + 0.5) / Double(bottom - top))
                set(column, row, value, 255)
            }
        }
    }

    @inline(__always)
    private mutating func set(_ column: Int, _ row: Int, _ colour: PageColour, _ alpha: Int) {
        let offset = (row * width + column) * channels
        func blended(_ under: UInt8, _ over: UInt8) -> UInt8 { UInt8(Int(under) + (Int(over) - Int(under)) * alpha / 255) }
        if channels == 1 {
            pixels[offset] = blended(pixels[offset], colour.grey)
        } else {
            pixels[offset] = blended(pixels[offset], colour.red)
            pixels[offset + 1] = blended(pixels[offset + 1], colour.green)
            pixels[offset + 2] = blended(pixels[offset + 2], colour.blue)
        }
    }

    /// Text whose letters are `size` high.
    mutating func write(_ text: String, _ x: Double, _ y: Double, size: Double, _ colour: PageColour = .black) {
        let dot = size / 7 * scale
        let pen = TextPen(scale: dot)
        let top = row(y)
        for (index, character) in text.enumerated() where character != " " {
            let left = column(x + Double(index) * size / 7 * 6)
            guard left < width, left + pen.width > 0, top < height, top + pen.height > 0 else { continue }
            let coverage = pen.coverage(of: character)
            for line in max(0, -top)..<max(max(0, -top), min(pen.height, height - top)) {
                for point in max(0, -left)..<max(max(0, -left), min(pen.width, width - left)) {
                    let alpha = Int(coverage[line * pen.width + point])
                    if alpha > 0 { set(left + point, top + line, colour, alpha) }
                }
            }
        }
    }

    /// How wide that is.
    static func length(of text: String, size: Double) -> Double { Double(text.count) * size / 7 * 6 }
}
