// What entities and the controls that they announce are called.

import USB

extension VideoEntity {
    /// The kind in words: `"camera terminal"`, `"processing unit"`.
    public var kindName: String {
        switch kind {
        case .cameraTerminal: "camera terminal"
        case .inputTerminal(TerminalType.mediaTransportInput): "media transport input"
        case .inputTerminal(TerminalType.composite): "composite input"
        case .inputTerminal(TerminalType.sVideo): "S-video input"
        case .inputTerminal(TerminalType.component): "component input"
        case .inputTerminal: "input terminal"
        case .outputTerminal(TerminalType.display): "display"
        case .outputTerminal: "output terminal"
        case .selectorUnit: "selector unit"
        case .processingUnit: "processing unit"
        case .encodingUnit: "encoding unit"
        case .extensionUnit: "extension unit"
        case .unknown(let subtype): "unknown unit (0x\(hexadecimal(subtype, digits: 2)))"
        }
    }

    /// The names of the controls whose bits are set in `bmControls`, in the order of the bits, as `VideoControlDefinition` has them;
    /// `"bit 27"` for one without a name. An extension unit's controls have numbers only, its selectors: bit n is selector n + 1.
    public var controlNames: [String] {
        switch kind {
        case .cameraTerminal: names(Self.cameraControls)
        case .processingUnit: names(Self.processingControls)
        case .encodingUnit: names(Self.encodingControls)
        case .extensionUnit: controls.set.map { "\($0 + 1)" }
        case .selectorUnit: ["input_select"]
        case .inputTerminal, .outputTerminal, .unknown: controls.set.map { "bit \($0)" }
        }
    }

    private func names(_ table: [Int: [String]]) -> [String] { controls.set.flatMap { table[$0] ?? ["bit \($0)"] } }

    /// UVC 1.5 table 3-6: what can be set by name, and what can't (the relative ones are speeds).
    private static let cameraControls = table(
        .cameraTerminal,
        besides: [
            4: "exposure_time_relative", 6: "focus_relative", 8: "iris_relative", 10: "zoom_relative", 12: "pan_tilt_relative",
            14: "roll_relative", 20: "digital_window", 21: "region_of_interest",
        ])

    /// UVC 1.5 table 3-8.
    private static let processingControls = table(.processingUnit, besides: [:])

    /// UVC 1.5 table 3-10, D0 first.
    private static let encodingControls = Dictionary(
        uniqueKeysWithValues: [
            "select_layer", "profile_toolset", "video_resolution", "minimum_frame_interval", "slice_mode", "rate_control_mode",
            "average_bit_rate", "cpb_size", "peak_bit_rate", "quantization", "sync_reference_frame", "long_term_buffer",
            "long_term_picture", "long_term_validation", "level", "sei_message", "priority", "start_stop_layer", "error_resiliency",
        ].enumerated().map { ($0, [$1]) })

    private static func table(_ unit: VideoControlDefinition.Unit, besides: [Int: String]) -> [Int: [String]] {
        var table = besides.mapValues { [$0] }
        for definition in VideoControlDefinition.all where definition.unit == unit {
            if let bit = definition.bit { table[bit, default: []].append(definition.name) }
        }
        return table
    }
}

extension ExtensionUnit {
    /// Whose unit it is, for the few that many cameras have.
    public var name: String? {
        let text = guid.description
        if let name = Self.known[text] { return name }
        return text.hasPrefix("63610682-5070-49ab-b8cc-b3855e8d22") ? "Logitech" : nil
    }

    private static let known = [
        "a29e7641-de04-47e3-8b2b-f4341aff003b": "H.264",
        "0f3f95dc-2632-4c4e-92c9-a04782f43bc8": "Microsoft camera controls",
        "28f03370-1163-4a2e-ba2c-6890eb334016": "Sonix", "28f03370-6311-4a2e-ba2c-6890eb334016": "Sonix",
    ]
}
