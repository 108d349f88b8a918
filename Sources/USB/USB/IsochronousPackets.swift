// An isochronous transfer's packets as the kernel describes them, looked at where they lie.

/// Packets of one length that follow one another in the transfer's buffer, over an array of
/// `struct usbdevfs_iso_packet_desc`: length, actual length and status, 32 bits each. Lent: valid
/// as long as the transfer that it belongs to.
///
/// The descriptions may lie in memory that others write to. Each look reads a word once, and what
/// does not fit is a failed packet, so whatever stands there, a packet stays within its room.
public struct IsochronousPackets: RandomAccessCollection {
    /// Bytes of one description.
    public static let descriptionLength = 12

    /// Where the descriptions lie, one after the other; `nil` if there are none.
    public let base: UnsafeRawPointer?
    /// Bytes that each packet has room for.
    public let packetLength: Int
    public let count: Int

    /// None.
    @inlinable
    public init() {
        base = nil
        packetLength = 0
        count = 0
    }

    /// - Parameters:
    ///   - base: where `count` descriptions lie; any alignment will do.
    ///   - packetLength: bytes from packet to packet.
    @inlinable
    public init(at base: UnsafeRawPointer, count: Int, packetLength: Int) {
        precondition(count >= 0 && packetLength >= 0)
        self.base = base
        self.packetLength = packetLength
        self.count = count
    }

    @inlinable public var startIndex: Int { 0 }
    @inlinable public var endIndex: Int { count }

    /// A packet as it came; a length that does not fit is a failed packet.
    @inlinable
    public subscript(index: Int) -> IsochronousPacket {
        let (actual, status) = outcome(index)
        let fits = actual <= packetLength
        return IsochronousPacket(
            offset: index * packetLength, length: packetLength, actualLength: fits ? actual : 0,
            status: fits ? TransferStatus(linux: status) : .overflow)
    }

    /// Bytes of a packet that came as it should, -1 for any other, which is worth a closer look:
    /// for loops over all packets.
    /// - Parameter description: where the packet's description lies.
    @inlinable @inline(__always)
    public static func wholeLength(_ description: UnsafeRawPointer, room: Int) -> Int {
        // Actual length and status in one look: a status of 0 leaves the length.
        let words = UInt64(littleEndian: description.loadUnaligned(fromByteOffset: 4, as: UInt64.self))
        return words <= UInt64(truncatingIfNeeded: room) ? Int(truncatingIfNeeded: words) : -1
    }

    /// Bytes that came in all packets.
    public var actualLength: Int {
        guard let base else { return 0 }
        let room = UInt64(truncatingIfNeeded: packetLength)
        var sum = 0
        var description = base
        for _ in 0..<count {
            let actual = UInt64(description.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            sum &+= actual <= room ? Int(truncatingIfNeeded: actual) : 0
            description += Self.descriptionLength
        }
        return sum
    }

    @inlinable @inline(__always)
    func outcome(_ index: Int) -> (actual: Int, status: Int32) {
        // Within: `count` descriptions lie there, by the initializer's contract.
        precondition(index >= 0 && index < count)
        guard let base else { return (0, 0) }
        let words = base + index &* Self.descriptionLength
        return (
            Int(words.loadUnaligned(fromByteOffset: 4, as: UInt32.self)), words.loadUnaligned(fromByteOffset: 8, as: Int32.self)
        )
    }
}

extension IsochronousPackets {
    /// Describes packets in memory of its own and lends them: for tests, and for carriers without a kernel.
    /// - Parameter outcomes: bytes received, and 0 or a negated errno.
    public static func with<Result>(
        _ outcomes: [(actualLength: Int, status: Int32)], packetLength: Int, _ body: (IsochronousPackets) -> Result
    ) -> Result {
        let words = outcomes.flatMap { [UInt32(clamping: packetLength), UInt32(clamping: $0.actualLength), UInt32(bitPattern: $0.status)] }
        return words.withUnsafeBytes { raw in
            guard let base = raw.baseAddress, !outcomes.isEmpty else { return body(IsochronousPackets()) }
            return body(IsochronousPackets(at: base, count: outcomes.count, packetLength: packetLength))
        }
    }
}
