// The standard's controls under the names that people type: where each one's bytes are and what they mean (UVC 1.5 §4.2.2).

/// A control as the standard defines it. Some definitions are one field of a control that has several (pan and tilt).
public struct VideoControlDefinition: Hashable, Sendable {
    public enum Unit: String, Hashable, Sendable {
        case cameraTerminal = "camera terminal"
        case selectorUnit = "selector unit"
        case processingUnit = "processing unit"
    }

    /// The raw value is what JSON says.
    public enum Kind: String, Hashable, Sendable {
        case integer
        case boolean
        /// One of the values that have a text.
        case menu
        /// One bit of a set: GET_RES says which bits there are.
        case bitmap
    }

    /// One entry of a menu.
    public struct Item: Hashable, Sendable, Codable {
        public var value: Int
        public var text: String
    }

    /// Lower case with underscores, as v4l2-ctl shows its controls.
    public var name: String
    public var unit: Unit
    /// The bit of `bmControls` that announces it; `nil` for the selector unit, which has no such field.
    public var bit: Int?
    /// `wValue`'s high byte.
    public var selector: UInt8
    /// Bytes of the whole control.
    public var length: Int
    /// The field's place in it.
    public var offset: Int
    public var size: Int
    public var isSigned: Bool
    public var kind: Kind
    public var items: [Item]
    /// What the numbers count: `"100 µs"`, `"K"`; empty if they count nothing.
    public var measure: String
    /// The automatic control that takes this one over while it is on, and its values for manual operation, the plainest first.
    public var automatic: Automatic?

    public struct Automatic: Hashable, Sendable {
        public var name: String
        public var manual: [Int]
    }

    private init(
        _ name: String, _ unit: Unit, bit: Int?, selector: UInt8, size: Int, length: Int? = nil, offset: Int = 0, signed: Bool = false,
        kind: Kind = .integer, items: [(Int, String)] = [], measure: String = "", automatic: (String, [Int])? = nil
    ) {
        self.name = name
        self.unit = unit
        self.bit = bit
        self.selector = selector
        self.length = length ?? size
        self.offset = offset
        self.size = size
        isSigned = signed
        self.kind = kind
        self.items = items.map { Item(value: $0.0, text: $0.1) }
        self.measure = measure
        self.automatic = automatic.map { Automatic(name: $0.0, manual: $0.1) }
    }

    /// Every control that makes sense on a command line. Left out: relative ones (speeds, not values), windows and regions, and the
    /// encoding unit's, which mean something only together with a layer.
    public static let all: [VideoControlDefinition] = [
        VideoControlDefinition("brightness", .processingUnit, bit: 0, selector: 0x02, size: 2, signed: true),
        VideoControlDefinition("contrast", .processingUnit, bit: 1, selector: 0x03, size: 2, automatic: ("contrast_auto", [0])),
        VideoControlDefinition("contrast_auto", .processingUnit, bit: 18, selector: 0x13, size: 1, kind: .boolean),
        VideoControlDefinition("saturation", .processingUnit, bit: 3, selector: 0x07, size: 2),
        VideoControlDefinition(
            "hue", .processingUnit, bit: 2, selector: 0x06, size: 2, signed: true, measure: "0.01°", automatic: ("hue_auto", [0])),
        VideoControlDefinition("hue_auto", .processingUnit, bit: 11, selector: 0x10, size: 1, kind: .boolean),
        VideoControlDefinition("sharpness", .processingUnit, bit: 4, selector: 0x08, size: 2),
        VideoControlDefinition("gamma", .processingUnit, bit: 5, selector: 0x09, size: 2, measure: "0.01"),
        VideoControlDefinition("gain", .processingUnit, bit: 9, selector: 0x04, size: 2),
        VideoControlDefinition("backlight_compensation", .processingUnit, bit: 8, selector: 0x01, size: 2),
        VideoControlDefinition(
            "power_line_frequency", .processingUnit, bit: 10, selector: 0x05, size: 1, kind: .menu,
            items: [(0, "disabled"), (1, "50 Hz"), (2, "60 Hz"), (3, "auto")]),
        VideoControlDefinition("white_balance_automatic", .processingUnit, bit: 12, selector: 0x0b, size: 1, kind: .boolean),
        VideoControlDefinition(
            "white_balance_temperature", .processingUnit, bit: 6, selector: 0x0a, size: 2, measure: "K",
            automatic: ("white_balance_automatic", [0])),
        VideoControlDefinition("white_balance_component_automatic", .processingUnit, bit: 13, selector: 0x0d, size: 1, kind: .boolean),
        VideoControlDefinition(
            "white_balance_blue", .processingUnit, bit: 7, selector: 0x0c, size: 2, length: 4,
            automatic: ("white_balance_component_automatic", [0])),
        VideoControlDefinition(
            "white_balance_red", .processingUnit, bit: 7, selector: 0x0c, size: 2, length: 4, offset: 2,
            automatic: ("white_balance_component_automatic", [0])),
        VideoControlDefinition("digital_multiplier", .processingUnit, bit: 14, selector: 0x0e, size: 2),
        VideoControlDefinition("digital_multiplier_limit", .processingUnit, bit: 15, selector: 0x0f, size: 2),
        VideoControlDefinition(
            "analog_video_standard", .processingUnit, bit: 16, selector: 0x11, size: 1, kind: .menu,
            items: [(0, "none"), (1, "NTSC 525/60"), (2, "PAL 625/50"), (3, "SECAM 625/50"), (4, "NTSC 625/50"), (5, "PAL 525/60")]),
        VideoControlDefinition(
            "analog_lock_status", .processingUnit, bit: 17, selector: 0x12, size: 1, kind: .menu, items: [(0, "locked"), (1, "not locked")]),

        VideoControlDefinition("scanning_mode", .cameraTerminal, bit: 0, selector: 0x01, size: 1, kind: .boolean),
        VideoControlDefinition(
            "exposure_auto", .cameraTerminal, bit: 1, selector: 0x02, size: 1, kind: .bitmap,
            items: [(1, "manual"), (2, "auto"), (4, "shutter priority"), (8, "aperture priority")]),
        VideoControlDefinition("exposure_auto_priority", .cameraTerminal, bit: 2, selector: 0x03, size: 1, kind: .boolean),
        VideoControlDefinition(
            "exposure_time_absolute", .cameraTerminal, bit: 3, selector: 0x04, size: 4, measure: "100 µs",
            automatic: ("exposure_auto", [1, 4])),
        VideoControlDefinition(
            "focus_absolute", .cameraTerminal, bit: 5, selector: 0x06, size: 2, measure: "mm", automatic: ("focus_auto", [0])),
        VideoControlDefinition("focus_auto", .cameraTerminal, bit: 17, selector: 0x08, size: 1, kind: .boolean),
        VideoControlDefinition(
            "focus_simple", .cameraTerminal, bit: 19, selector: 0x12, size: 1, kind: .menu,
            items: [(0, "full range"), (1, "macro"), (2, "people"), (3, "scene")]),
        VideoControlDefinition(
            "iris_absolute", .cameraTerminal, bit: 7, selector: 0x09, size: 2, measure: "f/100", automatic: ("exposure_auto", [1, 8])),
        VideoControlDefinition("zoom_absolute", .cameraTerminal, bit: 9, selector: 0x0b, size: 2),
        VideoControlDefinition(
            "pan_absolute", .cameraTerminal, bit: 11, selector: 0x0d, size: 4, length: 8, signed: true, measure: "arc second"),
        VideoControlDefinition(
            "tilt_absolute", .cameraTerminal, bit: 11, selector: 0x0d, size: 4, length: 8, offset: 4, signed: true, measure: "arc second"),
        VideoControlDefinition("roll_absolute", .cameraTerminal, bit: 13, selector: 0x0f, size: 2, signed: true, measure: "°"),
        VideoControlDefinition("privacy", .cameraTerminal, bit: 18, selector: 0x11, size: 1, kind: .boolean),

        VideoControlDefinition("input_select", .selectorUnit, bit: nil, selector: 0x01, size: 1),
    ]

