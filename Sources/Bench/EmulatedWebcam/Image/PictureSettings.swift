// What the controls ask of the picture, at one moment.

/// A snapshot of the controls that change the picture. The defaults leave it as the lens sees it.
struct PictureSettings: Hashable, Sendable {
    /// −64…64, added to the brightness in steps of 1/128.
    var brightness = 0
    /// 0…100; 50 is neutral.
    var contrast = 50
    /// 0…200 percent.
    var saturation = 100
    /// −180…180 degrees.
    var hue = 0
    /// 0…6; 3 is neutral, less is softer.
    var sharpness = 3
    /// 40…300 hundredths; 100 is neutral.
    var gamma = 100
    /// 2800…6500 kelvin as the camera corrects for it; ``neutralTemperature`` is neutral.
    var whiteBalance = neutralTemperature
    /// 0…2 steps of lifted shadows.
    var backlight = 0
    /// How much more light than the scene needs reaches the picture, in percent: exposure time and gain together.
    var exposurePercent = 100
    /// Distance of the focus from the sharpest position, in its own steps.
    var defocus = 0
    /// 100…400 percent.
    var zoom = 100
    /// −36000…36000 arc seconds; where the zoomed picture lies.
    var pan = 0
    var tilt = 0
    var privacy = false

    static let neutralTemperature = 4600

    /// Whether brightness and colours stay as they are.
    var keepsTones: Bool {
        brightness == 0 && contrast == 50 && saturation == 100 && hue == 0 && gamma == 100 && whiteBalance == Self.neutralTemperature
            && backlight == 0 && exposurePercent == 100
    }
    var keepsGeometry: Bool { zoom == 100 }
    var keepsDetail: Bool { sharpness == 3 && defocus == 0 }
}
