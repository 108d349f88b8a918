// A camera's controls, asked and set through its control interface.
public import USB

/// The controls of one video function. What the camera answers is believed as far as it makes sense.
public struct VideoControls: Sendable {
    private let device: any USBDeviceHandle
    private let interface: UInt8
    private let quirks: VideoQuirks
    /// In the order of `VideoControlDefinition.all`. A name stands once: of two processing units the first has it.
    public let controls: [VideoControl]
    /// What was odd, in sentences.
    public let oddities: [String]

    /// Asks the device about every control that its descriptors announce. A control that answers nothing is left out. Throws only what
    /// ends everything: the device is gone, or lets request after request time out.
    public init(device: any USBDeviceHandle, function: VideoFunction, quirks: VideoQuirks = []) async throws(USBError) {
        self.device = device
        self.quirks = quirks
        interface = function.controlInterface
        var inquiry = ControlInquiry(device: device, interface: function.controlInterface)
        var found: [VideoControl] = []
        for (definition, entity) in Self.announced(by: function, quirks: quirks) {
            if let control = try await inquiry.control(definition, entity: entity) { found.append(control) }
        }
        controls = found
        oddities = inquiry.oddities
    }

    /// The standard controls whose bits are set, with the entity that has them.
    public static func announced(by function: VideoFunction, quirks: VideoQuirks = []) -> [(VideoControlDefinition, entity: UInt8)] {
        VideoControlDefinition.all.compactMap { definition in
            let entity = function.entities.first { entity in
                switch (entity.kind, definition.unit) {
                case (.cameraTerminal, .cameraTerminal), (.processingUnit, .processingUnit):
                    definition.bit.map(entity.controls.contains) ?? false
                case (.selectorUnit, .selectorUnit): entity.sources.count > 1 && !quirks.contains(.ignoreSelectorUnit)
                default: false
                }
            }
            return entity.map { (definition, $0.id) }
        }
    }

    /// By its name here or in v4l2-ctl.
    public func control(_ name: String) throws(VideoControlError) -> VideoControl {
        let name = VideoControlDefinition.aliases[name] ?? name
        guard let control = controls.first(where: { $0.name == name }) else {
            let names = controls.map(\.name).joined(separator: ", ")
            throw VideoControlError(
                .noSuchControl, control: name,
                reason: names.isEmpty ? "the camera has no controls" : "the camera has no such control; it has \(names)")
        }
        return control
    }

    /// GET_CUR
    public func value(_ name: String) async throws(VideoControlError) -> Int {
        let control = try control(name)
        guard control.isReadable else { throw VideoControlError(.writeOnly, control: control.name, reason: "it can't be read") }
        let bytes = try await current(control)
        guard let value = control.definition.decode(bytes) else {
            let error = USBError(.malformedAnswer, operation: "GET_CUR(\(control.name))", detail: "\(bytes.count) bytes")
            throw VideoControlError(.transferFailed, control: control.name, reason: "\(error)", underlying: error)
        }
        return value
    }

    /// Whether an automatic control holds this one now (GET_INFO's D2). A camera that does not say so counts as no.
    public func isInactive(_ name: String) async throws(VideoControlError) -> Bool {
        let control = try control(name)
        do throws(USBError) {
            let info = try await device.videoGet(
                .getInfo, selector: control.definition.selector, entity: control.entity, interface: interface, length: 1)
            return (info.first ?? 0) & 0x04 != 0
        } catch {
            if error.endsEverything { throw VideoControlError(.transferFailed, control: name, reason: "\(error)", underlying: error) }
            return false
        }
    }

    /// SET_CUR, after a check of the range. The value that was set: the nearest that the control's step allows.
    @discardableResult
    public func set(_ name: String, to value: Int) async throws(VideoControlError) -> Int {
        let control = try control(name)
        let definition = control.definition
        let accepted = try control.accepted(value)
        // The fields beside this one keep their values.
        let beside = definition.size < definition.length ? try await current(control) : []
        do throws(USBError) {
            try await device.videoSet(
                selector: definition.selector, entity: control.entity, interface: interface,
                bytes: definition.encode(accepted, into: beside))
        } catch {
            throw await refusal(error, control, "SET_CUR")
        }
        return accepted
    }

    /// Sets the default value. Its value.
    @discardableResult
    public func reset(_ name: String) async throws(VideoControlError) -> Int {
        try await set(name, to: control(name).defaultValue)
    }

    private func current(_ control: VideoControl) async throws(VideoControlError) -> [UInt8] {
        do throws(USBError) {
            return try await device.videoGet(
                .getCur, selector: control.definition.selector, entity: control.entity, interface: interface,
                length: control.definition.length)
        } catch {
            throw await refusal(error, control, "GET_CUR")
        }
    }

    /// Why the device refused: it is asked itself (UVC 1.5 §4.2.1.2), unless it is known not to bear the question.
    private func refusal(_ error: USBError, _ control: VideoControl, _ request: String) async -> VideoControlError {
        let named = error.naming("\(request)(\(control.name))")
        guard error.code == .stall else {
            return VideoControlError(.transferFailed, control: control.name, reason: "\(named)", underlying: named)
        }
        var code: UInt8 = 0
        if !quirks.contains(.noErrorCode) {
            do throws(USBError) {
                let answer = try await device.videoGet(.getCur, selector: VideoSelector.requestErrorCode, interface: interface, length: 1)
                code = answer.first ?? 0
            } catch {
                code = 0  // it does not say
            }
        }
        var reason = "the camera refused" + (code == 0 ? "" : ": \(RequestErrorCode.text(code))")
        if let automatic = control.definition.automatic, let other = controls.first(where: { $0.name == automatic.name }),
            code == 0 || code == 2
        {
            let text = other.items.first { $0.value == automatic.manual }?.text
            reason += "; \(other.name) takes it over unless it is \(automatic.manual)" + (text.map { " (\($0))" } ?? "")
        }
        return VideoControlError(.refused, control: control.name, reason: reason, underlying: named)
    }
}