    /// What the same controls are called elsewhere (v4l2-ctl, old and new).
    static let aliases = [
        "auto_exposure": "exposure_auto", "exposure_absolute": "exposure_time_absolute",
        "exposure_dynamic_framerate": "exposure_auto_priority", "focus_automatic_continuous": "focus_auto",
        "white_balance_temperature_auto": "white_balance_automatic", "hue_automatic": "hue_auto", "contrast_automatic": "contrast_auto",
        "white_balance_component_auto": "white_balance_component_automatic",
        "blue_balance": "white_balance_blue", "red_balance": "white_balance_red",
    ]

    /// The name as a title: `"Exposure time absolute"`.
    public var title: String {
        let words = String(name.map { $0 == "_" ? " " : $0 })
        return words.prefix(1).uppercased() + words.dropFirst()
    }

    /// A value as people type it: `"off"`, `"aperture priority"`, `"50"`.
    public func text(of value: Int) -> String {
        if kind == .boolean { return value == 0 ? "off" : "on" }
        return items.first { $0.value == value }?.text ?? "\(value)"
    }

    // MARK: Bytes

    /// The values that the field can hold.
    public var fieldRange: ClosedRange<Int> {
        isSigned ? -(1 << (8 * size - 1))...(1 << (8 * size - 1)) - 1 : 0...(1 << (8 * size)) - 1
    }

    /// The field's value in the control's bytes. Bytes that a short answer lacks count as 0; `nil` if not one of the field's came.
    public func decode(_ bytes: [UInt8]) -> Int? {
        guard bytes.count > offset else { return nil }
        let raw = Int(bytes.littleEndian(at: offset, as: UInt32.self) & UInt32(truncatingIfNeeded: (1 << (8 * size)) - 1))
        // A negative number needs all its bytes.
        guard isSigned, bytes.count >= offset + size, raw >= 1 << (8 * size - 1) else { return raw }
        return raw - (1 << (8 * size))
    }

    /// The control's bytes with the field replaced; the other fields as they are in `current`.
    /// - Parameter length: bytes of the whole control, where the camera's number is not the standard's.
    public func encode(_ value: Int, into current: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = length ?? self.length
        var bytes = Array(current.prefix(length)) + [UInt8](repeating: 0, count: max(0, length - current.count))
        // The last field fills what a longer control has, with its sign.
        let end = offset + size == self.length ? length : min(offset + size, length)
        for index in offset..<max(offset, end) { bytes[index] = UInt8(truncatingIfNeeded: value >> (8 * (index - offset))) }
        return bytes
    }
}
