// What a camera says by itself on its status endpoint.

/// A status packet (UVC 1.5 tables 2-1 and 2-2).
public struct StatusEvent: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// `bOriginator` (an entity), `bSelector`, `bAttribute` (0 value, 1 information, 2 failure,
        /// 3 minimum, 4 maximum).
        case control(entity: UInt8, selector: UInt8, attribute: UInt8, value: [UInt8])
        /// `bOriginator` (a streaming interface), `bEvent` 0, `bValue`: 1 pressed, 0 released.
        case button(interface: UInt8, isPressed: Bool)
    }
    public var kind: Kind

    public init(_ kind: Kind) { self.kind = kind }

    /// The packet.
    public var bytes: [UInt8] {
        switch kind {
        // bStatusType 1: the VideoControl interface; bOriginator, bEvent 0: control change, bSelector, bAttribute, bValue.
        case .control(let entity, let selector, let attribute, let value): [1, entity, 0, selector, attribute] + value
        // bStatusType 2: a VideoStreaming interface; bOriginator, bEvent 0: button press, bValue.
        case .button(let interface, let isPressed): [2, interface, 0, isPressed ? 1 : 0]
        }
    }

    /// `nil` for packets that are too short, and of kinds that are not known.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count >= 4 else { return nil }
        switch bytes[0] & 0x0f {
        case 1:
            guard bytes[2] == 0, bytes.count >= 5 else { return nil }
            kind = .control(entity: bytes[1], selector: bytes[3], attribute: bytes[4], value: Array(bytes[5...].prefix(16)))
        case 2:
            guard bytes[2] == 0 else { return nil }
            kind = .button(interface: bytes[1], isPressed: bytes[3] != 0)
        default: return nil
        }
    }
}
