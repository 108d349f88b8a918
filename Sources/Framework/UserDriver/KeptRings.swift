// Rings that a predecessor left: mapped before anything is reaped, until the driver asks for them.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import TransferRing
import USB
import Wire

/// A ring as the supervisor has told of it before the device.
struct KeptRing: Sendable {
    var grant: TransferGrant
    var memory: Int32
}

final class KeptRings: Sendable {
    static let most = TransferRingMapping.maximumRings

    private struct Mapped: Sendable {
        var file: UInt64
        var mapping: TransferRingMapping
    }
    /// By the ring's number.
    private let rings = Mutex<[Int: Mapped]>([:])

    /// Maps them, and closes their descriptors. One that can't be mapped is one whose transfers are
    /// lost; whoever asks for it is told so.
    func take(_ kept: [KeptRing], _ device: any RingCarrierSource) {
        for ring in kept {
            let memory = OwnedDescriptor(ring.memory)
            guard let geometry = ring.grant.geometry else { continue }
            do throws(USBError) {
                let mapping = try TransferRingMapping(descriptor: memory.number, geometry: geometry, number: ring.grant.number)
                device.expect(mapping)
                rings.withLock { $0[ring.grant.number] = Mapped(file: Self.file(memory.number), mapping: mapping) }
            } catch {
                complain("A ring that was left behind can't be mapped: \(error)")
            }
        }
    }

    /// The mapping of that ring, which is the caller's from here on. One of the same number that is
    /// another's memory makes room.
    func mapping(_ grant: TransferGrant, memory: Int32, _ device: any RingCarrierSource) -> TransferRingMapping? {
        guard let mapped = rings.withLock({ $0.removeValue(forKey: grant.number) }) else { return nil }
        if mapped.file == Self.file(memory), mapped.mapping.geometry == grant.geometry { return mapped.mapping }
        device.forget(mapped.mapping)
        return nil
    }

    /// Which memory it is.
    private static func file(_ descriptor: Int32) -> UInt64 {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? UInt64(status.st_ino) : 0
    }
}

extension TransferGrant {
    /// `nil` if its numbers are out of bounds.
    var geometry: TransferRingGeometry? {
        TransferRingGeometry(
            transferCount: transferCount, packetCount: packetCount, packetLength: packetLength, logLength: logLength ?? 0)
    }
}
