// What a flight recorder tells of one transfer.

public import USB

/// A transfer as its driver saw it. Nothing in it is trusted: the driver may have died of writing to the wrong place.
public struct RecordedTransfer: Hashable, Sendable {
    /// From 1, over all incarnations of the device's driver.
    public var number: UInt64
    /// The incarnation that handled it.
    public var generation: UInt32
    public var type: TransferType
    public var endpoint: EndpointAddress
    /// CLOCK_MONOTONIC nanoseconds; `nil` where another incarnation had submitted it.
    public var submitted: UInt64?
    /// CLOCK_MONOTONIC nanoseconds; `nil` while it is in flight.
    public var completed: UInt64?
    /// The eight bytes of a control transfer's SETUP stage.
    public var setup: [UInt8]
    /// 0, or a negated errno of Linux, as `struct urb` has it.
    public var status: Int32
    /// Bytes to send, or that could have come.
    public var requested: Int
    /// Bytes that were moved.
    public var actual: Int
    /// See `CompletedTransfer.startFrame`.
    public var startFrame: UInt32
    /// The first bytes that were sent or received: for pictures only their payload header.
    public var data: [UInt8]
    /// Of an isochronous transfer the lengths of its first packets, `nil` for one that failed.
    public var packets: [Int?]
    public var failedPackets: Int

    /// The newest moment that is known of it.
    public var time: UInt64 { completed ?? submitted ?? 0 }

    public init(
        number: UInt64, generation: UInt32 = 1, type: TransferType, endpoint: EndpointAddress, submitted: UInt64?, completed: UInt64?,
        setup: [UInt8] = [], status: Int32 = 0, requested: Int = 0, actual: Int = 0, startFrame: UInt32 = 0, data: [UInt8] = [],
        packets: [Int?] = [], failedPackets: Int = 0
    ) {
        self.number = number
        self.generation = generation
        self.type = type
        self.endpoint = endpoint
        self.submitted = submitted
        self.completed = completed
        self.setup = setup
        self.status = status
        self.requested = requested
        self.actual = actual
        self.startFrame = startFrame
        self.data = data
        self.packets = packets
        self.failedPackets = failedPackets
    }

    /// In a line, for people. Its time is given relative to `moment` (CLOCK_MONOTONIC nanoseconds).
    public func line(before moment: UInt64) -> String {
        let tenths = (Int64(bitPattern: moment &- time) / 100_000).magnitude
        var words = "\(tenths / 10).\(tenths % 10) ms before: \(type) "
        if type == .control {
            words += setup.map { Self.hex($0) }.joined(separator: " ")
        } else {
            words += "\(endpoint)"
        }
        guard completed != nil else { return words + ", \(requested) bytes, in flight" }
        words += ", \(actual) of \(requested) bytes"
        if !packets.isEmpty { words += failedPackets == 0 ? ", every packet whole" : ", \(failedPackets) packets failed" }
        if status != 0 { words += ", \(TransferStatus(linux: status))" }
        if !data.isEmpty { words += ": " + data.prefix(16).map { Self.hex($0) }.joined(separator: " ") + (data.count > 16 ? " …" : "") }
        return words
    }

    private static func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
}
