// UVC's class requests (UVC 1.1 §4.1) and the codes that explain why one was refused.

import USB

/// What a class request asks, and of whom.
struct VideoRequest: Hashable {
    enum Kind: UInt8 {
        case setCurrent = 0x01
        case getCurrent = 0x81
        case getMinimum = 0x82
        case getMaximum = 0x83
        case getResolution = 0x84
        case getLength = 0x85
        case getInformation = 0x86
        case getDefault = 0x87
    }

    var kind: Kind
    /// High byte of `wValue`.
    var selector: UInt8
    /// High byte of `wIndex`.
    var entity: UInt8
    /// Low byte of `wIndex`.
    var interface: UInt8
    var length: Int

    /// `nil` if it is not a class request to an interface, or a kind that does not exist.
    init?(_ setup: ControlSetup) {
        guard setup.requestType & 0x7f == 0x21, let kind = Kind(rawValue: setup.request) else { return nil }
        guard (kind == .setCurrent) == (setup.direction == .out) else { return nil }
        self.kind = kind
        selector = UInt8(setup.value >> 8)
        entity = UInt8(setup.index >> 8)
        interface = UInt8(setup.index & 0xff)
        length = Int(setup.length)
    }

    /// Asks for the maximum in place of the minimum, and the other way round.
    mutating func exchangeLimits() {
        switch kind {
        case .getMinimum: kind = .getMaximum
        case .getMaximum: kind = .getMinimum
        default: break
        }
    }
}

/// VC_REQUEST_ERROR_CODE_CONTROL's values (§4.2.1.2).
enum RequestError: UInt8, Error {
    case none = 0
    case notReady = 1
    case wrongState = 2
    case power = 3
    case outOfRange = 4
    case invalidUnit = 5
    case invalidControl = 6
    case invalidRequest = 7
}

/// GET_INFO's bits (§4.1.2).
enum ControlInformation {
    static let get: UInt8 = 0x01
    static let set: UInt8 = 0x02
    static let disabledByAutomaticMode: UInt8 = 0x04
    static let updatesItself: UInt8 = 0x08
}
