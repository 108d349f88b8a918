// Transfers that a host has asked for and that have not ended yet, endpoint by endpoint.

import USB
import USBIP

/// One transfer in flight. Used again after it has ended.
final class QueuedTransfer {
    var command = SubmitCommand(sequence: 0, deviceID: 0, endpoint: EndpointAddress(rawValue: 0), length: 0)
    /// OUT data, then packet descriptors.
    let payload = ByteStore()
    /// Bus time of the first isochronous slot, and of the end of the last.
    var start: UInt64 = 0
    var end: UInt64 = 0

    /// What the transfer counts against the bound on queued bytes.
    var cost: Int { command.length + command.packetCount * IsochronousDescriptor.byteCount + URBHeader.byteCount }

    var outData: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(payload.slice(0..<(command.endpoint.direction == .out ? command.length : 0)))
    }

    var descriptors: UnsafeMutableRawBufferPointer {
        let start = command.endpoint.direction == .out ? command.length : 0
        return payload.slice(start..<start + command.packetCount * IsochronousDescriptor.byteCount)
    }
}

/// The transfers of one endpoint, oldest first.
final class EndpointQueue {
    /// When the device has to be asked for data.
    enum Wake {
        case now
        case at(UInt64)
        case whenReady
    }

    let address: EndpointAddress
    let type: TransferType
    let interface: UInt8
    let packetSize: Int
    /// The most that one service interval moves.
    let bytesPerInterval: Int
    /// Nanoseconds between two slots.
    let period: UInt64
    let reply = ByteStore()

    var transfers: [QueuedTransfer] = []
    var isHalted = false
    var wake = Wake.now
    /// An interrupt endpoint is asked once an interval at most.
    var notBefore: UInt64 = 0
    /// Bytes of the oldest transfer that the device has sent already.
    var filled = 0
    /// End of the last slot that was given away.
    var slotsEnd: UInt64 = 0
    /// Where the held-back bus stands.
    var heldTime: UInt64?
    /// Since when the device was not ready for its next slots.
    var waitingSince: UInt64?

    init(_ descriptor: EndpointDescriptor, interface: UInt8, speed: USBSpeed) {
        address = descriptor.address
        type = descriptor.transferType
        self.interface = interface
        packetSize = max(1, descriptor.maxPacketSize)
        bytesPerInterval = descriptor.bytesPerInterval(speed: speed)
        period = descriptor.intervalNanoseconds(speed: speed) ?? speed.slotNanoseconds
    }

    /// Endpoint 0.
    init(control packetSize: Int) {
        address = EndpointAddress(rawValue: 0)
        type = .control
        interface = 0
        self.packetSize = max(1, packetSize)
        bytesPerInterval = self.packetSize
        period = 125_000
    }

    /// When the oldest transfer wants attention; `nil` when only the host or the device can change that.
    func due() -> UInt64? {
        guard let first = transfers.first else { return nil }
        if isHalted { return 0 }
        switch wake {
        case .now: return type == .isochronous ? first.end : notBefore
        case .at(let time): return max(time, notBefore)
        case .whenReady: return nil
        }
    }

    /// Gives the transfer its slots on the bus: the next ones that are free, and never ones that have begun.
    func schedule(_ transfer: QueuedTransfer, now: UInt64) {
        let next = (now / period + 1) * period
        transfer.start = max(next, slotsEnd)
        transfer.end = transfer.start + UInt64(transfer.command.packetCount) * period
        slotsEnd = transfer.end
    }

    func removeFirst() -> QueuedTransfer {
        filled = 0
        wake = .now  // What the device said was of this transfer.
        return transfers.removeFirst()
    }
}
