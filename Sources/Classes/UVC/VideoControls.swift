// A camera's controls, asked and set through its control interface, each by itself.
public import USB

/// The controls of one video function. The camera is asked only when somebody wants to know, and only about that control: one that hangs
/// affects no other. Nothing is remembered here. What the camera answers is believed as far as it makes sense.
public struct VideoControls: Sendable {
    private let device: any USBDeviceHandle
    private let interface: UInt8
    private let quirks: VideoQuirks
    private let entities: [String: UInt8]
    /// What the descriptors announce, in the order of `VideoControlDefinition.all`. A name stands once: of two processing units the first has it.
    public let announced: [VideoControlDefinition]

    public init(device: any USBDeviceHandle, function: VideoFunction, quirks: VideoQuirks = []) {
        self.device = device
        self.quirks = quirks
        interface = function.controlInterface
        let found = Self.announced(by: function, quirks: quirks)
        announced = found.map(\.0)
        entities = Dictionary(found.map { ($0.0.name, $0.entity) }) { first, _ in first }
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

    /// By its name here or in v4l2-ctl. Throws `noSuchControl`, with the names that come nearest.
    public func definition(_ name: String) throws(VideoControlError) -> VideoControlDefinition {
        let wanted = VideoControlDefinition.aliases[name] ?? name
        if let definition = announced.first(where: { $0.name == wanted }) { return definition }
        throw VideoControlError(.noSuchControl, control: name, reason: Self.unknown(name, among: announced.map(\.name)))
    }

    private static func unknown(_ name: String, among names: [String]) -> String {
        guard !names.isEmpty else { return "The camera has no controls." }
        let near = NearestNames.of(name, among: names)
        let hint = near.isEmpty ? "It has \(names.joined(separator: ", "))." : "Did you mean \(near.joined(separator: " or "))?"
        return "The camera has no control \"\(name.prefix(64))\". \(hint)"
    }

    // MARK: Asking

    /// What the camera says about a control: its range, its default, whether it can be read and set.
    ///
    /// - Parameters:
    ///   - limit: how long the first question (GET_CUR) may take. Throws `silent` when it is not answered in that time.
    ///   - odd: receives what makes no sense, in sentences.
    public func control(
        _ name: String, limit: Duration = .seconds(5), odd: (String) -> Void = { _ in }
    ) async throws(VideoControlError) -> VideoControl {
        let definition = try definition(name)
        var inquiry = ControlInquiry(
            device: device, interface: interface, definition: definition, entity: entities[definition.name] ?? 0, limit: limit)
        let control = try await inquiry.control()
        for anomaly in inquiry.anomalies { odd(anomaly) }
        return control
    }

    /// GET_CUR
    public func value(_ control: VideoControl, limit: Duration = .seconds(5)) async throws(VideoControlError) -> Int {
        guard control.isReadable else { throw VideoControlError(.writeOnly, control: control.name, reason: "it can't be read") }
        let bytes = try await current(control, limit: limit)
        guard let value = control.definition.decode(bytes) else {
            let error = USBError(.malformedAnswer, operation: "GET_CUR(\(control.name))", detail: "\(bytes.count) bytes")
            throw VideoControlError(.transferFailed, control: control.name, reason: "\(error)", underlying: error)
        }
        return value
    }

    /// The automatic control that has this one in its hands now, `nil` if none has. Its value decides; where it can't be read, GET_INFO's
    /// D2 does, which many cameras never set and some always. A camera that does not answer counts as no.
    /// - Parameter unknown: the automatic control is known not to answer, and is not asked.
    public func holder(
        of control: VideoControl, limit: Duration = .seconds(5), unknown: Bool = false
    ) async throws(VideoControlError) -> ControlHolder? {
        guard let automatic = control.definition.automatic else { return nil }
        if let entity = entities[automatic.name], !unknown, let definition = announced.first(where: { $0.name == automatic.name }) {
            let bytes = try await answer(.getCur, definition, entity: entity, length: definition.length, limit: limit, of: control)
            if let value = bytes.flatMap(definition.decode) {
                return automatic.manual.contains(value) ? nil : ControlHolder(definition, value: value, manual: automatic.manual)
            }
        }
        let info = try await answer(.getInfo, control.definition, entity: control.entity, length: 1, limit: limit, of: control)
        guard let bits = info?.first, bits & 0x04 != 0 else { return nil }
        return ControlHolder(announced.first { $0.name == automatic.name }, value: nil, manual: automatic.manual)
    }

    /// `nil` if the device does not answer. Throws only what ends everything.
    private func answer(
        _ request: VideoRequest, _ definition: VideoControlDefinition, entity: UInt8, length: Int, limit: Duration, of control: VideoControl
    ) async throws(VideoControlError) -> [UInt8]? {
        do throws(USBError) {
            return try await device.videoGet(
                request, selector: definition.selector, entity: entity, interface: interface, length: length, timeout: limit)
        } catch {
            if error.endsEverything {
                throw VideoControlError(.transferFailed, control: control.name, reason: "\(error)", underlying: error)
            }
            return nil
        }
    }

    /// Whether the camera answers requests to its control interface at all. A refusal is an answer; false for silence.
    public func answersAnything(limit: Duration = .seconds(1)) async throws(USBError) -> Bool {
        guard !quirks.contains(.noErrorCode) else { return true }
        do throws(USBError) {
            _ = try await device.videoGet(
                .getCur, selector: VideoSelector.requestErrorCode, interface: interface, length: 1, timeout: limit)
        } catch {
            if error.endsEverything { throw error }
            return error.code != .timedOut
        }
        return true
    }

    // MARK: Setting

    /// SET_CUR, after a check of the range. The value that was set: the nearest that the control's step allows.
    @discardableResult
    public func set(_ control: VideoControl, to value: Int, limit: Duration = .seconds(5)) async throws(VideoControlError) -> Int {
        let definition = control.definition
        let accepted = try control.accepted(value)
        // The fields beside this one keep their values.
        let beside = definition.size < definition.length ? try await current(control, limit: limit) : []
        do throws(USBError) {
            try await device.videoSet(
                selector: definition.selector, entity: control.entity, interface: interface,
                bytes: definition.encode(accepted, into: beside, length: control.length), timeout: limit)
        } catch {
            throw await refusal(error, control, "SET_CUR", limit: limit)
        }
        return accepted
    }

    private func current(_ control: VideoControl, limit: Duration) async throws(VideoControlError) -> [UInt8] {
        do throws(USBError) {
            return try await device.videoGet(
                .getCur, selector: control.definition.selector, entity: control.entity, interface: interface, length: control.length,
                timeout: limit)
        } catch {
            throw await refusal(error, control, "GET_CUR", limit: limit)
        }
    }

    /// Why it failed. A device that refused is asked itself (UVC 1.5 §4.2.1.2), unless it is known not to bear the question.
    private func refusal(_ error: USBError, _ control: VideoControl, _ request: String, limit: Duration) async -> VideoControlError {
        let named = error.naming("\(request)(\(control.name))")
        if error.code == .timedOut { return VideoControlError(silent: control.name, after: limit, underlying: named) }
        guard error.code == .stall else {
            return VideoControlError(.transferFailed, control: control.name, reason: "\(named)", underlying: named)
        }
        var code: UInt8 = 0
        if !quirks.contains(.noErrorCode) {
            do throws(USBError) {
                let answer = try await device.videoGet(
                    .getCur, selector: VideoSelector.requestErrorCode, interface: interface, length: 1, timeout: .seconds(1))
                code = answer.first ?? 0
            } catch {
                code = 0  // it does not say
            }
        }
        do {
            if let holder = try await holder(of: control, limit: .seconds(1)) {
                return VideoControlError(.held, control: control.name, reason: holder.remedy, underlying: named)
            }
        } catch { /* the refusal is what counts */  }
        let reason = "the camera refused" + (code == 0 ? "" : ": \(RequestErrorCode.text(code))")
        let range = code == 4 || code == 8 ? "; \(control.rangeText)" : ""
        return VideoControlError(.refused, control: control.name, reason: reason + range, underlying: named)
    }
}

/// An automatic control that has another one in its hands.
public struct ControlHolder: Hashable, Sendable {
    /// `nil` if the camera has no such control and yet says that it adjusts by itself.
    public var name: String?
    /// What it is set to: `"on"`, `"aperture priority"`. `nil` if it can't be read.
    public var setting: String?
    /// What sets it so that the other one is free: `"focus_auto=off"`.
    public var release: String?

    init(_ definition: VideoControlDefinition?, value: Int?, manual: [Int]) {
        name = definition?.name
        setting = value.flatMap { value in definition?.text(of: value) }
        if let definition, let value = manual.first { release = "\(definition.name)=\(definition.text(of: value))" }
    }

    /// `"focus_auto is on: set focus_auto=off first"`
    public var remedy: String {
        guard let name, let release else { return "the camera now adjusts it by itself" }
        return "\(name) \(setting.map { "is \($0)" } ?? "seems to be on"): set \(release) first"
    }
}
