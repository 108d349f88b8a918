// A control of one camera: what it is, and the values it takes.
public import USB

/// A control that a camera has, with what the camera says of it.
public struct VideoControl: Hashable, Sendable {
    public var definition: VideoControlDefinition
    /// `bUnitID` or `bTerminalID`
    public var entity: UInt8
    public var minimum: Int
    public var maximum: Int
    /// At least 1.
    public var step: Int
    public var defaultValue: Int
    /// GET_INFO says that it can be read.
    public var isReadable: Bool
    /// GET_INFO says that it can be set.
    public var isWritable: Bool
    /// The values that a menu offers; empty unless it is one.
    public var items: [VideoControlDefinition.Item]

    public var name: String { definition.name }

    /// What people type: a number, `on` and `off`, or a menu's text. `nil` for anything else.
    public func value(named text: String) -> Int? {
        if let number = Int(text) { return number }
        let text = text.lowercased()
        if definition.kind == .boolean {
            if ["on", "true", "yes"].contains(text) { return 1 }
            if ["off", "false", "no"].contains(text) { return 0 }
        }
        func plain(_ text: String) -> String { String(text.lowercased().filter { $0 != " " && $0 != "_" && $0 != "-" }) }
        return items.first { plain($0.text) == plain(text) }?.value
    }

    /// The value that will be set for a wanted one: rounded to the step, never outside the range.
    public func accepted(_ value: Int) throws(VideoControlError) -> Int {
        guard isWritable else { throw VideoControlError(.readOnly, control: name, reason: "it can only be read") }
        switch definition.kind {
        case .menu, .bitmap:
            guard items.contains(where: { $0.value == value }) else {
                let list = items.map { "\($0.value) (\($0.text))" }.joined(separator: ", ")
                throw VideoControlError(.outOfRange, control: name, reason: "\(value) is none of \(list)")
            }
            return value
        case .boolean, .integer:
            guard value >= minimum, value <= maximum else {
                throw VideoControlError(.outOfRange, control: name, reason: "\(value) is not within \(minimum)…\(maximum)")
            }
            let steps = (value - minimum + step / 2) / step
            return min(minimum + steps * step, minimum + (maximum - minimum) / step * step)
        }
    }
}

/// A control that could not be read or set.
public struct VideoControlError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        case noSuchControl
        case readOnly
        case writeOnly
        case outOfRange
        /// The camera refused, and perhaps said why.
        case refused
        /// The transfer failed: `underlying`.
        case transferFailed
    }
    public var code: Code
    public var control: String
    public var reason: String
    public var underlying: USBError?

    init(_ code: Code, control: String, reason: String, underlying: USBError? = nil) {
        self.code = code
        self.control = control
        self.reason = reason
        self.underlying = underlying
    }

    public var description: String { "\(control): \(reason)" }
}
