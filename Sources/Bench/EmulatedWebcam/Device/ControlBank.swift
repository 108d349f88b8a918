// The values of all controls, the requests on them, and the changes that the camera reports by itself.

import Glibc
import USB

/// Controls with their values, as the video control interface keeps them.
struct ControlBank {
    private var values: [[Int]] = WebcamControl.allCases.map { $0.definition.fields.map(\.initial) }
    /// Packets for the status interrupt endpoint, oldest first (§2.4.2.2).
    private(set) var reports: [[UInt8]] = []
    /// A host that does not listen must not make the list grow.
    private static let maximumReports = 32
    /// The privacy control is a shutter's, which only a hand moves.
    private let hasShutter: Bool

    init(hasShutter: Bool = false) { self.hasShutter = hasShutter }

    subscript(control: WebcamControl, field: Int = 0) -> Int { values[control.rawValue][field] }

    /// Whether the camera drives the control now.
    func isAutomatic(_ control: WebcamControl) -> Bool {
        guard let owner = control.definition.automatic else { return false }
        return owner == .autoExposureMode ? self[owner] != WebcamControl.manualMode : self[owner] != 0
    }

    mutating func takeReport() -> [UInt8]? { reports.isEmpty ? nil : reports.removeFirst() }

    /// Answers a request on a terminal or unit.
    mutating func answer(_ request: VideoRequest, data: [UInt8]) throws(RequestError) -> [UInt8] {
        guard [WebcamEntity.camera, WebcamEntity.processing, WebcamEntity.output].contains(request.entity) else { throw .invalidUnit }
        guard let control = WebcamControl.find(entity: request.entity, selector: request.selector) else { throw .invalidControl }
        let definition = control.definition
        func encoded(_ value: (Int, ControlField) -> Int) -> [UInt8] {
            definition.fields.enumerated().flatMap { index, field in field.encoded(value(index, field)) }
        }
        switch request.kind {
        case .setCurrent:
            try set(control, data)
            return []
        case .getCurrent: return encoded { index, _ in self[control, index] }
        case .getMinimum where definition.hasRange: return encoded { $1.minimum }
        case .getMaximum where definition.hasRange: return encoded { $1.maximum }
        case .getResolution where definition.hasResolution: return encoded { $1.resolution }
        case .getDefault: return encoded { $1.initial }
        case .getInformation: return [information(control)]
        case .getLength: return [UInt8(control.length & 0xff), UInt8(control.length >> 8)]
        case .getMinimum, .getMaximum, .getResolution: throw .invalidRequest
        }
    }

    private func information(_ control: WebcamControl) -> UInt8 {
        if control == .privacy, hasShutter { return ControlInformation.get | ControlInformation.updatesItself }
        var bits = ControlInformation.get | ControlInformation.set
        if control.definition.automatic != nil { bits |= ControlInformation.updatesItself }
        if isAutomatic(control) { bits |= ControlInformation.disabledByAutomaticMode }
        return bits
    }

    private mutating func set(_ control: WebcamControl, _ data: [UInt8]) throws(RequestError) {
        guard data.count == control.length, control != .privacy || !hasShutter else { throw .invalidRequest }
        guard !isAutomatic(control) else { throw .wrongState }
        var new: [Int] = []
        var position = 0
        for field in control.definition.fields {
            let value = field.decoded(data[position..<position + field.size])
            position += field.size
            guard value >= field.minimum, value <= field.maximum else { throw .outOfRange }
            new.append(value)
        }
        if control == .autoExposureMode, new[0] != WebcamControl.manualMode, new[0] != WebcamControl.aperturePriorityMode {
            throw .outOfRange
        }
        let driven = WebcamControl.allCases.filter { $0.definition.automatic == control }
        let before = driven.map { isAutomatic($0) }
        values[control.rawValue] = new
        // What a switch enables or disables changes its information, which is reported (bAttribute 1).
        for (driven, was) in zip(driven, before) where isAutomatic(driven) != was {
            report(driven, attribute: 1, value: [information(driven)])
        }
    }

    /// Lets the automatic modes follow the scene, whose light and colour change slowly. `seconds`: any clock that goes on evenly.
    mutating func followScene(seconds: Double) {
        if isAutomatic(.exposureTime) {
            let light = 1 + 0.24 * sin(seconds * 2 * .pi / 24)
            drive(.exposureTime, to: Int(Double(WebcamControl.normalExposure) / light / 8) * 8)
        }
        if isAutomatic(.whiteBalance) {
            drive(.whiteBalance, to: PictureSettings.neutralTemperature + Int((sin(seconds * 2 * .pi / 40) * 2).rounded()) * 100)
        }
        if isAutomatic(.focus) {
            // The lens moves a few steps a frame until it is there.
            let away = WebcamControl.sharpestFocus - self[.focus]
            drive(.focus, to: self[.focus] + min(max(away, -16), 16))
        }
    }

    private mutating func drive(_ control: WebcamControl, to value: Int) {
        guard self[control] != value else { return }
        values[control.rawValue] = [value]
        report(control, attribute: 0, value: control.definition.fields[0].encoded(value))
    }

    mutating func placeShutter(isShut: Bool) { values[WebcamControl.privacy.rawValue] = [isShut ? 1 : 0] }
    mutating func moveShutter(isShut: Bool) { drive(.privacy, to: isShut ? 1 : 0) }

    /// A button press: bStatusType 2 (streaming interface), bOriginator, bEvent 0, bValue.
    mutating func reportButton(_ isPressed: Bool, interface: UInt8) { append([2, interface, 0, isPressed ? 1 : 0]) }

    /// A control change: bStatusType 1 (control interface), bOriginator, bEvent 0, bSelector, bAttribute, bValue.
    private mutating func report(_ control: WebcamControl, attribute: UInt8, value: [UInt8]) {
        append([1, control.definition.entity, 0, control.definition.selector, attribute] + value)
    }

    private mutating func append(_ report: [UInt8]) {
        if reports.count >= Self.maximumReports { reports.removeFirst() }
        reports.append(report)
    }

    /// What the picture looks like with these values. What the camera drives, it drives so that the picture is right.
    var pictureSettings: PictureSettings {
        var settings = PictureSettings()
        settings.brightness = self[.brightness]
        settings.contrast = self[.contrast]
        settings.saturation = self[.saturation]
        settings.hue = self[.hue] / 100
        settings.sharpness = self[.sharpness]
        settings.gamma = self[.gamma]
        settings.backlight = self[.backlight]
        if !isAutomatic(.whiteBalance) { settings.whiteBalance = self[.whiteBalance] }
        if !isAutomatic(.exposureTime) {
            let time = Double(self[.exposureTime]) / Double(WebcamControl.normalExposure)
            let gain = pow(2, Double(self[.gain] - WebcamControl.normalGain) / 32)
            settings.exposurePercent = Int((time * gain * 100).rounded())
        }
        settings.defocus = self[.focus] - WebcamControl.sharpestFocus
        settings.zoom = self[.zoom]
        settings.pan = self[.panTilt, 0]
        settings.tilt = self[.panTilt, 1]
        settings.privacy = self[.privacy] != 0
        return settings
    }
}
