// The eight bytes before every message of the first phase of a connection: list or import.

/// What an operation is about.
public enum OperationCode: UInt16, Hashable, Sendable {
    case requestDeviceList = 0x8005
    case replyDeviceList = 0x0005
    case requestImport = 0x8003
    case replyImport = 0x0003
}

/// The outcome of an operation, Linux's `ST_` values. A peer may send others.
public struct OperationStatus: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let ok = OperationStatus(rawValue: 0)
    public static let failed = OperationStatus(rawValue: 1)
    /// Imported by someone else.
    public static let busy = OperationStatus(rawValue: 2)
    /// The device is in a state of error.
    public static let deviceError = OperationStatus(rawValue: 3)
    /// No device of that bus id.
    public static let noDevice = OperationStatus(rawValue: 4)
    /// The request was not understood.
    public static let error = OperationStatus(rawValue: 5)

    public var description: String {
        switch self {
        case .ok: "done"
        case .failed: "not possible"
        case .busy: "the device is in use"
        case .deviceError: "the device is in an error state"
        case .noDevice: "there is no such device"
        case .error: "the request was not understood"
        default: "status \(rawValue)"
        }
    }
}

/// `op_common`: version, code, status; 8 bytes, big endian.
public struct OperationHeader: Hashable, Sendable {
    public static let byteCount = 8
    /// Protocol version 1.1.1.
    public static let version: UInt16 = 0x0111

    public var code: OperationCode
    /// Unused in requests.
    public var status: OperationStatus

    public init(_ code: OperationCode, status: OperationStatus = .ok) {
        self.code = code
        self.status = status
    }

    public init(decoding bytes: UnsafeRawBufferPointer) throws(USBIPError) {
        guard bytes.count >= Self.byteCount else { throw USBIPError(.tooShort, "operation header of \(bytes.count) bytes") }
        guard bytes.word16(0) == Self.version else { throw USBIPError(.version, "version \(bytes.word16(0))") }
        guard let code = OperationCode(rawValue: bytes.word16(2)) else { throw USBIPError(.code, "code \(bytes.word16(2))") }
        self.code = code
        self.status = OperationStatus(rawValue: bytes.word32(4))
    }

    public func encode(into bytes: UnsafeMutableRawBufferPointer) {
        precondition(bytes.count >= Self.byteCount, "room for an operation header")
        bytes.put(Self.version, at: 0)
        bytes.put(code.rawValue, at: 2)
        bytes.put(status.rawValue, at: 4)
    }

    public var bytes: [UInt8] { encoded(count: Self.byteCount) { encode(into: $0) } }
}

/// `op_import_request` with its header: 40 bytes.
public struct ImportRequest: Hashable, Sendable {
    public static let byteCount = 40
    public var busID: String

    public init(busID: String) { self.busID = busID }

    /// From the bytes that follow the header.
    public init(decodingBody bytes: UnsafeRawBufferPointer) throws(USBIPError) {
        guard bytes.count >= 32 else { throw USBIPError(.tooShort, "import request of \(bytes.count) bytes") }
        busID = bytes.text(in: 0..<32)
    }

    public var bytes: [UInt8] {
        encoded(count: Self.byteCount) {
            OperationHeader(.requestImport).encode(into: $0)
            $0.put(text: busID, in: 8..<40)
        }
    }
}

/// A zeroed array of `count` bytes, filled in place.
func encoded(count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: count)
    result.withUnsafeMutableBytes(fill)
    return result
}
