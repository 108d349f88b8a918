// Where everything lies in a transfer ring's memory. Offsets in bytes, numbers in the processor's byte order.

public import USB

/// The shape of a transfer ring: what the driver asks for, and what the supervisor tells every incarnation. Nobody reads it out of the shared
/// memory, where a predecessor could have changed it.
public struct TransferRingGeometry: Hashable, Sendable, Codable {
    /// Transfers in flight at most.
    public var transferCount: Int
    /// Isochronous: packets of a transfer; 0 for bulk.
    public var packetCount: Int
    /// Isochronous: bytes of a packet. Bulk: bytes of a transfer.
    public var packetLength: Int
    /// Bytes after the transfers' buffers, for a conversation's log. 0 for streams.
    public var logLength = 0

    public static let maximumTransferCount = 256
    /// usbfs accepts no more in one transfer.
    public static let maximumPacketCount = 128
    public static let maximumByteCount = 256 << 20
    static let pageSize = 4096
    static let checkpointSize = 1024
    /// Bytes that a handler may remember.
    public static let stateSize = checkpointSize - CheckpointWord.state
    /// The header's words, then two checkpoints.
    static let headerSize = pageSize
    static let checkpointOffset = 1024
    /// Our words, then `struct usbdevfs_urb` and its packet descriptors (12 bytes each).
    static let recordSize = pageSize / 2

    /// `nil` if the numbers are out of bounds.
    public init?(transferCount: Int, packetCount: Int, packetLength: Int, logLength: Int = 0) {
        guard 2...Self.maximumTransferCount ~= transferCount, 0...Self.maximumPacketCount ~= packetCount,
            1...(16 << 20) ~= packetLength, 0...Self.maximumByteCount ~= logLength
        else { return nil }
        self.transferCount = transferCount
        self.packetCount = packetCount
        self.packetLength = packetLength
        self.logLength = logLength
        guard byteCount <= Self.maximumByteCount else { return nil }
    }

    /// The same numbers, looked at again: for a geometry that came in a message.
    public var isSound: Bool {
        TransferRingGeometry(transferCount: transferCount, packetCount: packetCount, packetLength: packetLength, logLength: logLength)
            != nil
    }

    public var type: TransferType { packetCount > 0 ? .isochronous : .bulk }
    /// Bytes of one transfer.
    public var transferLength: Int { packetLength * max(packetCount, 1) }
    var stride: Int { Self.roundedUp(transferLength) }
    var recordsOffset: Int { Self.headerSize }
    var buffersOffset: Int { recordsOffset + Self.roundedUp(transferCount * Self.recordSize) }
    var logOffset: Int { buffersOffset + transferCount * stride }
    /// The size of the whole memfd.
    public var byteCount: Int { logOffset + Self.roundedUp(logLength) }

    private static func roundedUp(_ count: Int) -> Int { (count + pageSize - 1) / pageSize * pageSize }
}

/// Words of the header.
enum RingWord {
    static let magic = 0  // u64
    /// u64: numbers below it were given to transfers that are in flight, have completed, or were handled.
    static let submitted = 8
    /// u32: which of the two checkpoints counts, by its lowest bit; grows with every commit.
    static let commits = 16
    /// u32: futex; grows whenever a transfer has completed. Only a ring behind a port uses it.
    static let completions = 20
    /// u32: 1 asks the port to end what is in flight.
    static let cancel = 24
    /// u32: 1 once the port has nothing to offer any more: the device is gone.
    static let disconnected = 28
    /// u32: which of the two places below counts, by its lowest bit.
    static let consumptions = 32
    /// u32: futexes of a successor and its predecessors' keepers; see `clinux_kept_ring`.
    static let keeperBell = 36
    static let keeperAnswers = 40
    /// u32: which incarnation has its transfers in memory of its own now, or would.
    static let heir = 44
    /// Twice: what of an answer is done with. See `ConsumptionWord`.
    static let consumption = 128
}

/// Words of a checkpoint.
enum CheckpointWord {
    static let next = 0  // u64: the number of the transfer to be handled next
    static let layout = 8  // u64: what the state is, told by who wrote it
    static let count = 16  // u64: bytes of the state
    static let state = 24
}

/// Words of what a conversation's driver has done with of the answer.
enum ConsumptionWord {
    static let offset = 0  // u64: bytes
    static let ends = 8  // u64: ends of messages
    static let noteLength = 16  // u32
    static let note = 24
    static let size = 384
}

/// Words of a record, before what the kernel is given.
enum RecordWord {
    static let number = 0  // u64
    static let phase = 8  // u32: `RecordPhase`
    static let status = 12  // i32: negative errno, as USB/IP and usbfs give it
    static let actualLength = 16  // u32
    static let startFrame = 20  // u32, and whether it is known in the word behind
    static let hasStartFrame = 24  // u32
    static let length = 28  // u32: bytes asked for
    static let completedAt = 32  // u64: CLOCK_MONOTONIC ns
    static let place = 40  // u32: 0 where the bytes lie in the ring; else the incarnation that mapped the kernel's memory
    static let fetch = 44  // u32: `clinux_fetch`, of a successor to whom they are another's
    static let followsDryQueue = 48  // u32: 1 where nothing was in flight when it was submitted
    static let urb = 64  // struct usbdevfs_urb with usbdevfs_iso_packet_desc behind
    /// Behind `struct usbdevfs_urb`, which has 56 bytes on 64-bit machines: length, actual_length, status, u32 each.
    static let packets = urb + 56
    static let packetSize = 12
}

/// What a record is in.
enum RecordPhase {
    static let idle: UInt32 = 0
    /// About to be put in flight; whoever finds this after a death does not know whether it is.
    static let submitting: UInt32 = 1
    static let inFlight: UInt32 = 2
    static let completed: UInt32 = 3
}
