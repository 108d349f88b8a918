// The lens and the sensor: zoom, focus, sharpness, tones. At default settings it costs nothing.

import Pictures

/// Applies settings to pictures of one size.
final class ImageProcessor {
    private let scratch: YUV422Planes
    private var tables = ToneTables(PictureSettings())

    init(width: Int, height: Int) throws(PictureError) {
        scratch = try YUV422Planes(width: width, height: height)
    }

    func apply(_ settings: PictureSettings, to planes: borrowing YUV422Planes) {
        if settings.privacy {
            planes.fill(y: 0, u: 128, v: 128)
            return
        }
        if !settings.keepsGeometry { zoom(settings, planes) }
        if !settings.keepsDetail {
            let radius = blurRadius(settings, height: planes.height)
            if radius > 0 { blur(planes, radius: radius) }
            if settings.sharpness > 3, settings.defocus == 0 { sharpen(planes, amount: settings.sharpness - 3) }
        }
        if !settings.keepsTones {
            if tables.settings != settings { tables = ToneTables(settings) }
            tables.apply(to: planes)
        }
    }

    /// A picture a step softer is blurred by a pixel at 480 lines; the focus' distance counts much more.
    private func blurRadius(_ settings: PictureSettings, height: Int) -> Int {
        let soft = max(0, 3 - settings.sharpness)
        return (soft * 3 + abs(settings.defocus)) * height / 480 / 8 + (soft > 0 || abs(settings.defocus) > 4 ? 1 : 0)
    }

    /// Cuts out the part that zoom, pan and tilt say, and enlarges it, bilinear.
    private func zoom(_ settings: PictureSettings, _ planes: borrowing YUV422Planes) {
        scratch.copy(from: planes)
        func plane(_ source: UnsafeMutableBufferPointer<UInt8>, _ target: UnsafeMutableBufferPointer<UInt8>, _ width: Int, _ height: Int) {
            let step = 100 * 65536 / max(settings.zoom, 100)
            let roomX = (width << 16) - width * step
            let roomY = (height << 16) - height * step
            let left = roomX / 2 + roomX / 2 / 36000 * settings.pan
            let top = roomY / 2 - roomY / 2 / 36000 * settings.tilt
            for y in 0..<height {
                let position = min(max(top + y * step, 0), (height - 1) << 16)
                let (row, low) = (position >> 16, (position >> 8) & 255)
                let first = row * width
                let second = min(row + 1, height - 1) * width
                for x in 0..<width {
                    let position = min(max(left + x * step, 0), (width - 1) << 16)
                    let (column, right) = (position >> 16, (position >> 8) & 255)
                    let next = min(column + 1, width - 1)
                    let upper = Int(source[first + column]) * (256 - right) + Int(source[first + next]) * right
                    let lower = Int(source[second + column]) * (256 - right) + Int(source[second + next]) * right
                    target[y * width + x] = UInt8(truncatingIfNeeded: (upper * (256 - low) + lower * low) >> 16)
                }
            }
        }
        plane(scratch.y, planes.y, planes.width, planes.height)
        plane(scratch.u, planes.u, planes.chromaWidth, planes.height)
        plane(scratch.v, planes.v, planes.chromaWidth, planes.height)
    }

    /// A box blur of the luma, across and then down; running sums, so the radius costs nothing.
    private func blur(_ planes: borrowing YUV422Planes, radius: Int) {
        let (width, height) = (planes.width, planes.height)
        func pass(
            _ source: UnsafeMutableBufferPointer<UInt8>, _ target: UnsafeMutableBufferPointer<UInt8>, lines: Int, count: Int, line: Int,
            step: Int
        ) {
            let reach = min(radius, count - 1)
            let span = 2 * reach + 1
            let factor = 65536 / span
            for index in 0..<lines {
                let start = index * line
                var sum = 0
                for offset in -reach...reach { sum += Int(source[start + min(max(offset, 0), count - 1) * step]) }
                for position in 0..<count {
                    target[start + position * step] = UInt8(truncatingIfNeeded: min(255, (sum * factor + 32768) >> 16))
                    sum += Int(source[start + min(position + reach + 1, count - 1) * step])
                    sum -= Int(source[start + max(position - reach, 0) * step])
                }
            }
        }
        pass(planes.y, scratch.y, lines: height, count: width, line: width, step: 1)
        pass(scratch.y, planes.y, lines: width, count: height, line: 1, step: width)
    }

    /// Adds a share of each luma sample's difference from its four neighbours.
    private func sharpen(_ planes: borrowing YUV422Planes, amount: Int) {
        let (width, height) = (planes.width, planes.height)
        guard width > 2, height > 2 else { return }
        let (source, target) = (scratch.y, planes.y)
        _ = source.update(fromContentsOf: target)
        for y in 1..<height - 1 {
            for x in 1..<width - 1 {
                let index = y * width + x
                let centre = Int(source[index])
                let around = Int(source[index - 1]) + Int(source[index + 1]) + Int(source[index - width]) + Int(source[index + width])
                let value = centre + ((4 * centre - around) * amount) / 8
                target[index] = UInt8(truncatingIfNeeded: min(max(value, 0), 255))
            }
        }
    }
}
