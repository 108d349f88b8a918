// Drawing on planes: sprites, lines and text, blended over what is there.

import Pictures

/// A colour with components from 0 to 1.
struct Colour: Hashable {
    var red: Double
    var green: Double
    var blue: Double

    init(_ red: Int, _ green: Int, _ blue: Int) {
        (self.red, self.green, self.blue) = (Double(red) / 255, Double(green) / 255, Double(blue) / 255)
    }

    init(red: Double, green: Double, blue: Double) {
        (self.red, self.green, self.blue) = (red, green, blue)
    }

    func mixed(with other: Colour, _ share: Double) -> Colour {
        let share = min(max(share, 0), 1)
        return Colour(
            red: red + (other.red - red) * share, green: green + (other.green - green) * share, blue: blue + (other.blue - blue) * share)
    }

    func scaled(_ factor: Double) -> Colour { Colour(red: red * factor, green: green * factor, blue: blue * factor) }

    var yuv: FullRange {
        FullRange(red: Int((red * 255).rounded()), green: Int((green * 255).rounded()), blue: Int((blue * 255).rounded()))
    }
}

/// A picture with transparency, ready to be blended into planes at an even column.
struct Sprite {
    let width: Int
    let height: Int
    private var luma: [UInt8]
    private var lumaAlpha: [UInt8]
    private var u: [UInt8]
    private var v: [UInt8]
    private var chromaAlpha: [UInt8]

    /// Paints each pixel from nine samples of `paint`, whose coordinates are pixels from the sprite's top left, and whose opacity is from 0 to 1.
    init(width: Int, height: Int, samples: Int = 3, paint: (Double, Double) -> (colour: Colour, opacity: Double)) {
        self.width = max(2, (width + 1) & ~1)
        self.height = max(1, height)
        let count = self.width * self.height
        luma = [UInt8](repeating: 0, count: count)
        lumaAlpha = luma
        u = [UInt8](repeating: 128, count: count / 2)
        v = u
        chromaAlpha = [UInt8](repeating: 0, count: count / 2)
        for y in 0..<self.height {
            for pair in 0..<self.width / 2 {
                var (pairU, pairV, pairAlpha) = (0.0, 0.0, 0.0)
                for x in pair * 2..<pair * 2 + 2 {
                    var (red, green, blue, alpha) = (0.0, 0.0, 0.0, 0.0)
                    for sample in 0..<samples * samples {
                        let sx = Double(x) + (Double(sample % samples) + 0.5) / Double(samples)
                        let sy = Double(y) + (Double(sample / samples) + 0.5) / Double(samples)
                        let (colour, opacity) = paint(sx, sy)
                        red += colour.red * opacity
                        green += colour.green * opacity
                        blue += colour.blue * opacity
                        alpha += opacity
                    }
                    guard alpha > 0 else { continue }
                    let yuv = Colour(red: red / alpha, green: green / alpha, blue: blue / alpha).yuv
                    luma[y * self.width + x] = yuv.y
                    lumaAlpha[y * self.width + x] = UInt8(min(alpha / Double(samples * samples), 1) * 255)
                    pairU += Double(yuv.u) * alpha
                    pairV += Double(yuv.v) * alpha
                    pairAlpha += alpha
                }
                guard pairAlpha > 0 else { continue }
                let index = y * self.width / 2 + pair
                u[index] = UInt8(pairU / pairAlpha)
                v[index] = UInt8(pairV / pairAlpha)
                chromaAlpha[index] = UInt8(min(pairAlpha / Double(2 * samples * samples), 1) * 255)
            }
        }
    }

