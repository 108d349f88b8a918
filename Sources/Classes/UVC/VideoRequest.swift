// Class-specific requests: how a control of a unit or of a streaming interface is asked and set (UVC 1.5 §4).
public import USB

/// `bRequest` (UVC 1.5 table A-8).
public enum VideoRequest: UInt8, Hashable, Sendable {
    case setCur = 0x01
    case getCur = 0x81
    case getMin = 0x82
    case getMax = 0x83
    case getRes = 0x84
    case getLen = 0x85
    case getInfo = 0x86
    case getDef = 0x87

    /// `"GET_CUR"`
    public var name: String {
        switch self {
        case .setCur: "SET_CUR"
        case .getCur: "GET_CUR"
        case .getMin: "GET_MIN"
        case .getMax: "GET_MAX"
        case .getRes: "GET_RES"
        case .getLen: "GET_LEN"
        case .getInfo: "GET_INFO"
        case .getDef: "GET_DEF"
        }
    }

    /// The SETUP packet. `wValue` is the selector in its high byte, `wIndex` the entity (0 for the interface itself) above the interface.
    public func setup(selector: UInt8, entity: UInt8, interface: UInt8, length: Int) -> ControlSetup {
        ControlSetup(
            requestType: self == .setCur ? 0x21 : 0xa1, request: rawValue, value: UInt16(selector) << 8,
            index: UInt16(entity) << 8 | UInt16(interface), length: UInt16(clamping: length))
    }
}

/// `wValue`'s selectors of the interfaces themselves (UVC 1.5 tables ).
public enum VideoSelector {
    /// VC_VIDEO_POWER_MODE_CONTROL
    public static let powerMode: UInt8 = 0x01
    /// VC_REQUEST_ERROR_CODE_CONTROL
    public static let requestErrorCode: UInt8 = 0x02
    /// VS_PROBE_CONTROL
    public static let probe: UInt8 = 0x01
    /// VS_COMMIT_CONTROL
    public static let commit: UInt8 = 0x02
    /// VS_STILL_PROBE_CONTROL
    public static let stillProbe: UInt8 = 0x03
    /// VS_STILL_COMMIT_CONTROL
    public static let stillCommit: UInt8 = 0x04
    /// VS_STILL_IMAGE_TRIGGER_CONTROL
    public static let stillImageTrigger: UInt8 = 0x05
    /// VS_STREAM_ERROR_CODE_CONTROL
    public static let streamErrorCode: UInt8 = 0x06
}

/// What `VC_REQUEST_ERROR_CODE_CONTROL` says about the request that was refused last (UVC 1.5 §4.2.1.2).
public enum RequestErrorCode {
    public static func text(_ code: UInt8) -> String {
        switch code {
        case 0: "no error"
        case 1: "the device is not ready"
        case 2: "wrong state: another control, or automatic adjustment, stands in the way"
        case 3: "the device's power mode does not allow it"
        case 4: "out of range"
        case 5: "no such unit"
        case 6: "no such control"
        case 7: "the control does not support the request"
        case 8: "invalid value within the range"
        default: "error code \(code)"
        }
    }
}

extension USBDeviceHandle {
    /// Asks for a control's value. At most `length` bytes come.
    func videoGet(
        _ request: VideoRequest, selector: UInt8, entity: UInt8 = 0, interface: UInt8, length: Int,
        timeout: Duration = Self.standardTimeout
    ) async throws(USBError) -> [UInt8] {
        try await control(
            request.setup(selector: selector, entity: entity, interface: interface, length: length), sending: [], timeout: timeout)
    }

    /// Sets a control.
    func videoSet(
        selector: UInt8, entity: UInt8 = 0, interface: UInt8, bytes: [UInt8], timeout: Duration = Self.standardTimeout
    ) async throws(USBError) {
        _ = try await control(
            VideoRequest.setCur.setup(selector: selector, entity: entity, interface: interface, length: bytes.count), sending: bytes,
            timeout: timeout)
    }
}
