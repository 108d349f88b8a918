// The still part of the scene: evening sky, mountains, a lake, a meadow. Painted once for each size.

import Glibc
import Pictures

/// The geometry and colours of the landscape. Lengths are in heights of the picture, from the top left.
struct Landscape {
    let width: Int
    let height: Int
    var aspect: Double { Double(width) / Double(height) }

    static let waterline = 0.635
    static let shore = 0.80

    private static let skyStops: [(Double, Colour)] = [
        (0.00, Colour(30, 58, 112)), (0.20, Colour(66, 104, 162)), (0.36, Colour(138, 150, 182)), (0.48, Colour(226, 178, 148)),
        (0.58, Colour(255, 208, 140)), (0.66, Colour(255, 224, 160)),
    ]

    static func sky(_ v: Double) -> Colour {
        var last = skyStops[0]
        for stop in skyStops {
            if v < stop.0 {
                let share = (v - last.0) / (stop.0 - last.0)
                return last.1.mixed(with: stop.1, share * share * (3 - 2 * share))
            }
            last = stop
        }
        return last.1
    }

    /// A ridge line: a few waves that never repeat within a picture.
    private static func ridge(_ u: Double, base: Double, height: Double, scale: Double, phase: Double) -> Double {
        let a = sin(u * 2.1 * scale + phase) * 0.5 + sin(u * 4.7 * scale + phase * 2.3) * 0.26
        let b = sin(u * 9.3 * scale + phase * 0.7) * 0.12 + abs(sin(u * 15.1 * scale + phase * 1.9)) * 0.10
        let c = sin(u * 37 * scale + phase) * 0.025 + sin(u * 71 * scale + phase * 3.1) * 0.014
        return base - height * (0.5 + a * 0.5 + b + c)
    }

    static func farRidge(_ u: Double) -> Double { ridge(u, base: 0.60, height: 0.26, scale: 1.15, phase: 0.9) }
    static func middleRidge(_ u: Double) -> Double { ridge(u, base: 0.625, height: 0.15, scale: 1.5, phase: 4.1) }
    static func nearRidge(_ u: Double) -> Double { ridge(u, base: 0.645, height: 0.075, scale: 2.1, phase: 2.2) }

    /// A wood along the near ridge: pointed tops.
    private static func trees(_ u: Double) -> Double {
        func row(_ density: Double, _ tall: Double, _ seed: Double) -> Double {
            let place = u * density
            let index = place.rounded(.down)
            let random = noise(index + seed)
            let distance = abs(place - index - 0.5 - (random - 0.5) * 0.4)
            return max(0, 1 - distance * (2.1 + random)) * tall * (0.45 + 0.55 * random)
        }
        return max(row(46, 0.034, 3), max(row(31, 0.042, 17), row(71, 0.024, 29)))
    }

    /// Blades of grass along the meadow's edge.
    private static func blades(_ u: Double) -> Double {
        let place = u * 190
        let index = place.rounded(.down)
        return max(0, 1 - abs(place - index - 0.5) * 2) * 0.016 * noise(index + 41)
    }

    /// Poppies and daisies, larger towards the front.
    private static func flower(_ u: Double, _ v: Double, depth: Double) -> Colour? {
        let cell = 0.022
        let (column, row) = ((u / cell).rounded(.down), (v / cell).rounded(.down))
        let random = noise(column + row * 61 + 7)
        guard random > 0.86 else { return nil }
        let x = (column + 0.3 + 0.4 * noise(random * 91)) * cell
        let y = (row + 0.3 + 0.4 * noise(random * 57)) * cell
        guard hypot(u - x, (v - y) * 1.3) < 0.0018 + 0.0030 * depth else { return nil }
        return random > 0.93 ? Colour(206, 58, 44) : Colour(244, 236, 214)
    }

    /// A number from 0 to 1 that looks random, the same for the same value.
    static func noise(_ value: Double) -> Double {
        var bits = value.bitPattern &* 0x9e37_79b9_7f4a_7c15
        bits = (bits ^ (bits >> 32)) &* 0xd6e8_feb8_6659_fd93
        bits ^= bits >> 32
        return Double(bits >> 11) * 0x1p-53
    }

    /// By column, the first row below the sky: what is in the sky hides behind it.
    func horizon() -> [Int] {
        (0..<width).map { x in
            let u = (Double(x) + 0.5) / Double(height)
            let top = min(Self.farRidge(u), min(Self.middleRidge(u), Self.nearRidge(u) - Self.trees(u)))
            return Int((top * Double(height)).rounded())
        }
    }

