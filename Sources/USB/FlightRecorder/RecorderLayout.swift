// How a flight recorder lies in memory: a ring of entries, one for each transfer.

/// The geometry of a recorder's memory: a head of one cache line, then entries, the newest in place of the oldest. Integers are the host's.
enum RecorderLayout {
    /// Three seconds of a camera's isochronous transfers.
    static let entryCount = 384
    static let entrySize = 256
    static let entriesOffset = 64
    static let byteCount = (entriesOffset + entryCount * entrySize + 4095) / 4096 * 4096
    /// u64: transfers recorded so far.
    static let count = 0

    /// Of the packets of an isochronous transfer these many are described, the first ones.
    static let packetLimit = 64
    /// A packet that failed, in place of its length.
    static let failedPacket = UInt16.max
}

/// Offsets in an entry.
enum EntryField {
    /// u64: the transfer's number from 1; 0 while the entry is written. Last of all.
    static let number = 0
    /// u64, CLOCK_MONOTONIC nanoseconds; 0 if it is not known.
    static let submitted = 8
    /// u64, CLOCK_MONOTONIC nanoseconds; 0 while it is in flight.
    static let completed = 16
    /// u32
    static let generation = 24
    /// u8: as in `bmAttributes` (USB 2.0 table 9-13)
    static let type = 28
    /// u8: `bEndpointAddress`
    static let endpoint = 29
    /// u8: how many packets are described
    static let packetCount = 30
    /// u8: how many bytes there are in `data`
    static let dataCount = 31
    /// 8 bytes of a control transfer's SETUP stage
    static let setup = 32
    /// i32: 0 or a negated errno of Linux
    static let status = 40
    /// u32: bytes to send, or that could have come
    static let requested = 44
    /// u32: bytes that were moved
    static let actual = 48
    /// u32: what the host controller's frame counter was, or 0
    static let startFrame = 52
    /// u32: packets in all
    static let totalPackets = 56
    /// u32: packets that failed
    static let failedPackets = 60
    /// The first bytes.
    static let data = 64
    static let dataLimit = 64
    /// u16 each: a packet's length, or `failedPacket`.
    static let packets = 128
}
