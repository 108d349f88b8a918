// The moving scene: where everything is at a moment, and drawing it over the landscape.

import Glibc
import Pictures

/// A source of pictures that the camera's lens sees.
protocol PictureSource: Sendable {
    /// Draws the picture of a moment. `seconds` is the wall clock's time (since 1970), `number` the frame's.
    func draw(number: UInt64, seconds: Double, on planes: borrowing YUV422Planes) throws(PictureError)
}

/// The built-in scene at one size.
struct Scene: PictureSource, @unchecked Sendable {
    // Sendable: everything in it is written by the initialiser and only read afterwards.
    private final class Ground {
        let planes: YUV422Planes
        init(_ planes: consuming YUV422Planes) { self.planes = planes }
    }
    private let ground: Ground
    private let horizon: [Int]
    private let sprites: SceneSprites
    private let width: Double
    private let height: Double

    init(width: Int, height: Int) throws(PictureError) {
        let landscape = Landscape(width: width, height: height)
        let planes = try YUV422Planes(width: width, height: height)
        landscape.paint(on: planes)
        ground = Ground(planes)
        horizon = landscape.horizon()
        sprites = SceneSprites(height: Double(height))
        self.width = Double(width)
        self.height = Double(height)
    }

    /// A share of a period from 0 to 1, in which something happens again and again.
    private static func phase(_ seconds: Double, period: Double, offset: Double = 0) -> Double {
        let value = seconds / period + offset
        return value - value.rounded(.down)
    }

    func draw(number: UInt64, seconds: Double, on planes: borrowing YUV422Planes) {
        planes.copy(from: ground.planes)
        drawSun(seconds, planes)
        drawClouds(seconds, planes)
        drawBalloon(seconds, planes)
        drawBirds(seconds, planes)
        drawBoat(seconds, planes)
    }

    /// The sun crosses the sky once in two minutes, and glitters on the lake.
    private func drawSun(_ seconds: Double, _ planes: borrowing YUV422Planes) {
        let share = Self.phase(seconds, period: 120)
        let x = (share * 1.24 - 0.12) * width
        let y = (0.56 - 0.40 * sin(share * .pi)) * height
        let glow = sprites.glow
        glow.draw(on: planes, left: Int(x) - glow.width / 2, top: Int(y) - glow.height / 2, floor: horizon)
        let sun = sprites.sun
        sun.draw(on: planes, left: Int(x) - sun.width / 2, top: Int(y) - sun.height / 2, floor: horizon)
        let colour = Colour(255, 236, 184).yuv
        let line = max(1, height / 420)
        let beat = (seconds * 7).rounded(.down)
        for row in 0..<34 {
            let depth = (Double(row) + 0.5) / 34
            let level = (Landscape.waterline + 0.006 + depth * (Landscape.shore - Landscape.waterline - 0.03)) * height
            for dash in 0..<3 {
                let seed = Double(row * 3 + dash) * 1.7 + (beat + Double((row * 5 + dash) % 7)).truncatingRemainder(dividingBy: 997) * 0.61
                let place = (Landscape.noise(seed) - 0.5) * (0.05 + depth * 0.26) * height
                let half = (0.006 + 0.022 * Landscape.noise(seed + 5) * (0.4 + depth)) * height
                let strength = 0.15 + 0.6 * Landscape.noise(seed + 9) * (1 - depth * 0.5)
                planes.drawLine(
                    from: (x + place - half, level), to: (x + place + half, level), thickness: line, colour, opacity: strength)
            }
        }
    }

    private func drawClouds(_ seconds: Double, _ planes: borrowing YUV422Planes) {
        for (index, cloud) in sprites.clouds.enumerated() {
            let period = 150.0 + Double(index) * 37
            let share = Self.phase(seconds, period: period, offset: Double(index) * 0.31 + 0.05)
            let x = share * (width + Double(cloud.width)) - Double(cloud.width)
            let y = (0.06 + 0.085 * Double((index * 2) % 4)) * height
            cloud.draw(on: planes, left: Int(x), top: Int(y), opacity: 216, floor: horizon)
        }
    }

    private func drawBalloon(_ seconds: Double, _ planes: borrowing YUV422Planes) {
        let balloon = sprites.balloon
        let share = Self.phase(seconds, period: 60, offset: 0.3)
        let x = share * (width + Double(balloon.width)) - Double(balloon.width)
        let y = (0.20 + 0.035 * sin(seconds * 0.9) + 0.05 * sin(seconds * 0.23)) * height
        balloon.draw(on: planes, left: Int(x), top: Int(y))
    }

    private func drawBirds(_ seconds: Double, _ planes: borrowing YUV422Planes) {
        let colour = Colour(40, 40, 58).yuv
        let share = Self.phase(seconds, period: 26)
        let lead = (x: (1.12 - share * 1.4) * width, y: (0.30 + 0.03 * sin(seconds * 0.7)) * height)
        let span = 0.017 * height
        for index in 0..<7 {
            let side = Double((index + 1) / 2) * (index % 2 == 0 ? 1 : -1)
            let x = lead.x + abs(side) * 0.042 * height
            let y = lead.y + side * 0.022 * height + 0.004 * height * sin(seconds * 2 + side)
            let flap = sin(seconds * 8 + Double(index) * 1.3) * 0.7
            for wing in [-1.0, 1.0] {
                planes.drawLine(
                    from: (x, y), to: (x + wing * span, y - span * (0.25 + flap * 0.6)), thickness: max(1, height / 300), colour,
                    opacity: 0.85)
            }
        }
    }

    private func drawBoat(_ seconds: Double, _ planes: borrowing YUV422Planes) {
        let boat = sprites.boat
        let share = Self.phase(seconds, period: 80, offset: 0.55)
        let x = share * (width + Double(boat.width)) - Double(boat.width)
        let y = 0.615 * height + 0.003 * height * sin(seconds * 1.7)
        boat.draw(on: planes, left: Int(x), top: Int(y))
    }

    /// The clock's hands over its face: hour, minute, a red second hand, and a dot that goes round once a second.
    static func drawClock(_ face: Sprite, time: (hour: Int, minute: Int, second: Double), on planes: borrowing YUV422Planes) {
        let height = Double(planes.height)
        let radius = ClockFace.radius * height
        let centre = (x: Double(planes.width) - ClockFace.margin * height - radius, y: ClockFace.margin * height + radius)
        face.draw(on: planes, left: Int(centre.x) - face.width / 2, top: Int(centre.y) - face.height / 2)
        func point(_ turns: Double, _ length: Double) -> (x: Double, y: Double) {
            let angle = (turns - 0.25) * 2 * .pi
            return (centre.x + cos(angle) * radius * length, centre.y + sin(angle) * radius * length)
        }
        let white = Colour(250, 246, 238).yuv
        let red = Colour(238, 84, 60).yuv
        let minute = (Double(time.minute) + time.second / 60) / 60
        planes.drawLine(from: centre, to: point((Double(time.hour % 12) + minute) / 12, 0.48), thickness: radius * 0.085, white)
        planes.drawLine(from: centre, to: point(minute, 0.72), thickness: radius * 0.06, white)
        planes.drawLine(from: point(time.second / 60 + 0.5, 0.15), to: point(time.second / 60, 0.80), thickness: radius * 0.035, red)
        let dot = point(time.second - time.second.rounded(.down), 0.97)
        planes.drawLine(from: dot, to: dot, thickness: radius * 0.15, red)
    }
}
