// What the camera writes over its picture: clock, frame number, time, and what the stream is.

import Glibc
import Pictures

/// A strip with colour bars and text at the bottom, and a clock in a corner. It lies over the picture as the controls made it.
struct Overlay: @unchecked Sendable {
    // Sendable: the pen keeps glyphs that it has rendered; an overlay has one user, the thread that makes frames.
    private let pen: TextPen
    private let clockFace: Sprite
    private let description: String
    private let title: String
    private let width: Int
    private let height: Int
    private let strip: Int

    private static let bars = [
        Colour(235, 235, 235), Colour(235, 235, 16), Colour(16, 235, 235), Colour(16, 235, 16), Colour(235, 16, 235), Colour(235, 16, 16),
        Colour(16, 16, 235),
    ]

    init(width: Int, height: Int, format: String, framesPerSecond: String) {
        let scale = height < 300 ? 1.0 : Double(height) / 300
        pen = TextPen(scale: scale)
        self.width = width
        self.height = height
        strip = Int(21 * scale)
        clockFace = SceneSprites.clockFace(radius: ClockFace.radius * Double(height))
        description = "\(format) \(width)×\(height) \(framesPerSecond)"
        title = "UserDriver"
    }

    func draw(number: UInt64, time: LocalTime, on planes: borrowing YUV422Planes) {
        let top = height - strip
        planes.dim(left: 0, top: top, right: width, bottom: height, share: 0.72)
        let barHeight = max(1, strip / 12)
        for (index, bar) in Self.bars.enumerated() {
            let colour = bar.yuv
            for x in (width * index / Self.bars.count)..<(width * (index + 1) / Self.bars.count) {
                for y in top..<top + barHeight { planes.blend(colour, 255, x: x, y: y) }
            }
        }
        let margin = max(2, pen.advance / 2)
        let first = top + barHeight + max(1, Int(pen.scale))
        let second = first + Int(9 * pen.scale)
        let frame = "#" + padded(number, 6)
        let clock = "\(padded(time.hour, 2)):\(padded(time.minute, 2)):\(padded(Int(time.second), 2))"
        let fraction = "." + padded(Int((time.second - time.second.rounded(.down)) * 1000), 3)
        let right = { (text: String) in width - margin - pen.length(of: text) }
        // A narrow picture has no room for the title beside the time.
        if pen.length(of: title + clock + fraction + "  ") < width { planes.draw(title, with: pen, left: margin, top: first) }
        planes.draw(clock + fraction, with: pen, left: right(clock + fraction), top: first)
        let roomy = pen.length(of: description + frame + " ") < width
        if roomy { planes.draw(description, with: pen, left: margin, top: second, luma: 200) }
        planes.draw(frame, with: pen, left: right(frame), top: second)
        Scene.drawClock(clockFace, time: (time.hour, time.minute, time.second), on: planes)
    }

    private func padded(_ number: some BinaryInteger, _ digits: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}

/// The time of day where the camera is.
struct LocalTime {
    var hour: Int
    var minute: Int
    /// With its fraction.
    var second: Double

    /// From seconds since 1970, in the machine's time zone.
    init(seconds: Double) {
        var whole = time_t(seconds.rounded(.down))
        var parts = tm()
        localtime_r(&whole, &parts)
        hour = Int(parts.tm_hour)
        minute = Int(parts.tm_min)
        second = Double(parts.tm_sec) + (seconds - seconds.rounded(.down))
    }
}