/// Asks about controls one by one, and keeps count of what went wrong.
struct ControlInquiry {
    let device: any USBDeviceHandle
    let interface: UInt8
    private(set) var oddities: [String] = []
    private var timeouts = 0

    init(device: any USBDeviceHandle, interface: UInt8) {
        self.device = device
        self.interface = interface
    }

    /// A control with its range; `nil` where it answers nothing that could be used.
    mutating func control(_ definition: VideoControlDefinition, entity: UInt8) async throws(USBError) -> VideoControl? {
        // GET_INFO may be missing or lie: only a plain answer counts.
        let info = try await ask(.getInfo, definition, entity)?.first ?? 0
        let current = try await ask(.getCur, definition, entity)
        guard timeouts < 3 else {
            throw USBError(.timedOut, operation: "GET_CUR(\(definition.name))", detail: "one request after the other")
        }
        let minimum = try await range(.getMin, definition, entity)
        let maximum = try await range(.getMax, definition, entity)
        guard current != nil || (minimum != nil && maximum != nil) else {
            oddities.append("\(definition.name) is announced, and refuses every request.")
            return nil
        }
        let resolution = definition.kind == .boolean ? nil : try await ask(.getRes, definition, entity)
        let standard = try await ask(.getDef, definition, entity)
        let isWritable = info & 0x03 == 0 || info & 0x02 != 0
        let currentValue = current.flatMap { definition.decode($0) }

        var control = VideoControl(
            definition: definition, entity: entity, minimum: minimum ?? 0, maximum: maximum ?? 0, step: 1, defaultValue: 0,
            isReadable: current != nil, isWritable: isWritable, items: [])
        switch definition.kind {
        case .boolean: (control.minimum, control.maximum) = (0, 1)
        case .menu:
            let lowest = minimum ?? 0
            let highest = maximum.map { $0 > lowest ? $0 : Int.max } ?? .max
            control.items = definition.items.filter { $0.value >= lowest && $0.value <= highest }
            if control.items.isEmpty { control.items = definition.items }
        case .bitmap:
            let offered = resolution.flatMap { definition.decode($0) } ?? 0
            control.items = definition.items.filter { offered & $0.value != 0 }
            if control.items.isEmpty { control.items = definition.items }
        case .integer:
            complete(&control, minimum: minimum, maximum: maximum, resolution: resolution)
        }
        if let first = control.items.map(\.value).min(), let last = control.items.map(\.value).max() {
            (control.minimum, control.maximum) = (first, last)
        }
        let fallback = currentValue ?? control.minimum
        let defaultValue = standard.flatMap { definition.decode($0) } ?? fallback
        control.defaultValue = permitted(defaultValue, control) ? defaultValue : permitted(fallback, control) ? fallback : control.minimum
        if control.defaultValue != defaultValue {
            oddities.append("\(definition.name) has the default \(defaultValue), which it does not allow.")
        }
        return control
    }

    private func permitted(_ value: Int, _ control: VideoControl) -> Bool {
        control.items.isEmpty ? value >= control.minimum && value <= control.maximum : control.items.contains { $0.value == value }
    }

    /// Range and step of a number, made sensible.
    private mutating func complete(_ control: inout VideoControl, minimum: Int?, maximum: Int?, resolution: [UInt8]?) {
        let definition = control.definition
        let field = definition.fieldRange
        if let minimum, let maximum, minimum <= maximum {
            (control.minimum, control.maximum) = (minimum, maximum)
        } else {
            (control.minimum, control.maximum) = (field.lowerBound, field.upperBound)
            oddities.append("\(definition.name) has no usable range.")
        }
        let step = resolution.flatMap { definition.decode($0) } ?? 1
        let span = control.maximum - control.minimum
        control.step = step >= 1 && (step <= span || span == 0) ? step : 1
        if step < 0 || (step > span && span > 0) { oddities.append("\(definition.name) has a step of \(step).") }
    }

    private mutating func range(_ request: VideoRequest, _ definition: VideoControlDefinition, _ entity: UInt8) async throws(USBError)
        -> Int?
    {
        guard definition.kind == .integer || definition.kind == .menu else { return nil }
        return try await ask(request, definition, entity).flatMap { definition.decode($0) }
    }

    /// `nil` where the device does not answer.
    private mutating func ask(
        _ request: VideoRequest, _ definition: VideoControlDefinition, _ entity: UInt8
    ) async throws(USBError) -> [UInt8]? {
        let length = request == .getInfo ? 1 : definition.length
        do throws(USBError) {
            let answer = try await device.videoGet(
                request, selector: definition.selector, entity: entity, interface: interface, length: length)
            timeouts = 0
            if answer.count < length { oddities.append("\(definition.name): \(request.name) answers \(answer.count) of \(length) bytes.") }
            return answer.isEmpty ? nil : answer
        } catch {
            if error.endsEverything { throw error.naming("\(request.name)(\(definition.name))") }
            timeouts = error.code == .timedOut ? timeouts + 1 : 0
            return nil
        }
    }
}
