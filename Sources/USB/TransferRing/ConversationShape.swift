// How large the memory of a conversation is: what a driver asks for, and what the rings beneath it
// are.

public import USB

/// Sizes of a conversation's memory, in bytes.
public struct ConversationShape: Hashable, Sendable {
    /// The largest piece that `send` takes at once.
    public var outgoingCapacity: Int
    /// The most of an answer that is kept until it is discarded.
    public var answerCapacity: Int
    /// OUT: bytes of a transfer.
    public var outgoingTransfer: Int
    /// IN: bytes of a transfer. A device that sends no zero-length packets leaves a transfer
    /// hanging that asks for more than comes: one packet is safe with all.
    public var answerTransfer: Int
    /// IN: transfers in flight.
    public var answerTransferCount: Int
    /// After a message whose length is a multiple of this, a zero-length packet says that it has
    /// ended; `nil` for devices that want none.
    public var zeroLengthPacketAfter: Int?

    public init(
        outgoingCapacity: Int = 64 << 10, answerCapacity: Int = 1 << 20, outgoingTransfer: Int = 16 << 10, answerTransfer: Int = 512,
        answerTransferCount: Int = 32, zeroLengthPacketAfter: Int? = nil
    ) {
        self.outgoingCapacity = outgoingCapacity
        self.answerCapacity = answerCapacity
        self.outgoingTransfer = outgoingTransfer
        self.answerTransfer = answerTransfer
        self.answerTransferCount = answerTransferCount
        self.zeroLengthPacketAfter = zeroLengthPacketAfter
    }

    /// Of the OUT endpoint; `nil` if a size is out of bounds. One is in flight at a time, so
    /// that what the device took is known to the byte.
    public var outgoing: TransferRingGeometry? {
        guard 1...TransferRingGeometry.maximumByteCount ~= outgoingCapacity else { return nil }
        return TransferRingGeometry(transferCount: 2, packetCount: 0, packetLength: outgoingTransfer, logLength: outgoingCapacity)
    }

    /// Of the IN endpoint; `nil` if a size is out of bounds. Room for fewer than three transfers
    /// would never be filled.
    public var incoming: TransferRingGeometry? {
        guard 1...TransferRingGeometry.maximumByteCount / 8 ~= answerTransfer,
            answerTransfer * 3...TransferRingGeometry.maximumByteCount ~= answerCapacity
        else { return nil }
        return TransferRingGeometry(
            transferCount: answerTransferCount, packetCount: 0, packetLength: answerTransfer,
            logLength: IncomingBytes.endsSize + answerCapacity)
    }
}

/// Why a conversation can't continue by itself.
public enum ConversationFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The predecessor died in the instant in which it submitted these bytes, and whether the
    /// device has them can't be found out. They are not sent again.
    case undecided(offset: UInt64, length: Int)
    /// The endpoint is halted (USB 2.0 §8.4.5).
    case stalled(TransferDirection)
    /// A transfer failed otherwise; of an answer bytes may be missing.
    case failed(TransferDirection, TransferStatus)
    /// The whole of an answer's memory has been read and none of it discarded.
    case answerTooLarge
    /// The memory that was left is not sound: another program wrote it.
    case unsound
    /// It was closed here.
    case closed

    public var description: String {
        switch self {
        case .undecided(let offset, let length):
            "A driver died while it submitted \(length) bytes at \(offset). Whether the device has them can't be known, so they are not sent again."
        case .stalled(let direction): "The \(direction == .in ? "IN" : "OUT") endpoint is halted."
        case .failed(let direction, let status): "A transfer \(direction == .in ? "from" : "to") the device failed: \(status)."
        case .answerTooLarge: "The answer is larger than its memory: discard what was read."
        case .unsound: "The memory that the previous process left is not sound."
        case .closed: "The conversation was closed."
        }
    }
}

/// A note of the class's own, kept with what it is about.
public typealias ConversationNote = [UInt8]

/// How a fault is kept in memory.
struct StoredFault: BitwiseCopyable, Equatable {
    static let none: UInt32 = 0
    static let undecided: UInt32 = 1
    static let stalled: UInt32 = 2
    static let failed: UInt32 = 3

    var kind: UInt32 = StoredFault.none
    /// Of a failure: a negated errno. Of an undecided transfer: its length.
    var detail: Int32 = 0

    /// `nil` for what is none, or was not written by this.
    func fault(_ direction: TransferDirection, at offset: UInt64) -> ConversationFault? {
        switch kind {
        case Self.none: nil
        case Self.undecided: .undecided(offset: offset, length: Int(detail))
        case Self.stalled: .stalled(direction)
        default: .failed(direction, TransferStatus(linux: detail))
        }
    }

    init() {}
    init(_ status: TransferStatus) {
        (kind, detail) = status == .stall ? (Self.stalled, 0) : (Self.failed, status.linuxStatus)
    }
    init(undecided length: Int) { (kind, detail) = (Self.undecided, Int32(clamping: length)) }
}
