// The 48 bytes before every transfer's data, in both directions.

public import USB

/// CMD_SUBMIT: a transfer the client asks for.
public struct SubmitCommand: Hashable, Sendable {
    public var sequence: UInt32
    public var deviceID: UInt32
    public var endpoint: EndpointAddress
    /// Linux's URB flags: `isochronousAsSoonAsPossible`, `directionIn`; others may be ignored.
    public var flags: UInt32
    /// Bytes of the transfer's buffer; with an OUT transfer so many follow.
    public var length: Int
    public var startFrame: Int32
    /// Packets of an isochronous transfer, whose descriptors follow; 0 for every other type.
    public var packetCount: Int
    /// Of the endpoint, in frames or microframes.
    public var interval: Int32
    /// Of a control transfer, zero for the others.
    public var setup: ControlSetup

    /// URB_ISO_ASAP
    public static let isochronousAsSoonAsPossible: UInt32 = 0x2
    /// URB_DIR_IN
    public static let directionIn: UInt32 = 0x200

    public init(
        sequence: UInt32, deviceID: UInt32, endpoint: EndpointAddress, flags: UInt32 = 0, length: Int, startFrame: Int32 = 0,
        packetCount: Int = 0, interval: Int32 = 0,
        setup: ControlSetup = ControlSetup(requestType: 0, request: 0, value: 0, index: 0, length: 0)
    ) {
        self.sequence = sequence
        self.deviceID = deviceID
        self.endpoint = endpoint
        self.flags = flags
        self.length = length
        self.startFrame = startFrame
        self.packetCount = packetCount
        self.interval = interval
        self.setup = setup
    }

    /// Bytes after the header: OUT data, then packet descriptors.
    public var payloadLength: Int {
        (endpoint.direction == .out ? length : 0) + packetCount * IsochronousDescriptor.byteCount
    }
}

/// RET_SUBMIT: a transfer that ended.
public struct SubmitReply: Hashable, Sendable {
    public var sequence: UInt32
    /// 0, or a negated Linux errno.
    public var status: Int32
    public var actualLength: Int
    public var startFrame: Int32
    public var packetCount: Int
    /// Isochronous packets with an error.
    public var errorCount: Int32

    public init(
        sequence: UInt32, status: Int32, actualLength: Int, startFrame: Int32 = 0, packetCount: Int = 0, errorCount: Int32 = 0
    ) {
        self.sequence = sequence
        self.status = status
        self.actualLength = actualLength
        self.startFrame = startFrame
        self.packetCount = packetCount
        self.errorCount = errorCount
    }
}

/// CMD_UNLINK: the client gives up on a transfer.
public struct UnlinkCommand: Hashable, Sendable {
    /// Of this command.
    public var sequence: UInt32
    public var deviceID: UInt32
    /// Of the transfer that is to end.
    public var victim: UInt32

    public init(sequence: UInt32, deviceID: UInt32, victim: UInt32) {
        self.sequence = sequence
        self.deviceID = deviceID
        self.victim = victim
    }
}

/// RET_UNLINK.
public struct UnlinkReply: Hashable, Sendable {
    /// Of the command.
    public var sequence: UInt32
    /// -ECONNRESET when the transfer was ended (no RET_SUBMIT follows for it), 0 when it had ended by itself.
    public var status: Int32

    public init(sequence: UInt32, status: Int32) {
        self.sequence = sequence
        self.status = status
    }
}

/// Any of the four (`usbip_header`): 48 bytes, big endian but for the SETUP packet.
public enum URBHeader: Hashable, Sendable {
    case submit(SubmitCommand)
    case unlink(UnlinkCommand)
    case submitReply(SubmitReply)
    case unlinkReply(UnlinkReply)

    public static let byteCount = 48

    public init(decoding bytes: UnsafeRawBufferPointer) throws(USBIPError) {
        guard bytes.count >= Self.byteCount else { throw USBIPError(.tooShort, "URB header of \(bytes.count) bytes") }
        let sequence = bytes.word32(4)
        switch bytes.word32(0) {
        case 1: self = .submit(try Self.submit(bytes, sequence))
        case 2: self = .unlink(UnlinkCommand(sequence: sequence, deviceID: bytes.word32(8), victim: bytes.word32(20)))
        case 3: self = .submitReply(try Self.submitReply(bytes, sequence))
        case 4: self = .unlinkReply(UnlinkReply(sequence: sequence, status: bytes.signed32(20)))
        case let command: throw USBIPError(.command, "command \(command)")
        }
    }

