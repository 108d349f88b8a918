// Why a USB operation failed: one error type, whose code can grow without breaking anybody.

/// A failed USB operation: what went wrong, in which call, and what the layer below said.
public struct USBError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case noDevice, notFound, accessDenied, busy, timedOut, stall, overflow, cancelled
            case invalidArgument, notSupported, malformedAnswer, connection, fault, noBandwidth, shortage, memoryLimit
        }
        private var kind: Kind

        public static let noDevice = Code(kind: .noDevice)
        public static let notFound = Code(kind: .notFound)
        public static let accessDenied = Code(kind: .accessDenied)
        public static let busy = Code(kind: .busy)
        public static let timedOut = Code(kind: .timedOut)
        /// The endpoint answered STALL (USB 2.0 §8.4.5).
        public static let stall = Code(kind: .stall)
        /// Babble, or more data than the buffer holds.
        public static let overflow = Code(kind: .overflow)
        public static let cancelled = Code(kind: .cancelled)
        public static let invalidArgument = Code(kind: .invalidArgument)
        public static let notSupported = Code(kind: .notSupported)
        public static let malformedAnswer = Code(kind: .malformedAnswer)
        /// The way to the device (a socket) failed, not the device.
        public static let connection = Code(kind: .connection)
        public static let fault = Code(kind: .fault)
        /// The bus is promised to others: periodic transfers are reserved when an alternate setting is chosen (USB 2.0 §5.7.4, §5.6.4).
        public static let noBandwidth = Code(kind: .noBandwidth)
        /// Descriptors, memory or the like are used up for the moment, which is not the device's fault.
        public static let shortage = Code(kind: .shortage)
        /// usbfs's limit for the transfers of all devices together, `usbfs_memory_mb`, or the machine's memory.
        public static let memoryLimit = Code(kind: .memoryLimit)

        /// For programs, as it goes over the wire: `"noBandwidth"`.
        public var name: String { kind.rawValue }

        /// The layer that `userdriver stack` blames for it, by its name there; `nil` if the error
        /// alone does not tell.
        public var layer: String? {
            switch kind {
            case .noBandwidth: "bandwidth"
            case .memoryLimit: "usbfs-memory"
            // The device answers, and nothing that makes sense.
            case .malformedAnswer, .stall, .overflow: "class"
            case .busy: "kernel-driver"
            case .accessDenied: "node"
            case .connection: "connection"
            case .noDevice, .notFound, .timedOut, .cancelled, .invalidArgument, .notSupported, .fault, .shortage: nil
            }
        }

        public var description: String {
            switch kind {
            case .noDevice: "the device is gone"
            case .notFound: "not found"
            case .accessDenied: "access denied"
            case .busy: "the resource is busy"
            case .timedOut: "timed out"
            case .stall: "the device refused the request (stall)"
            case .overflow: "the device sent more than was asked for"
            case .cancelled: "cancelled"
            case .invalidArgument: "invalid argument"
            case .notSupported: "not supported here"
            case .malformedAnswer: "the answer is malformed"
            case .connection: "the connection failed"
            case .fault: "a transfer failed"
            case .noBandwidth: "the bus has no bandwidth left for this"
            case .shortage: "the system is short of descriptors or memory"
            case .memoryLimit: "the kernel's memory for USB transfers is used up"
            }
        }
    }

    public var code: Code
    /// The call that failed, as a person would look it up: `"GET_DESCRIPTOR(string 2)"`, `"libusb_open"`.
    public var operation: String
    /// What the layer below said, and where it is known, what fixes it.
    public var detail: String?

    public init(_ code: Code, operation: String, detail: String? = nil) {
        self.code = code
        self.operation = operation
        self.detail = detail
    }

    public var description: String {
        "\(operation): \(code)" + (detail.map { " (\($0))" } ?? "")
    }
}

/// How a transfer ended.
public enum TransferStatus: Hashable, Sendable {
    case completed
    case cancelled
    case stall
    case timedOut
    case overflow
    case disconnected
    /// The host saw an error on the bus; the value is a Linux errno (71 EPROTO, 84 EILSEQ, 18 EXDEV for an isochronous packet that was not served).
    case fault(Int32)

    /// From a URB's status, a negated Linux errno as in USB/IP and usbfs.
    @inlinable
    public init(linux status: Int32) {
        self = status == 0 ? .completed : TransferStatus(failure: status)
    }

    @usableFromInline
    init(failure status: Int32) {
        switch status {
        case 0, -121: self = .completed  // -EREMOTEIO: short, which the length says better
        case -2, -104: self = .cancelled  // -ENOENT, -ECONNRESET
        case -32: self = .stall
        case -110: self = .timedOut
        case -75: self = .overflow
        case -19, -108: self = .disconnected  // -ENODEV, -ESHUTDOWN
        default: self = .fault(status == .min ? .max : abs(status))
        }
    }

    /// The error that a synchronous operation with this outcome throws, `nil` for `completed`.
    public func error(operation: String) -> USBError? {
        switch self {
        case .completed: nil
        case .cancelled: USBError(.cancelled, operation: operation)
        case .stall: USBError(.stall, operation: operation)
        case .timedOut: USBError(.timedOut, operation: operation)
        case .overflow: USBError(.overflow, operation: operation)
        case .disconnected: USBError(.noDevice, operation: operation)
        case .fault(28): USBError(.noBandwidth, operation: operation)  // ENOSPC, of a host controller at the other end of USB/IP
        case .fault(let number): USBError(.fault, operation: operation, detail: "errno \(number)")
        }
    }
}
