// The things that move in the scene, painted once for each size.

import Glibc

/// Sprites for a picture of some height.
struct SceneSprites {
    let glow: Sprite
    let sun: Sprite
    let clouds: [Sprite]
    let balloon: Sprite
    let boat: Sprite

    init(height: Double) {
        glow = Self.glow(radius: 0.34 * height)
        sun = Self.sun(radius: 0.05 * height)
        clouds = (0..<4).map { Self.cloud(seed: Double($0) * 7 + 1, width: (0.34 + 0.07 * Double($0 % 3)) * height) }
        balloon = Self.balloon(radius: 0.085 * height)
        boat = Self.boat(size: 0.10 * height)
    }

    private static func glow(radius: Double) -> Sprite {
        let size = Int(radius * 2)
        return Sprite(width: size, height: size, samples: 1) { x, y in
            let distance = hypot(x - radius, y - radius) / radius
            let fall = max(0, 1 - distance)
            return (Colour(255, 226, 170), fall * fall * 0.72)
        }
    }

    private static func sun(radius: Double) -> Sprite {
        let size = Int(radius * 2 + 4)
        let centre = Double(size) / 2
        return Sprite(width: size, height: size) { x, y in
            let distance = hypot(x - centre, y - centre) / radius
            return (Colour(255, 252, 236).mixed(with: Colour(255, 238, 186), distance), distance < 1 ? 1 : 0)
        }
    }

    /// A heap of soft discs on a flat base, lit from below by the evening.
    private static func cloud(seed: Double, width: Double) -> Sprite {
        let height = width * 0.46
        let puffs: [(x: Double, y: Double, r: Double)] = (0..<9).map { index in
            let share = (Double(index) + 0.5) / 9
            let bulge = sin(share * .pi)
            let random = Landscape.noise(seed + Double(index) * 3.7)
            return (0.14 + 0.72 * share, 0.74 - bulge * (0.06 + 0.20 * random), 0.07 + 0.09 * bulge * (0.4 + random))
        }
        return Sprite(width: Int(width), height: Int(height), samples: 2) { x, y in
            let (u, v) = (x / width, y / height)
            var density = 0.0
            for puff in puffs {
                let distance = hypot(u - puff.x, (v - puff.y) * 0.46) / puff.r
                density = max(density, 1 - distance * distance)
            }
            let base = min(1, max(0, (0.88 - v) * 9))
            let edge = min(1, max(0, u * 8)) * min(1, max(0, (1 - u) * 8))
            let opacity = min(1, max(0, density * 1.7)) * base * edge
            let colour = Colour(255, 250, 246).mixed(with: Colour(238, 186, 172), min(1, max(0, (v - 0.42) * 2.2)))
            return (colour, opacity * 0.86)
        }
    }

    /// A hot-air balloon: striped envelope, ropes, basket.
    private static func balloon(radius: Double) -> Sprite {
        let stripes = [Colour(206, 62, 54), Colour(250, 236, 208), Colour(232, 148, 52), Colour(250, 236, 208)]
        return Sprite(width: Int(radius * 2 + 4), height: Int(radius * 3.1)) { x, y in
            let (u, v) = ((x - radius - 2) / radius, (y - 1) / radius - 1)
            if v > 1.72, v < 1.98, abs(u) < 0.17 { return (Colour(110, 72, 44).scaled(v < 1.78 ? 1.3 : 1), 1) }
            // Round above, narrowing to the mouth below.
            let half = v < 0 ? (1 - v * v).squareRoot() : v < 1.35 ? (1 - pow(v / 1.62, 2.0)) * (1 - v * 0.14) : -1
            if v >= -1, half > 0, abs(u) < half {
                let across = asin(min(max(u / half, -1), 1)) / .pi + 0.5
                let index = Int(across * 9.999)
                let light = 0.72 + 0.38 * cos((u + 0.45) * 1.3) * (1.02 - 0.12 * (v + 1))
                return (stripes[index % stripes.count].scaled(min(light, 1.06)), 1)
            }
            let rope = 0.15 + (1.72 - v) * 0.25
            if v >= 1.3, v <= 1.75, abs(abs(u) - rope) < 0.018 { return (Colour(70, 54, 44), 0.85) }
            return (Colour(0, 0, 0), 0)
        }
    }

    /// A sailing boat and its mirror image.
    private static func boat(size: Double) -> Sprite {
        func body(_ u: Double, _ v: Double) -> Colour? {
            if v > 0.86, v < 1, abs(u - 0.5) < 0.36 - (v - 0.86) * 0.9 { return Colour(120, 60, 44).scaled(v < 0.89 ? 1.5 : 1) }
            if abs(u - 0.5) < 0.012, v > 0.02, v < 0.88 { return Colour(90, 66, 50) }
            if u > 0.52, v > 0.06, v < 0.82, u - 0.52 < (v - 0.06) * 0.46 { return Colour(252, 246, 234).scaled(1 - (u - 0.52) * 0.5) }
            if u < 0.48, v > 0.18, v < 0.82, 0.48 - u < (v - 0.18) * 0.36 { return Colour(236, 216, 196).scaled(1 - (0.48 - u) * 0.4) }
            return nil
        }
        return Sprite(width: Int(size), height: Int(size * 1.6)) { x, y in
            let (u, v) = (x / size, y / size)
            if v < 1 { return body(u, v).map { ($0, 1) } ?? (Colour(0, 0, 0), 0) }
            let wave = sin(v * 46) * 0.02
            return body(u + wave, 1 - (v - 1) * 1.65).map { ($0.scaled(0.8), 0.34 * max(0, 1.6 - v) / 0.6) } ?? (Colour(0, 0, 0), 0)
        }
    }

    static func clockFace(radius: Double) -> Sprite {
        let size = Int(radius * 2 + 4)
        let centre = Double(size) / 2
        return Sprite(width: size, height: size) { x, y in
            let (dx, dy) = ((x - centre) / radius, (y - centre) / radius)
            let distance = hypot(dx, dy)
            if distance > 1 { return (Colour(0, 0, 0), 0) }
            if distance > 0.94 { return (Colour(250, 246, 238), 0.95) }
            // Twelve marks, every third a long one.
            let turn = (atan2(dy, dx) / (2 * .pi) + 1) * 12
            let offset = abs(turn - turn.rounded()) / 12 * 2 * .pi * distance
            let long = Int(turn.rounded()) % 3 == 0
            if distance > (long ? 0.70 : 0.80), distance < 0.88, offset < (long ? 0.034 : 0.022) { return (Colour(250, 246, 238), 0.95) }
            return (Colour(24, 32, 52), 0.58)
        }
    }
}

/// Where the clock hangs, in heights of the picture, from the top right.
enum ClockFace {
    static let radius = 0.105
    static let margin = 0.045
}
