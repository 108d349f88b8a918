// What can be set on a camera.

/// Something that can be set on a camera.
public struct CameraControl: Codable, Hashable, Sendable {
    /// One of the values that a menu allows.
    public struct MenuItem: Codable, Hashable, Sendable {
        public var value: Int
        public var text: String

        public init(value: Int, text: String) {
            self.value = value
            self.text = text
        }
    }

    public var name: String
    public var description: String
    /// `"integer"`, `"boolean"`, `"menu"` or `"bitmap"`.
    public var type: String
    public var minimum: Int
    public var maximum: Int
    public var step: Int
    public var `default`: Int
    /// The device's current value.
    public var value: Int
    /// The values that a menu or a bitmap allows, with their names; `nil` for other types.
    public var menu: [MenuItem]?
    public var readable: Bool
    public var writable: Bool
    /// Another control drives this one now.
    public var automatic: Bool
    public var unit: String
    public var selector: Int
    /// Why there is no value and no range: `"silent"` (it does not answer), `"refused"`, `"unread"` (the others took too long); usually
    /// `nil`.
    public var problem: String?
    /// The same in words.
    public var message: String?
    /// What frees a control that another one drives: `"focus_auto is on: set focus_auto=off first"`.
    public var remedy: String?

    public init(
        name: String, description: String, type: String, minimum: Int, maximum: Int, step: Int, default: Int, value: Int,
        menu: [MenuItem]? = nil, readable: Bool = true, writable: Bool = true, automatic: Bool = false, unit: String = "",
        selector: Int = 0,
        problem: String? = nil, message: String? = nil, remedy: String? = nil
    ) {
        self.name = name
        self.description = description
        self.type = type
        self.minimum = minimum
        self.maximum = maximum
        self.step = step
        self.default = `default`
        self.value = value
        self.menu = menu
        self.readable = readable
        self.writable = writable
        self.automatic = automatic
        self.unit = unit
        self.selector = selector
        self.problem = problem
        self.message = message
        self.remedy = remedy
    }
}

/// A control that a camera's descriptors announce.
public struct CameraControlName: Codable, Hashable, Sendable {
    public var name: String
    public var description: String
    /// As `CameraControl.type`.
    public var type: String
    public var unit: String

    public init(name: String, description: String, type: String, unit: String = "") {
        self.name = name
        self.description = description
        self.type = type
        self.unit = unit
    }
}

/// What became of controls that were to be reset.
public struct CameraControlReset: Codable, Hashable, Sendable {
    /// A control that was not reset.
    public struct Failure: Codable, Hashable, Sendable {
        public var name: String
        /// `"held"` (an automatic control drives it), `"silent"`, `"refused"`, `"readOnly"`, `"unread"` (there was no time left for it).
        public var reason: String
        public var message: String

        public init(name: String, reason: String, message: String) {
            self.name = name
            self.reason = reason
            self.message = message
        }
    }
    public var controls: [CameraControl]
    public var failed: [Failure]

    public init(controls: [CameraControl] = [], failed: [Failure] = []) {
        self.controls = controls
        self.failed = failed
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        controls = try container.decode([CameraControl].self, forKey: .controls)
        failed = try container.decodeIfPresent([Failure].self, forKey: .failed) ?? []
    }
}
