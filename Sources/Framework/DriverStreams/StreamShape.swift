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
    /// Bytes of all transfers: usbfs gives all drivers together 16 MiB, where nobody has raised it.
    private static let memory = 4 << 20
    private static let mostMemory = 8 << 20

    /// - Parameters:
    ///   - bytesPerInterval: what the endpoint sends in one (micro)frame at most.
    ///   - interval: `bInterval`.
    public static func isochronous(bytesPerInterval: Int, interval: UInt8, speed: USBSpeed) -> StreamShape {
        let packetInterval = max(1, speed.slotNanoseconds << UInt64(min(max(Int(interval) - 1, 0), 15)))
        let packets = Int(min(32, max(1, 4_000_000 / packetInterval)))
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

    /// - Parameter payloadSize: what the device sends in one piece at most, or a frame's bytes
    ///   where that is not known.
    public static func bulk(maxPacketSize: Int, payloadSize: Int) -> StreamShape {
        let packet = max(maxPacketSize, 1)
        let wanted = min(max(payloadSize, 16 << 10), 64 << 10)
        return StreamShape(
            type: .bulk, packetLength: (wanted + packet - 1) / packet * packet, packetCount: 1, transferCount: 16,
            leastTransferCount: 16, packetInterval: 0, interval: 1, speed: .high)
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
