// What a camera says by itself, as its driver passes it on: `name` and `parameters` of the daemon's `device` events.

public import Wire

/// A control that has another value than before: because the camera changed it, or a program.
public struct CameraControlChange: Codable, Hashable, Sendable {
    /// As `CameraControl.name`; `nil` for a control that has no name here.
    public var name: String?
    /// The value that it has now, as the control counts; `nil` where it was not said.
    public var now: Int?
    /// What has changed: 0 the value, 1 whether it can be set, 2 a change has failed, 3 the minimum, 4 the maximum (UVC 1.5 table 2-2).
    public var attribute: Int
    /// Its place on the wire: the terminal or unit, and the control there.
    public var entity: Int
    public var selector: Int
    /// The bytes that the camera sent; `nil` where a program changed it.
    public var value: [Int]?

    public init(name: String?, now: Int?, attribute: Int = 0, entity: Int = 0, selector: Int = 0, value: [Int]? = nil) {
        self.name = name
        self.now = now
        self.attribute = attribute
        self.entity = entity
        self.selector = selector
        self.value = value
    }
}

/// A camera's button.
public struct CameraButton: Codable, Hashable, Sendable {
    /// The streaming interface that it belongs to.
    public var interface: Int
    /// Pressed, or let go.
    public var pressed: Bool

    public init(interface: Int, pressed: Bool) {
        self.interface = interface
        self.pressed = pressed
    }
}

/// Something that a camera said, or that became of it.
public enum CameraEvent: Hashable, Sendable {
    case controlChanged(CameraControlChange)
    case button(CameraButton)

    /// `nil` for what is none of these, or makes no sense.
    public init?(name: String?, parameters: JSONValue?) {
        guard let parameters else { return nil }
        switch name {
        case "controlChanged":
            guard let change = try? parameters.decoded(as: CameraControlChange.self) else { return nil }
            self = .controlChanged(change)
        case "button":
            guard let button = try? parameters.decoded(as: CameraButton.self) else { return nil }
            self = .button(button)
        default: return nil
        }
    }

    public var name: String {
        switch self {
        case .controlChanged: "controlChanged"
        case .button: "button"
        }
    }

    public var parameters: JSONValue {
        get throws {
            switch self {
            case .controlChanged(let change): try JSONValue(encoding: change)
            case .button(let button): try JSONValue(encoding: button)
            }
        }
    }
}
