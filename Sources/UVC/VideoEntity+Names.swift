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

    /// The standard's names of the controls whose bits are set in `bmControls`, in the order of the bits; `"bit 27"` for one without a
    /// name. An extension unit's controls have numbers only, its selectors: bit n is selector n + 1.
    public var controlNames: [String] {
        switch kind {
        case .cameraTerminal: names(Self.cameraControls)
        case .processingUnit: names(Self.processingControls)
        case .encodingUnit: names(Self.encodingControls)
        case .extensionUnit: controls.set.map { "\($0 + 1)" }
        case .selectorUnit: ["input select"]
        case .inputTerminal, .outputTerminal, .unknown: controls.set.map { "bit \($0)" }
        }
    }

    private func names(_ table: [String]) -> [String] {
        controls.set.map { $0 < table.count && !table[$0].isEmpty ? table[$0] : "bit \($0)" }
    }

    /// UVC 1.5 table 3-6, D0 first. Not the order of the selectors.
    private static let cameraControls = [
        "scanning mode", "exposure mode", "exposure priority", "exposure time", "exposure time (relative)", "focus", "focus (relative)",
        "iris", "iris (relative)", "zoom", "zoom (relative)", "pan and tilt", "pan and tilt (relative)", "roll", "roll (relative)", "", "",
        "focus auto", "privacy", "focus simple", "digital window", "region of interest",
    ]

    /// UVC 1.5 table 3-8, D0 first.
    private static let processingControls = [
        "brightness", "contrast", "hue", "saturation", "sharpness", "gamma", "white balance temperature", "white balance component",
        "backlight compensation", "gain", "power line frequency", "hue auto", "white balance temperature auto",
        "white balance component auto", "digital multiplier", "digital multiplier limit", "analog video standard", "analog lock status",
        "contrast auto",
    ]

    /// UVC 1.5 table 3-10, D0 first.
    private static let encodingControls = [
        "select layer", "profile and toolset", "video resolution", "minimum frame interval", "slice mode", "rate control mode",
        "average bit rate", "CPB size", "peak bit rate", "quantization", "sync and long-term reference frame",
        "long-term buffer", "picture long-term reference", "long-term reference validation", "level", "SEI message",
        "priority and layer id",
        "start or stop layer", "error resiliency",
    ]
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