    private static func submit(_ bytes: UnsafeRawBufferPointer, _ sequence: UInt32) throws(USBIPError) -> SubmitCommand {
        guard let direction = UInt8(exactly: bytes.word32(12)).flatMap(TransferDirection.init) else {
            throw USBIPError(.range, "direction \(bytes.word32(12))")
        }
        guard bytes.word32(16) <= 15 else { throw USBIPError(.range, "endpoint \(bytes.word32(16))") }
        return SubmitCommand(
            sequence: sequence, deviceID: bytes.word32(8),
            endpoint: EndpointAddress(number: UInt8(truncatingIfNeeded: bytes.word32(16)), direction: direction),
            flags: bytes.word32(20), length: try length(bytes.signed32(24)), startFrame: bytes.signed32(28),
            packetCount: try packets(bytes.signed32(32)), interval: bytes.signed32(36),
            setup: ControlSetup(
                requestType: bytes[40], request: bytes[41], value: UInt16(bytes[42]) | UInt16(bytes[43]) << 8,
                index: UInt16(bytes[44]) | UInt16(bytes[45]) << 8, length: UInt16(bytes[46]) | UInt16(bytes[47]) << 8))
    }

    private static func submitReply(_ bytes: UnsafeRawBufferPointer, _ sequence: UInt32) throws(USBIPError) -> SubmitReply {
        SubmitReply(
            sequence: sequence, status: bytes.signed32(20), actualLength: try length(bytes.signed32(24)),
            startFrame: bytes.signed32(28), packetCount: try packets(bytes.signed32(32)), errorCount: bytes.signed32(36))
    }

    private static func length(_ value: Int32) throws(USBIPError) -> Int {
        guard value >= 0 else { throw USBIPError(.range, "length \(value)") }
        guard value <= USBIPLimit.transferBytes else { throw USBIPError(.tooLarge, "\(value) bytes in a transfer") }
        return Int(value)
    }

    /// -1 and 0 both say "not isochronous": the protocol's text and older kernels differ.
    private static func packets(_ value: Int32) throws(USBIPError) -> Int {
        guard value >= -1 else { throw USBIPError(.range, "\(value) packets") }
        guard value <= USBIPLimit.packets else { throw USBIPError(.tooLarge, "\(value) packets") }
        return Int(max(0, value))
    }

    public func encode(into bytes: UnsafeMutableRawBufferPointer) {
        precondition(bytes.count >= Self.byteCount, "room for an URB header")
        bytes.zero(8..<Self.byteCount)
        switch self {
        case .submit(let command):
            bytes.put(UInt32(1), at: 0)
            bytes.put(command.sequence, at: 4)
            bytes.put(command.deviceID, at: 8)
            bytes.put(UInt32(command.endpoint.direction.rawValue), at: 12)
            bytes.put(UInt32(command.endpoint.number), at: 16)
            bytes.put(command.flags, at: 20)
            bytes.put(Int32(clamping: command.length), at: 24)
            bytes.put(command.startFrame, at: 28)
            bytes.put(command.packetCount > 0 ? Int32(clamping: command.packetCount) : -1, at: 32)
            bytes.put(command.interval, at: 36)
            let setup = command.setup
            bytes[40] = setup.requestType
            bytes[41] = setup.request
            bytes.storeBytes(of: setup.value.littleEndian, toByteOffset: 42, as: UInt16.self)
            bytes.storeBytes(of: setup.index.littleEndian, toByteOffset: 44, as: UInt16.self)
            bytes.storeBytes(of: setup.length.littleEndian, toByteOffset: 46, as: UInt16.self)
        case .unlink(let command):
            bytes.put(UInt32(2), at: 0)
            bytes.put(command.sequence, at: 4)
            bytes.put(command.deviceID, at: 8)
            bytes.put(command.victim, at: 20)
        case .submitReply(let reply):
            bytes.put(UInt32(3), at: 0)
            bytes.put(reply.sequence, at: 4)
            bytes.put(reply.status, at: 20)
            bytes.put(Int32(clamping: reply.actualLength), at: 24)
            bytes.put(reply.startFrame, at: 28)
            bytes.put(Int32(clamping: reply.packetCount), at: 32)
            bytes.put(reply.errorCount, at: 36)
        case .unlinkReply(let reply):
            bytes.put(UInt32(4), at: 0)
            bytes.put(reply.sequence, at: 4)
            bytes.put(reply.status, at: 20)
        }
    }

    public var bytes: [UInt8] { encoded(count: Self.byteCount) { encode(into: $0) } }
}
