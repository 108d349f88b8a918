// USB's small words: speeds, endpoint addresses, transfer types, SETUP packets.

/// A device's speed; raw values are those of Linux and USB/IP.
public enum USBSpeed: UInt8, Codable, Hashable, Sendable, CustomStringConvertible {
    case unknown = 0
    case low = 1
    case full = 2
    case high = 3
    case wireless = 4
    case `super` = 5
    case superPlus = 6

    public var description: String {
        switch self {
        case .unknown: "unknown speed"
        case .low: "low speed, 1.5 Mbit/s"
        case .full: "full speed, 12 Mbit/s"
        case .high: "high speed, 480 Mbit/s"
        case .wireless: "wireless"
        case .super: "SuperSpeed, 5 Gbit/s"
        case .superPlus: "SuperSpeed+, 10 Gbit/s"
        }
    }

    /// Length of one isochronous service slot in nanoseconds: a microframe (125 µs) at high speed and above, else a frame (1 ms).
    public var slotNanoseconds: UInt64 {
        switch self {
        case .high, .super, .superPlus: 125_000
        case .unknown, .low, .full, .wireless: 1_000_000
        }
    }
}

/// IN (device to host) or OUT.
public enum TransferDirection: UInt8, Hashable, Sendable {
    case out = 0
    case `in` = 1
}

/// `bEndpointAddress` (USB 2.0 table 9-13): bit 7 direction, bits 3…0 number.
public struct EndpointAddress: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public init(number: UInt8, direction: TransferDirection) {
        self.rawValue = (number & 0x0f) | (direction == .in ? 0x80 : 0)
    }
    public var number: UInt8 { rawValue & 0x0f }
    public var direction: TransferDirection { rawValue & 0x80 != 0 ? .in : .out }
    public var description: String { "endpoint \(number) \(direction == .in ? "IN" : "OUT")" }
}

/// `bmAttributes` bits 1…0 of an endpoint descriptor.
public enum TransferType: UInt8, Hashable, Sendable, Codable {
    case control = 0
    case isochronous = 1
    case bulk = 2
    case interrupt = 3
}

/// The eight bytes of a SETUP packet (USB 2.0 §9.3).
public struct ControlSetup: Hashable, Sendable, CustomStringConvertible {
    /// `bmRequestType`: bit 7 direction (1: device to host), bits 6…5 type (0 standard, 1 class, 2 vendor), bits 4…0 recipient (0 device, 1 interface, 2 endpoint).
    public var requestType: UInt8
    /// `bRequest`
    public var request: UInt8
    /// `wValue`
    public var value: UInt16
    /// `wIndex`
    public var index: UInt16
    /// `wLength`: bytes of the data stage.
    public var length: UInt16

    public init(requestType: UInt8, request: UInt8, value: UInt16, index: UInt16, length: UInt16) {
        self.requestType = requestType
        self.request = request
        self.value = value
        self.index = index
        self.length = length
    }

    /// From the wire: eight bytes, little endian. `nil` for fewer.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count >= 8 else { return nil }
        let b = Array(bytes.prefix(8))
        self.init(
            requestType: b[0], request: b[1], value: UInt16(b[2]) | UInt16(b[3]) << 8,
            index: UInt16(b[4]) | UInt16(b[5]) << 8, length: UInt16(b[6]) | UInt16(b[7]) << 8)
    }

    /// On the wire: eight bytes, little endian.
    public var bytes: [UInt8] {
        [
            requestType, request, UInt8(value & 0xff), UInt8(value >> 8), UInt8(index & 0xff), UInt8(index >> 8),
            UInt8(length & 0xff), UInt8(length >> 8),
        ]
    }

    public var direction: TransferDirection { requestType & 0x80 != 0 ? .in : .out }

    public var description: String {
        func hex(_ value: some BinaryInteger, _ digits: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        return "request \(hex(requestType, 2)) \(hex(request, 2)) value \(hex(value, 4)) index \(hex(index, 4)) length \(length)"
    }
}

/// `GET_DESCRIPTOR` and its kin (USB 2.0 table 9-4).
public enum StandardRequest {
    public static let getStatus: UInt8 = 0
    public static let clearFeature: UInt8 = 1
    public static let setFeature: UInt8 = 3
    public static let setAddress: UInt8 = 5
    public static let getDescriptor: UInt8 = 6
    public static let getConfiguration: UInt8 = 8
    public static let setConfiguration: UInt8 = 9
    public static let getInterface: UInt8 = 10
    public static let setInterface: UInt8 = 11
    public static let synchFrame: UInt8 = 12
}
