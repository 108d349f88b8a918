// How a stream's transfers are cut, and how many of them are in flight.

import TransferRing
public import USB
import Wire

/// Follows from the endpoint: see `isochronous` and `bulk`.
public struct StreamShape: Sendable, Equatable {
    public let type: TransferType
    /// Isochronous: bytes and number of the packets of one transfer. Bulk: one "packet", the whole
    /// transfer.
    public let packetLength: Int
    public let packetCount: Int
    public let transferCount: Int
    /// With fewer in flight no stream begins, nor goes on.
    let leastTransferCount: Int
    /// Bulk: bytes of a transfer where the kernel has no memory for so few of that length, in the
    /// order in which they are tried.
    var shorterLengths: [Int] = []
    /// Isochronous: nanoseconds from packet to packet. 0 for bulk.
    public let packetInterval: UInt64
    /// Isochronous: `bInterval`, and the bus's speed, by which it counts.
    private let interval: UInt8
    private let speed: USBSpeed

    /// Nanoseconds that the queue covers, and so the time that this process may be away without
    /// losing anything: a hang is noticed after half a second. EHCI's schedule has room for a
    /// second.
    private static let cover: UInt64 = 768_000_000
    /// The same for what needs so much memory that `memory` would not do.
    private static let leastCover: UInt64 = 128_000_000
    /// The same for bulk, where a device that is not asked waits for a moment.
    private static let leastBulkCover: UInt64 = 64_000_000
    /// Bytes of all transfers: usbfs gives all drivers together 16 MiB, where nobody has raised it.
    private static let memory = 4 << 20
    private static let mostMemory = 8 << 20

    /// - Parameters:
    ///   - bytesPerInterval: what the endpoint sends in one (micro)frame at most.
    ///   - interval: `bInterval`.
    public static func isochronous(bytesPerInterval: Int, interval: UInt8, speed: USBSpeed) -> StreamShape {
        let packetInterval = max(1, speed.slotNanoseconds << UInt64(min(max(Int(interval) - 1, 0), 15)))
        let packets = Int(min(64, max(1, 8_000_000 / packetInterval)))
        /// As many as cover that time within so many bytes; eight at least.
        func transfers(_ cover: UInt64, within bytes: Int) -> Int {
            let duration = UInt64(packets) * packetInterval
            return max(8, min(Int((cover + duration - 1) / duration), bytes / max(1, packets * bytesPerInterval)))
        }
        let least = transfers(leastCover, within: mostMemory)
        return StreamShape(
            type: .isochronous, packetLength: bytesPerInterval, packetCount: packets,
            transferCount: min(TransferRingGeometry.maximumTransferCount, max(least, transfers(cover, within: memory))),
            leastTransferCount: least, packetInterval: packetInterval, interval: interval, speed: speed)
    }

    /// Bytes of a bulk transfer: what it costs to submit and take one is small beside them.
    private static let bulkLength = 128 << 10
    /// Where there is no memory for that. usbfs takes it in pieces of 16 KiB where the controller can
    /// gather them, and in one piece where it can't: those are always to be had.
    private static let shorterBulkLengths = [64 << 10, 16 << 10]
    /// A payload of so many bytes is not cut for an assembler that does not join them.
    private static let uncutPayload = 64 << 10
    /// That many are enough for a stream, and never too much.
    private static let leastBulkCount = 16

    /// - Parameters:
    ///   - payloadSize: what the device sends in one piece at most, or a frame's bytes where that is
    ///     not known.
    ///   - joinsPayloads: a transfer may hold several payloads, or a part of one. The assembler knows
    ///     where one ends. Without it only payloads of more than 64 KiB are cut.
    ///   - bytesPerSecond: what it sends, roughly; 0 if nobody knows.
    public static func bulk(
        maxPacketSize: Int, payloadSize: Int, joinsPayloads: Bool = false, bytesPerSecond: Int = 0
    ) -> StreamShape {
        let packet = max(maxPacketSize, 1)
        /// Whole packets, `limit` bytes of them or a few more.
        func length(within limit: Int) -> Int {
            // A payload of whole packets ends without a short one, so that the transfer goes on with the
            // next. A frame's last payload is shorter, and ends the transfer.
            if joinsPayloads, payloadSize > 0, payloadSize % packet == 0, payloadSize < limit {
                return limit / payloadSize * payloadSize
            }
            return (min(max(payloadSize, 16 << 10), limit) + packet - 1) / packet * packet
        }
        let length = length(within: bulkLength)
        func transfers(_ cover: UInt64, within bytes: Int) -> Int {
            min(Int(clamping: cover) / 1_000_000 * min(max(bytesPerSecond, 0), 1 << 40) / 1000, bytes) / length
        }
        let count = max(transfers(leastCover, within: memory), transfers(leastBulkCover, within: mostMemory))
        var shape = StreamShape(
            type: .bulk, packetLength: length, packetCount: 1,
            transferCount: min(TransferRingGeometry.maximumTransferCount, max(leastBulkCount, count)),
            leastTransferCount: leastBulkCount, packetInterval: 0, interval: 1, speed: .high)
        if joinsPayloads || payloadSize > uncutPayload {
            shape.shorterLengths = shorterBulkLengths.map(length(within:)).filter { $0 < length }
        }
        return shape
    }

    /// What notices packets that were never asked for.
    var continuity: SlotContinuity? { type == .isochronous ? SlotContinuity(speed: speed, interval: interval) : nil }

    /// The memory that is asked for.
    func request(endpoint: EndpointAddress) -> TransferRequest.Fresh {
        let isIsochronous = type == .isochronous
        return TransferRequest.Fresh(
            transferCount: transferCount, packetCount: isIsochronous ? packetCount : 0, packetLength: packetLength,
            endpoint: endpoint.rawValue, interval: isIsochronous ? 1 << Int32(min(max(Int(interval) - 1, 0), 15)) : 0)
    }
}
