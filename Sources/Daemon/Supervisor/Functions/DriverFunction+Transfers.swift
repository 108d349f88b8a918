// A device's transfer rings: memory in which a stream's transfers go on when its driver dies.

import CLinux
import FileDescriptors
import Glibc
import TransferRing
import USB
import Wire

/// A ring that is, or was, in use.
final class CarriedRing: Sendable {
    let memory: TransferRingMemory
    /// An eventfd, by which a driver tells a port that there is something to carry.
    var wake: Int32 { signal.number }
    private let signal: OwnedDescriptor
    let grant: TransferGrant

    init(memory: TransferRingMemory, wake: consuming OwnedDescriptor, grant: TransferGrant) {
        self.memory = memory
        signal = wake
        self.grant = grant
    }
}

extension DriverFunction {
    /// Bytes of all transfers of a stream, at most.
    private static let largestRing = 64 << 20

    /// Two that write into a ring would be one too many.
    func openRingInTurn(_ request: RingRequest) {
        afterHandover { [weak self, weak incarnation] in
            guard let self, let incarnation, self.incarnation === incarnation else { return }
            self.openRing(request)
            self.save()
        }
    }

    /// From here on the driver touches the device: nobody else has it then.
    func openTransfersInTurn(_ request: TransferRequest) {
        afterHandover { [weak self, weak incarnation] in
            guard let self, let incarnation, self.incarnation === incarnation else { return }
            self.openTransfers(request)
            self.save()
        }
    }

    private func openTransfers(_ request: TransferRequest) {
        guard let incarnation else { return }
        do throws(CallError) {
            try mayHaveMemory(for: request.name)
            let ring: CarriedRing
            if let fresh = request.fresh {
                ring = try makeRing(fresh, name: request.name)
                closeTransfers(request.name)
                carried[request.name] = ring
            } else if let kept = carried[request.name] {
                ring = kept
            } else {
                throw CallError("NotFound", "There are no transfers of that stream to take over.")
            }
            var grant = ring.grant
            grant.request = request.request
            incarnation.send(.transfers(grant), descriptors: [ring.memory.descriptor, ring.wake])
        } catch {
            incarnation.send(.ringRefused(request: request.request, reason: error.message))
        }
    }

    func makeRing(
        _ fresh: TransferRequest.Fresh, name: String, besides others: [CarriedRing] = []
    ) throws(CallError) -> CarriedRing {
        let geometry = TransferRingGeometry(
            transferCount: fresh.transferCount, packetCount: fresh.packetCount, packetLength: fresh.packetLength,
            logLength: fresh.logLength ?? 0)
        guard let geometry, geometry.byteCount <= Self.largestRing else {
            throw CallError("InvalidParameter", "A ring of \(fresh.transferCount) transfers of that size is out of bounds.")
        }
        // The address of a ring is its number's. Not the number of the stream's ring before, which the driver may have mapped still.
        let taken = Set(transferRings.map(\.grant.number) + others.map(\.grant.number))
        guard let number = (0..<TransferRingMapping.maximumRings).first(where: { !taken.contains($0) }) else {
            throw CallError("LimitReached", "The device has too many transfer rings.")
        }
        try afford(geometry.byteCount + others.reduce(0) { $0 + $1.memory.byteCount })
        guard let wake = OwnedDescriptor(opened: clinux_eventfd()) else {
            throw CallError("LimitReached", "There is no descriptor left for a transfer ring.")
        }
        let grant = TransferGrant(
            request: 0, name: name, number: number, transferCount: geometry.transferCount, packetCount: geometry.packetCount,
            packetLength: geometry.packetLength, endpoint: fresh.endpoint, logLength: fresh.logLength)
        let memory: TransferRingMemory
        do {
            memory = try TransferRingMemory(geometry: geometry)
        } catch {
            throw CallError("LimitReached", "There is no memory for a transfer ring: \(error)")
        }
        if case .port(let port, let function) = hold?.keeper {
            port.carry(grant, function: function, interval: fresh.interval, memory: memory.descriptor, wake: wake.number)
        }
        return CarriedRing(memory: memory, wake: wake, grant: grant)
    }

    /// The driver has closed the stream: nothing of it is in flight.
    func closeTransfers(_ name: String) {
        if let ring = carried.removeValue(forKey: name) { giveUp(ring) }
    }

    func giveUp(_ ring: CarriedRing) {
        givenUp.take(ring.memory)
        if case .port(let port, let function) = hold?.keeper { port.endRing(ring.grant.number, function: function) }
    }

    /// Lets go of the device: what is in flight ends.
    func dropHold() {
        for ring in transferRings { givenUp.take(ring.memory) }
        (carried, conversations) = ([:], [:])
        isHoldDriven = false
        endHold()
        endKeepers()
        save()
    }
}
