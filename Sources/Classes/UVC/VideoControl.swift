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
    /// GET_CUR brings something.
    public var isReadable: Bool
    /// GET_INFO says that it can be set.
    public var isWritable: Bool
    /// The values that a menu offers; empty unless it is one.
    public var items: [VideoControlDefinition.Item]
    /// Bytes of the whole control on the wire: the standard's number, or the camera's own.
    public var length: Int

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

    /// Whether it is one of the menu's values, or within the range.
    func allows(_ value: Int) -> Bool {
        items.isEmpty ? value >= minimum && value <= maximum : items.contains { $0.value == value }
    }

    func nearestAllowed(to value: Int) -> Int {
        items.isEmpty ? min(max(value, minimum), maximum) : items.first?.value ?? minimum
    }

    /// `"it goes from -64 to 64 in steps of 2"`, `"it is one of 0 (disabled), 1 (50 Hz)"`, `"it is on or off"`
    public var rangeText: String {
        if definition.kind == .boolean { return "it is on or off" }
        if !items.isEmpty { return "it is one of " + items.map { "\($0.value) (\($0.text))" }.joined(separator: ", ") }
        return "it ranges from \(minimum) to \(maximum)" + (step > 1 ? " in steps of \(step)" : "")
    }

    /// The value that will be set for a wanted one: rounded to the step, never outside the range.
    public func accepted(_ value: Int) throws(VideoControlError) -> Int {
        guard isWritable else { throw VideoControlError(.readOnly, control: name, reason: "it can only be read") }
        guard allows(value) else {
            throw VideoControlError(.outOfRange, control: name, reason: "\(value) is out of range: \(rangeText)")
        }
        guard items.isEmpty else { return value }
        let steps = (value - minimum + step / 2) / step
        return min(minimum + steps * step, minimum + (maximum - minimum) / step * step)
    }
}

/// A control that could not be read or set.
public struct VideoControlError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        case noSuchControl
        case readOnly
        case writeOnly
        case outOfRange
        /// It did not answer in time.
        case silent
        /// An automatic control has it in its hands.
        case held
        /// The camera refused, and perhaps said why.
        case refused
        /// The transfer failed: `underlying`.
        case transferFailed
    }
    public var code: Code
    public var control: String
    public var reason: String
    public var underlying: USBError?

    public init(_ code: Code, control: String, reason: String, underlying: USBError? = nil) {
        self.code = code
        self.control = control
        self.reason = reason
        self.underlying = underlying
    }

    init(silent control: String, after limit: Duration, underlying: USBError? = nil) {
        let milliseconds = limit.components.seconds * 1000 + limit.components.attoseconds / 1_000_000_000_000_000
        let text = milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
        self.init(.silent, control: control, reason: "the camera did not answer for this control within \(text)", underlying: underlying)
    }

    public var description: String { code == .noSuchControl ? reason : "\(control): \(reason)" }
}
