// What a camera says of one control, asked request by request, with what it gets wrong put right.
import USB

/// The inquiry into one control.
struct ControlInquiry {
    private let device: any USBDeviceHandle
    private let interface: UInt8
    private let definition: VideoControlDefinition
    private let entity: UInt8
    private let limit: Duration
    /// Bytes that the camera gives this control, which some do not take from the standard.
    private var length: Int
    /// Questions that were not answered in time.
    private var silences = 0
    /// What was odd, in sentences.
    private(set) var anomalies: [String] = []

    /// Time for a question whose answer can be done without.
    private static let optionalLimit = Duration.milliseconds(1500)
    /// A control that lets so many of those time out is asked no more.
    private static let silenceLimit = 2
    /// No control of the standard is longer (UVC 1.5 §4.2.2.1.19: 12 bytes).
    private static let plausibleLengths = 1...16

    init(device: any USBDeviceHandle, interface: UInt8, definition: VideoControlDefinition, entity: UInt8, limit: Duration) {
        self.device = device
        self.interface = interface
        self.definition = definition
        self.entity = entity
        self.limit = limit
        length = definition.length
    }

    /// The control with its range. Throws `silent` where GET_CUR is not answered in time, `refused` where it answers nothing of use.
    mutating func control() async throws(VideoControlError) -> VideoControl {
        var current = try await ask(.getCur, limit: limit)
        if silences > 0 { throw VideoControlError(silent: definition.name, after: limit) }
        if (current?.count ?? 0) < length { current = try await learnLength(current) }
        // GET_INFO may be missing or lie: only a plain answer counts.
        let info = try await ask(.getInfo)?.first ?? 0
        let hasRange = definition.kind == .integer || definition.kind == .menu
        let minimum = hasRange ? try await number(.getMin) : nil
        let maximum = hasRange ? try await number(.getMax) : nil
        guard current != nil || (minimum != nil && maximum != nil) else {
            throw VideoControlError(.refused, control: definition.name, reason: "the camera announces it but refuses every request")
        }
        let resolution = definition.kind == .boolean ? nil : try await number(.getRes)
        let standard = try await number(.getDef)
        let isWritable = info & 0x03 == 0 || info & 0x02 != 0

        var control = VideoControl(
            definition: definition, entity: entity, minimum: minimum ?? 0, maximum: maximum ?? 0, step: 1, defaultValue: 0,
            isReadable: current != nil, isWritable: isWritable, items: [], length: length)
        switch definition.kind {
        case .boolean: (control.minimum, control.maximum) = (0, 1)
        case .menu:
            let (lowest, highest) = (min(minimum ?? 0, maximum ?? .max), max(minimum ?? 0, maximum ?? .max))
            control.items = definition.items.filter { $0.value >= lowest && $0.value <= highest }
            if control.items.count < 2 { control.items = definition.items }
        case .bitmap:
            control.items = definition.items.filter { (resolution ?? 0) & $0.value != 0 }
            if control.items.isEmpty { control.items = definition.items }
        case .integer: complete(&control, minimum: minimum, maximum: maximum, step: resolution)
        }
        if let first = control.items.map(\.value).min(), let last = control.items.map(\.value).max() {
            (control.minimum, control.maximum) = (first, last)
        }
        setDefault(&control, standard: standard, current: current.flatMap(definition.decode))
        if silences > 0 { anomalies.append("\(definition.name) does not answer all questions about its range.") }
        return control
    }

    /// The device's default where it is allowed, else the value now, else the nearest that is allowed.
    private mutating func setDefault(_ control: inout VideoControl, standard: Int?, current: Int?) {
        let wanted = standard ?? current ?? control.minimum
        control.defaultValue = [wanted, current ?? wanted].first(where: control.allows) ?? control.nearestAllowed(to: wanted)
        if control.defaultValue != wanted { anomalies.append("\(definition.name) has the default \(wanted), which it does not allow.") }
    }

    /// Range and step of a number, made sensible.
    private mutating func complete(_ control: inout VideoControl, minimum: Int?, maximum: Int?, step: Int?) {
        let field = definition.fieldRange
        if let minimum, let maximum {
            (control.minimum, control.maximum) = (min(minimum, maximum), max(minimum, maximum))
            if minimum > maximum {
                anomalies.append("\(definition.name) has a minimum, \(minimum), above its maximum, \(maximum); they are swapped.")
            }
        } else {
            (control.minimum, control.maximum) = (minimum ?? field.lowerBound, maximum ?? field.upperBound)
            anomalies.append("\(definition.name) has no usable range.")
        }
        let span = control.maximum - control.minimum
        let step = step ?? 1
        control.step = step >= 1 && step <= max(span, 1) ? step : 1
        if step < 0 || (step > span && span > 0) { anomalies.append("\(definition.name) has a step of \(step).") }
    }

    /// A camera that refuses a control of the standard's length, or answers less, may have one of another (GET_LEN, UVC 1.5 §4.1.2).
    /// - Returns: the control's bytes, asked again where they were refused.
    private mutating func learnLength(_ current: [UInt8]?) async throws(VideoControlError) -> [UInt8]? {
        guard let answer = try await ask(.getLen, length: 2), answer.count == 2 else { return current }
        let said = Int(answer[0]) | Int(answer[1]) << 8
        guard said != length, Self.plausibleLengths.contains(said), definition.offset < said else { return current }
        let usual = length
        length = said
        var bytes = current
        if current == nil {
            bytes = try await ask(.getCur)
        } else if current?.count != said {
            bytes = nil
        }
        guard let bytes else {
            length = usual
            return current
        }
        anomalies.append("\(definition.name) has \(said) bytes where the standard has \(usual).")
        return bytes
    }

    private mutating func number(_ request: VideoRequest) async throws(VideoControlError) -> Int? {
        try await ask(request).flatMap { definition.decode($0) }
    }

    /// `nil` if the device does not answer, or has let too many questions time out.
    private mutating func ask(
        _ request: VideoRequest, length wanted: Int? = nil, limit: Duration = Self.optionalLimit
    ) async throws(VideoControlError) -> [UInt8]? {
        guard silences < Self.silenceLimit else { return nil }
        let length = request == .getInfo ? 1 : wanted ?? length
        do throws(USBError) {
            let answer = try await device.videoGet(
                request, selector: definition.selector, entity: entity, interface: interface, length: length, timeout: limit)
            if answer.count < length, request != .getLen {
                anomalies.append("\(definition.name): \(request.name) answers \(answer.count) of \(length) bytes.")
            }
            return answer.isEmpty ? nil : answer
        } catch {
            if error.endsEverything {
                let named = error.naming("\(request.name)(\(definition.name))")
                throw VideoControlError(.transferFailed, control: definition.name, reason: "\(named)", underlying: named)
            }
            if error.code == .timedOut { silences += 1 }
            return nil
        }
    }
}