    func paint(on planes: borrowing YUV422Planes) {
        let pixel = 1 / Double(height)
        let rows = (0..<height).map { Self.sky((Double($0) + 0.5) * pixel) }
        let (planeY, planeU, planeV) = (planes.y, planes.u, planes.v)
        let columns = (0..<width).map { Column(u: (Double($0) + 0.5) * pixel, pixel: pixel) }
        for y in 0..<height {
            let v = (Double(y) + 0.5) * pixel
            for x in 0..<width {
                let yuv = columns[x].colour(v, sky: rows[y]).yuv
                planeY[y * width + x] = yuv.y
                guard x & 1 == 0 else { continue }
                planeU[y * planes.chromaWidth + x / 2] = yuv.u
                planeV[y * planes.chromaWidth + x / 2] = yuv.v
            }
        }
    }

    /// What one column needs to know about the ridges.
    private struct Column {
        let u: Double
        let pixel: Double
        let far: Double
        let middle: Double
        let near: Double
        let wood: Double
        let grass: Double
        let snowline: Double

        init(u: Double, pixel: Double) {
            self.u = u
            self.pixel = pixel
            far = Landscape.farRidge(u)
            middle = Landscape.middleRidge(u)
            near = Landscape.nearRidge(u)
            wood = near - Landscape.trees(u)
            snowline = 0.43 + 0.018 * sin(u * 23) + 0.012 * sin(u * 57 + 1)
            grass = Landscape.shore + 0.012 * sin(u * 3.1 + 0.6) + 0.007 * sin(u * 11) - Landscape.blades(u)
        }

        /// How much of the pixel at `v` is below `line`.
        private func below(_ line: Double, _ v: Double) -> Double { min(max((v - line) / pixel + 0.5, 0), 1) }

        func colour(_ v: Double, sky: Colour) -> Colour {
            if v > grass + pixel { return meadow(v) }
            var colour: Colour
            if v < Landscape.waterline {
                colour = sky
                let farCover = below(far, v)
                if farCover > 0 {
                    // Snow on the highest parts, haze towards the foot.
                    let depth = v - far
                    let snow = v < snowline && depth < 0.07 ? min(1, (snowline - v) * 30) : 0
                    let light = 0.5 + 0.5 * sin(u * 31 + v * 40) * 0.35
                    let rock = Colour(118, 114, 150).mixed(with: Colour(158, 146, 172), light)
                    let hazy = rock.mixed(with: Colour(232, 190, 164), min(1, max(0, (v - 0.42) * 3.4)))
                    colour = colour.mixed(with: hazy.mixed(with: Colour(250, 236, 232), snow * 0.8), farCover)
                }
                let middleCover = below(middle, v)
                if middleCover > 0 {
                    let tone = Colour(84, 88, 126).mixed(with: Colour(170, 142, 140), min(1, max(0, (v - 0.50) * 5.5)))
                    colour = colour.mixed(with: tone, middleCover)
                }
                let woodCover = below(wood, v)
                if woodCover > 0 {
                    let tone = Colour(38, 58, 66).mixed(with: Colour(64, 78, 78), min(1, max(0, (v - near) * 14)))
                    colour = colour.mixed(with: tone, woodCover)
                }
            } else {
                colour = water(v)
            }
            return colour.mixed(with: meadow(v), below(grass, v))
        }

        private func water(_ v: Double) -> Colour {
            let depth = v - Landscape.waterline
            // The mirror image, blurred by ripples, darker with nearness.
            let mirrored = Landscape.waterline - depth * 2.6 - 0.02
            var colour = Landscape.sky(max(0, mirrored))
            let shadow = min(max((Landscape.waterline - near + 0.05 - depth * 1.3) * 18, 0), 1)
            colour = colour.mixed(with: Colour(44, 62, 74), shadow * 0.78)
            let ripple = sin(v * 900 / (0.6 + depth * 9) + sin(u * 6) * 2) * sin(u * (40 - depth * 110) + v * 60)
            colour = colour.mixed(with: Colour(40, 78, 118), 0.26 + depth * 1.2)
            return colour.scaled(1 + 0.05 * ripple)
        }

        private func meadow(_ v: Double) -> Colour {
            let depth = min(max((v - Landscape.shore) / (1 - Landscape.shore), 0), 1)
            if let flower = Landscape.flower(u, v, depth: depth) { return flower }
            let patch = sin(u * 9 + v * 31) * sin(u * 23 - v * 17) + sin(u * 61 + v * 90) * 0.3
            let blade = Landscape.noise(
                (u * 640).rounded(.down) + ((v + 0.01 * Landscape.noise((u * 640).rounded(.down))) * 130).rounded(.down) * 57)
            let light = Colour(122, 132, 60).mixed(with: Colour(40, 64, 38), depth * 1.05)
            return light.scaled(0.95 + 0.05 * patch + 0.09 * (blade - 0.5))
        }
    }
}