    /// Blends with the top left at (`left`, `top`), the column rounded down to an even one. `floor`: by column, the first row that hides the sprite.
    func draw(on planes: borrowing YUV422Planes, left: Int, top: Int, opacity: Int = 256, floor: [Int]? = nil) {
        let left = left & ~1
        let firstX = max(0, -left)
        let lastX = min(width, planes.width - left)
        guard firstX < lastX else { return }
        let (planeWidth, chromaWidth) = (planes.width, planes.chromaWidth)
        let (planeY, planeU, planeV) = (planes.y, planes.u, planes.v)
        for row in max(0, -top)..<max(max(0, -top), min(height, planes.height - top)) {
            let y = top + row
            let source = row * width
            let target = y * planeWidth + left
            for x in firstX..<lastX {
                let alpha = (Int(lumaAlpha[source + x]) * opacity) >> 8
                if alpha == 0 { continue }
                if let floor, y >= floor[left + x] { continue }
                planeY[target + x] = blended(planeY[target + x], luma[source + x], alpha)
            }
            let chromaSource = source / 2
            let chromaTarget = y * chromaWidth + left / 2
            for pair in firstX / 2..<lastX / 2 {
                let alpha = (Int(chromaAlpha[chromaSource + pair]) * opacity) >> 8
                if alpha == 0 { continue }
                if let floor, y >= floor[left + pair * 2] { continue }
                planeU[chromaTarget + pair] = blended(planeU[chromaTarget + pair], u[chromaSource + pair], alpha)
                planeV[chromaTarget + pair] = blended(planeV[chromaTarget + pair], v[chromaSource + pair], alpha)
            }
        }
    }
}

@inline(__always)
private func blended(_ under: UInt8, _ over: UInt8, _ alpha: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: Int(under) + ((Int(over) - Int(under)) * alpha + 127) / 255)
}

extension YUV422Planes {
    /// Blends one pixel; its chroma too where the column is even.
    @inline(__always)
    borrowing func blend(_ colour: FullRange, _ alpha: Int, x: Int, y: Int) {
        let offset = y * width + x
        self.y[offset] = blended(self.y[offset], colour.y, alpha)
        guard x & 1 == 0 else { return }
        let chroma = y * chromaWidth + x / 2
        u[chroma] = blended(u[chroma], colour.u, alpha)
        v[chroma] = blended(v[chroma], colour.v, alpha)
    }

    /// A line with round ends, `thickness` pixels wide.
    func drawLine(from a: (x: Double, y: Double), to b: (x: Double, y: Double), thickness: Double, _ colour: FullRange, opacity: Double = 1)
    {
        let radius = thickness / 2
        let (dx, dy) = (b.x - a.x, b.y - a.y)
        let squared = max(dx * dx + dy * dy, 1e-9)
        let left = max(0, Int(min(a.x, b.x) - radius - 1))
        let right = min(width - 1, Int(max(a.x, b.x) + radius + 1))
        let top = max(0, Int(min(a.y, b.y) - radius - 1))
        let bottom = min(height - 1, Int(max(a.y, b.y) + radius + 1))
        guard left <= right, top <= bottom else { return }
        for y in top...bottom {
            for x in left...right {
                let (px, py) = (Double(x) + 0.5 - a.x, Double(y) + 0.5 - a.y)
                let along = min(max((px * dx + py * dy) / squared, 0), 1)
                let (ex, ey) = (px - along * dx, py - along * dy)
                let coverage = min(max(radius + 0.5 - (ex * ex + ey * ey).squareRoot(), 0), 1)
                if coverage > 0 { blend(colour, Int(coverage * opacity * 255), x: x, y: y) }
            }
        }
    }

    /// Text with its top left at (`left`, `top`), over what is there; brightness only, so on a ground without colour.
    func draw(_ text: String, with pen: TextPen, left: Int, top: Int, luma: UInt8 = 255) {
        var origin = left
        for character in text {
            let coverage = pen.coverage(of: character)
            for row in 0..<pen.height where top + row >= 0 && top + row < height {
                for column in 0..<pen.width where origin + column >= 0 && origin + column < width {
                    let alpha = Int(coverage[row * pen.width + column])
                    if alpha == 0 { continue }
                    let offset = (top + row) * width + origin + column
                    y[offset] = blended(y[offset], luma, alpha)
                }
            }
            origin += pen.advance
        }
    }

    /// Darkens a rectangle to a grey glass: `share` of it is black.
    func dim(left: Int, top: Int, right: Int, bottom: Int, share: Double) {
        let alpha = Int(min(max(share, 0), 1) * 255)
        let black = FullRange(red: 12, green: 12, blue: 16)
        for y in max(0, top)..<max(max(0, top), min(height, bottom)) {
            for x in max(0, left)..<max(max(0, left), min(width, right)) { blend(black, alpha, x: x, y: y) }
        }
    }
}
