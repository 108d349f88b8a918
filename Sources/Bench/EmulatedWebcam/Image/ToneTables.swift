// Brightness and colour controls as tables, applied in place.

import Glibc
import Pictures

/// Tables for one set of controls.
struct ToneTables {
    let settings: PictureSettings
    private let luma: [UInt8]
    /// Chroma is turned and stretched: `u' = uu·u + uv·v`, in 1/256, and tinted in proportion to the luma.
    private let turn: (along: Int, across: Int)
    private let tint: (u: Int, v: Int)

    init(_ settings: PictureSettings) {
        self.settings = settings
        let contrast = Double(settings.contrast) / 50
        let exposure = Double(settings.exposurePercent) / 100
        let gamma = 100 / Double(max(settings.gamma, 1)) / (1 + 0.25 * Double(settings.backlight))
        luma = (0...255).map { value in
            var level = min(1, Double(value) / 255 * exposure)
            level = pow(level, gamma)
            level = (level - 0.5) * contrast + 0.5 + Double(settings.brightness) / 128
            return UInt8(min(max(level, 0), 1) * 255 + 0.5)
        }
        let saturation = Double(settings.saturation) / 100 * min(1.2, exposure.squareRoot()) * min(contrast, 1.6).squareRoot() * 256
        let angle = Double(settings.hue) * .pi / 180
        turn = (Int((saturation * cos(angle)).rounded()), Int((saturation * sin(angle)).rounded()))
        // A camera that corrects for warmer light than there is makes the picture bluer, and the other way round.
        let steps = (settings.whiteBalance - PictureSettings.neutralTemperature) / 40
        tint = (-steps * 2, steps * 2)
    }

    func apply(to planes: borrowing YUV422Planes) {
        let (planeY, planeU, planeV) = (planes.y, planes.u, planes.v)
        luma.withUnsafeBufferPointer { luma in
            for index in 0..<planeY.count { planeY[index] = luma[Int(planeY[index])] }
        }
        let width = planes.width
        for row in 0..<planes.height {
            for pair in 0..<planes.chromaWidth {
                let index = row * planes.chromaWidth + pair
                let level = Int(planeY[row * width + pair * 2])
                let (u, v) = (Int(planeU[index]) - 128, Int(planeV[index]) - 128)
                let newU = 128 + (turn.along * u - turn.across * v + tint.u * level) >> 8
                let newV = 128 + (turn.across * u + turn.along * v + tint.v * level) >> 8
                planeU[index] = UInt8(truncatingIfNeeded: min(max(newU, 0), 255))
                planeV[index] = UInt8(truncatingIfNeeded: min(max(newV, 0), 255))
            }
        }
    }
}
