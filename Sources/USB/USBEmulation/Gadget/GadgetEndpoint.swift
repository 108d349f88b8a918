// An open endpoint of a gadget: when the device is to be asked, and what becomes of its answers.

import USB

final class GadgetEndpoint {
    enum Wake {
        case now
        case at(UInt64)
        case whenReady
    }

    let interface: UInt8
    let writer: GadgetWriter
    private let packetSize: Int
    /// Nanoseconds between two transfers; 0 for bulk.
    private let period: UInt64
    private let address: EndpointAddress
    var wake = Wake.now
    private var notBefore: UInt64 = 0
    private var owesEmptyPacket = false
    private var isBroken = false

    init(_ descriptor: EndpointDescriptor, interface: UInt8, speed: USBSpeed, writer: GadgetWriter) {
        self.interface = interface
        self.writer = writer
        address = descriptor.address
        packetSize = max(1, descriptor.maxPacketSize)
        period = descriptor.intervalNanoseconds(speed: speed) ?? 0
    }

    /// When the device wants to be asked; `nil` when only host or device can change that.
    func due() -> UInt64? {
        if writer.isWriting || isBroken { return nil }
        switch wake {
        case .now: return notBefore
        case .at(let time): return max(time, notBefore)
        case .whenReady: return nil
        }
    }

    /// Throws away what the host has not fetched.
    func flush() {
        writer.cancel()
        owesEmptyPacket = false
        wake = .now
    }

    /// Asks the device, and hands on what it says.
    func serve(_ device: any EmulatedDevice, now: UInt64, log: (@Sendable (String) -> Void)?) {
        guard !writer.isWriting, !isBroken else { return }
        if let result = writer.takeResult() {
            wake = .now
            if result < 0 {
                // The host has gone, or resets: the controller's file tells.
                isBroken = true
                log?("Endpoint \(address) is over: errno \(-result).")
                return
            }
        }
        guard let due = due(), due <= now else { return }
        if owesEmptyPacket {
            owesEmptyPacket = false
            writer.start(0)
            return
        }
        var answer = device.dataIn(endpoint: address, now: now, into: writer.buffer)
        if case .lent(let bytes, let ends) = answer {
            let count = min(bytes.count, writer.buffer.count)
            writer.buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            answer = .data(count: count, ends: ends)
        }
        switch answer {
        case .lent: preconditionFailure("what is lent was copied above")
        case .data(let count, let ends):
            guard count > 0 || ends else {
                wake = .whenReady
                return
            }
            // A full packet ends nothing; where the buffer is full the device goes on by itself.
            owesEmptyPacket = ends && count > 0 && count % packetSize == 0 && count < writer.buffer.count
            notBefore = now + period
            writer.start(min(count, writer.buffer.count))
        case .later(let time): wake = time.map { .at(max($0, now + 125_000)) } ?? .whenReady
        case .stall:
            writer.halt()
            // The controller keeps it halted until the host clears it, and mostly does not tell: what comes next waits in its queue.
            device.haltCleared(endpoint: address, now: now)
            wake = .now
        }
    }
}
