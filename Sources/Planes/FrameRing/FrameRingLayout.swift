// Where everything lies in a frame ring's memory. Offsets in bytes, numbers in the processor's byte order (one machine, one ring).

/// The geometry of a ring, which the supervisor decides and tells both sides: nobody reads it out of the shared memory, where the
/// writer could have changed it.
public struct FrameRingGeometry: Hashable, Sendable, Codable {
    /// Bytes of the largest frame.
    public var capacity: Int
    /// Frames that the ring holds: a reader may lag this many frames, less one, before it loses any.
    public var slotCount: Int

    public static let pageSize = 4096
    /// The header's size: its words, then the table of gaps.
    public static let headerSize = 4096
    public static let slotHeaderSize = 128
    public static let gapCapacity = 64
    static let gapTableOffset = 1024
    static let gapSize = 40
    public static let magic: UInt64 = 0x3147_4E49_5246_4455  // "UDFRING1"
    public static let maximumCapacity = 256 << 20
    public static let maximumSlotCount = 256
    public static let maximumByteCount = 1 << 30

    /// `nil` if the numbers are out of bounds.
    public init?(capacity: Int, slotCount: Int) {
        guard capacity > 0, capacity <= Self.maximumCapacity, slotCount >= 2, slotCount <= Self.maximumSlotCount else { return nil }
        self.capacity = capacity
        self.slotCount = slotCount
        guard byteCount <= Self.maximumByteCount else { return nil }
    }

    /// Bytes from one slot's data to the next one's.
    public var stride: Int { (capacity + Self.pageSize - 1) / Self.pageSize * Self.pageSize }
    var dataOffset: Int {
        let table = Self.headerSize + slotCount * Self.slotHeaderSize
        return (table + Self.pageSize - 1) / Self.pageSize * Self.pageSize
    }
    /// The size of the whole memfd.
    public var byteCount: Int { dataOffset + slotCount * stride }
}

/// Words of the ring's header page.
enum RingField {
    static let magic = 0  // u64
    static let published = 8  // u64: the newest sequence number that was given, to a frame or to one in a gap; 0 before the first
    static let wake = 16  // u32: futex; grows at every publication and every other news
    static let generation = 20  // u32: which incarnation of the driver writes now
    static let lastCapture = 24  // u64: CLOCK_MONOTONIC ns of the newest frame's capture
    static let gapsRecorded = 32  // u64: gaps recorded since the ring was made; gap n lies at n % gapCapacity
    static let first = 40  // u64: in a ring that goes on from another one: the first number that belongs here; 0 in any other
    static let next = 48  // u64: once the stream goes on in another ring: the first number that belongs there; 0 until then
    static let firstSlot = 56  // u32: with `first`: the slot that its frame takes
}

/// Words of a slot's header. Frames take the slots in turn, whatever their numbers (gaps take numbers and no slots). `state` is `2 × sequence + 1` while a frame is written and `2 × sequence + 2` once it is whole.
enum SlotField {
    static let state = 0  // u64
    static let length = 8  // u64: bytes of the frame
    static let captured = 16  // u64: CLOCK_MONOTONIC ns of the first payload
    static let published = 24  // u64: CLOCK_MONOTONIC ns
    static let deviceTime = 32  // u64: the device's presentation time, in its own clock's ticks
    static let generation = 40  // u32
    static let flags = 44  // u32
}

/// Words of a gap: `count` frames from `first` never came, because of `cause`.
enum GapField {
    static let first = 0  // u64
    static let count = 8  // u64
    static let time = 16  // u64: CLOCK_MONOTONIC ns
    static let cause = 24  // u32
    static let generation = 28  // u32: the incarnation that noticed
    static let check = 32  // u64: the gap's number + 1, written last
}
