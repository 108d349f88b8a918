// The controls of the camera terminal and the processing unit: sizes, ranges, what an automatic mode takes over.

/// One number within a control's value.
struct ControlField: Hashable, Sendable {
    var size: Int
    var isSigned = false
    var minimum: Int
    var maximum: Int
    var resolution: Int
    var initial: Int

    /// Little endian, two's complement.
    func encoded(_ value: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    func decoded(_ bytes: ArraySlice<UInt8>) -> Int {
        var value = 0
        for byte in bytes.reversed() { value = value << 8 | Int(byte) }
        let bits = size * 8
        return isSigned && value >> (bits - 1) != 0 ? value - (1 << bits) : value
    }
}

/// A control of the emulated camera. Selectors and bit numbers: UVC 1.1 tables, §3.7.2.3, §3.7.2.5.
enum WebcamControl: Int, CaseIterable, Hashable, Sendable {
    case autoExposureMode, exposureTime, focus, zoom, panTilt, focusAuto, privacy
    case backlight, brightness, contrast, gain, powerLineFrequency, hue, saturation, sharpness, gamma, whiteBalance, whiteBalanceAuto

    /// What people call it.
    var name: String {
        switch self {
        case .autoExposureMode: "exposure_auto"
        case .exposureTime: "exposure_time_absolute"
        case .focus: "focus_absolute"
        case .zoom: "zoom_absolute"
        case .panTilt: "pan_absolute"
        case .focusAuto: "focus_auto"
        case .backlight: "backlight_compensation"
        case .powerLineFrequency: "power_line_frequency"
        case .whiteBalance: "white_balance_temperature"
        case .whiteBalanceAuto: "white_balance_automatic"
        case .privacy, .brightness, .contrast, .gain, .hue, .saturation, .sharpness, .gamma: "\(self)"
        }
    }

    struct Definition: Sendable {
        var entity: UInt8
        var selector: UInt8
        /// Bit of `bmControls`, which is in another order than the selectors.
        var bit: Int
        var fields: [ControlField]
        /// GET_MIN and GET_MAX are answered. Bitmaps have a GET_RES alone, switches nothing of these (§4.2.2.1.2 and others).
        var hasRange = true
        var hasResolution = true
        /// The switch that makes the camera drive this control itself.
        var automatic: WebcamControl?
    }

    private static func number(_ size: Int, signed: Bool = false, _ range: ClosedRange<Int>, step: Int = 1, initial: Int) -> [ControlField]
    {
        [
            ControlField(
                size: size, isSigned: signed, minimum: range.lowerBound, maximum: range.upperBound, resolution: step, initial: initial)
        ]
    }

    /// Bits of the automatic exposure mode (§4.2.2.1.2).
    static let manualMode = 1
    static let aperturePriorityMode = 8
    /// Where the picture is sharpest.
    static let sharpestFocus = 68
    /// 15.6 ms, in units of 100 µs.
    static let normalExposure = 156
    static let normalGain = 32

    var definition: Definition { Self.definitions[rawValue] }

    private static let definitions: [Definition] = allCases.map { control in
        let camera = WebcamEntity.camera
        let processing = WebcamEntity.processing
        switch control {
        case .autoExposureMode:
            // GET_RES is the bitmap of the modes that exist: manual, and exposure time driven by the camera (aperture priority).
            return Definition(
                entity: camera, selector: 0x02, bit: 1,
                fields: number(1, 1...8, step: manualMode | aperturePriorityMode, initial: aperturePriorityMode), hasRange: false)
        case .exposureTime:
            return Definition(
                entity: camera, selector: 0x04, bit: 3, fields: number(4, 3...2047, initial: normalExposure), automatic: .autoExposureMode)
        case .focus:
            return Definition(
                entity: camera, selector: 0x06, bit: 5, fields: number(2, 0...250, initial: sharpestFocus), automatic: .focusAuto)
        case .focusAuto:
            return Definition(
                entity: camera, selector: 0x08, bit: 17, fields: number(1, 0...1, initial: 1), hasRange: false, hasResolution: false)
        case .zoom: return Definition(entity: camera, selector: 0x0b, bit: 9, fields: number(2, 100...400, initial: 100))
        case .panTilt:
            let field = ControlField(size: 4, isSigned: true, minimum: -36000, maximum: 36000, resolution: 3600, initial: 0)
            return Definition(entity: camera, selector: 0x0d, bit: 11, fields: [field, field])
        case .privacy:
            return Definition(
                entity: camera, selector: 0x11, bit: 18, fields: number(1, 0...1, initial: 0), hasRange: false, hasResolution: false)
        case .backlight: return Definition(entity: processing, selector: 0x01, bit: 8, fields: number(2, 0...2, initial: 0))
        case .brightness:
            return Definition(entity: processing, selector: 0x02, bit: 0, fields: number(2, signed: true, -64...64, initial: 0))
        case .contrast: return Definition(entity: processing, selector: 0x03, bit: 1, fields: number(2, 0...100, initial: 50))
        case .gain:
            // No automatic mode drives it: the exposure mode's is the exposure time alone (§4.2.2.1.2), and hosts take it for writable.
            return Definition(entity: processing, selector: 0x04, bit: 9, fields: number(2, 0...128, initial: normalGain))
        case .powerLineFrequency:
            return Definition(
                entity: processing, selector: 0x05, bit: 10, fields: number(1, 0...2, initial: 1), hasRange: true, hasResolution: true)
        case .hue:
            // Hundredths of a degree (§4.2.2.3.6).
            return Definition(
                entity: processing, selector: 0x06, bit: 2, fields: number(2, signed: true, -18000...18000, step: 100, initial: 0))
        case .saturation: return Definition(entity: processing, selector: 0x07, bit: 3, fields: number(2, 0...200, initial: 100))
        case .sharpness: return Definition(entity: processing, selector: 0x08, bit: 4, fields: number(2, 0...6, initial: 3))
        case .gamma: return Definition(entity: processing, selector: 0x09, bit: 5, fields: number(2, 40...300, initial: 100))
        case .whiteBalance:
            return Definition(
                entity: processing, selector: 0x0a, bit: 6,
                fields: number(2, 2800...6500, step: 10, initial: PictureSettings.neutralTemperature), automatic: .whiteBalanceAuto)
        case .whiteBalanceAuto:
            return Definition(
                entity: processing, selector: 0x0b, bit: 12, fields: number(1, 0...1, initial: 1), hasRange: false, hasResolution: false)
        }
    }

    var length: Int { definition.fields.reduce(0) { $0 + $1.size } }

    static func find(entity: UInt8, selector: UInt8) -> WebcamControl? {
        allCases.first { $0.definition.entity == entity && $0.definition.selector == selector }
    }

    /// `bmControls` of a terminal or unit.
    static func bitmap(of entity: UInt8) -> UInt32 {
        allCases.filter { $0.definition.entity == entity }.reduce(0) { $0 | 1 << UInt32($1.definition.bit) }
    }
}
