// What the device is asked, endpoint by endpoint, and how its answers become replies.

import CLinux
import Glibc
import USB
import USBIP

extension BusEngine {
    private var goesOn: Bool { !output.isBlocked && !port.signal.isEnding }

    func serve() throws(USBIPError) {
        serveControl()
        for address in signal.takeFlushed(among: endpoints.compactMap { $0?.address }) { endpoints[bit(address)]?.filled = 0 }
        for index in endpoints.indices {
            guard let queue = endpoints[index], !queue.transfers.isEmpty else { continue }
            switch (queue.type, queue.address.direction) {
            case (.isochronous, _): try serveIsochronous(queue)
            case (_, .in): serveIn(queue)
            case (_, .out): serveOut(queue)
            }
        }
    }

    func serveControl() {
        while goesOn, let transfer = control.transfers.first, let due = control.due(), due <= clinux_monotonic_ns() {
            let command = transfer.command
            let setup = command.setup
            let isIn = setup.direction == .in && setup.length > 0
            let answer: ControlAnswer =
                isIn == (command.endpoint.direction == .in) || command.length == 0
                ? answer(setup, data: isIn ? [] : Array(transfer.outData)) : .stall
            switch answer {
            case .silence:
                control.wake = .whenReady  // Until it is unlinked.
            case .later(let time):
                control.wake = .at(max(time, clinux_monotonic_ns() + 125_000))
            case .stall:
                finish(control.removeFirst(), status: -EPIPE, reply: scratch)
            case .data(let bytes):
                let count = isIn ? min(bytes.count, Int(setup.length), command.length) : 0
                scratch.reserve(URBHeader.byteCount + count)
                bytes.withUnsafeBytes {
                    scratch.slice(URBHeader.byteCount..<URBHeader.byteCount + count)
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count]))
                }
                finish(control.removeFirst(), actual: isIn ? count : transfer.outData.count, data: count, reply: scratch)
            }
        }
    }

    private func serveIn(_ queue: EndpointQueue) {
        while goesOn, let transfer = queue.transfers.first {
            if queue.isHalted {
                finish(queue.removeFirst(), status: -EPIPE, reply: queue.reply)
                continue
            }
            let now = clinux_monotonic_ns()
            guard let due = queue.due(), due <= now else { return }
            let length = transfer.command.length
            let start = URBHeader.byteCount
            queue.reply.reserve(start + length, keeping: start + queue.filled)
            var answer = InAnswer.data(count: 0, ends: true)
            if length > 0 {
                answer = device.dataIn(
                    endpoint: queue.address, now: now, into: queue.reply.slice(start + queue.filled..<start + length))
            }
            if case .lent(let bytes, let ends) = answer {
                let count = min(bytes.count, length - queue.filled)
                let data = UnsafeRawBufferPointer(rebasing: bytes[..<count])
                if queue.filled == 0, ends || count == length {
                    finish(queue.removeFirst(), lent: data)
                    continue
                }
                queue.reply.slice(start + queue.filled..<start + queue.filled + count).copyMemory(from: data)
                answer = .data(count: count, ends: ends)
            }
            switch answer {
            case .lent: preconditionFailure("what is lent was dealt with above")
            case .data(let written, let ends):
                let count = min(max(0, written), length - queue.filled)
                guard count > 0 || ends else {
                    queue.wake = .whenReady
                    return
                }
                queue.filled += count
                // A packet that is not full ends a transfer, whatever the device says (USB 2.0 §5.8.3).
                guard ends || queue.filled == length || count % queue.packetSize != 0 else { continue }
                let actual = queue.filled
                if queue.type == .interrupt { queue.notBefore = now + queue.period }
                finish(queue.removeFirst(), actual: actual, data: actual, reply: queue.reply)
            case .later(let time):
                queue.wake = time.map { .at(max($0, now + 125_000)) } ?? .whenReady
                return
            case .stall:
                queue.isHalted = true
                let actual = queue.filled
                finish(queue.removeFirst(), status: -EPIPE, actual: actual, data: actual, reply: queue.reply)
            }
        }
    }

    private func serveOut(_ queue: EndpointQueue) {
        while goesOn, let transfer = queue.transfers.first {
            var status = -EPIPE
            if !queue.isHalted {
                let now = clinux_monotonic_ns()
                guard queue.notBefore <= now else { return }
                if let time = device.takesOut(endpoint: queue.address, now: now) {
                    queue.notBefore = max(time, now + 125_000)
                    return
                }
                let outcome = device.dataOut(endpoint: queue.address, now: now, data: transfer.outData)
                status = outcome.linuxStatus
                if outcome == .stall { queue.isHalted = true }
                if queue.type == .interrupt { queue.notBefore = now + queue.period }
            }
            finish(queue.removeFirst(), status: status, actual: status == 0 ? transfer.outData.count : 0, reply: queue.reply)
        }
    }

    /// A device in software is late where the machine is, and is waited for; but not for as long as makes a host think that its bus is dead.
    private static let patience: UInt64 = 400_000_000

    private func isReady(_ queue: EndpointQueue, until time: UInt64) -> Bool {
        if device.isReady(endpoint: queue.address, until: time) {
            queue.waitingSince = nil
            return true
        }
        let now = clinux_monotonic_ns()
        let end = (queue.waitingSince ?? now) + Self.patience
        queue.waitingSince = end - Self.patience
        guard now < end else { return true }
        queue.wake = .at(end)
        return false
    }

    private func serveIsochronous(_ queue: EndpointQueue) throws(USBIPError) {
        while goesOn, let transfer = queue.transfers.first {
            if queue.isHalted {
                finish(queue.removeFirst(), status: -EPIPE, reply: queue.reply)
                continue
            }
            if !device.hasRoom(endpoint: queue.address) {
                finish(queue.removeFirst(), status: -ENOSPC, reply: queue.reply)
                continue
            }
            guard transfer.end <= clinux_monotonic_ns() else { return }
            let command = transfer.command
            let descriptors = transfer.descriptors
            let isIn = queue.address.direction == .in
            var time = transfer.start
            if lateness == .hold {
                time = queue.heldTime ?? time
                let end = time + UInt64(command.packetCount) * queue.period
                guard !isIn || isReady(queue, until: end) else { return }
                queue.heldTime = end
            }
            queue.reply.reserve(URBHeader.byteCount + command.length + descriptors.count)
            var dataEnd = URBHeader.byteCount
            var total = 0
            var errors: Int32 = 0
            for index in 0..<command.packetCount {
                let position = index * IsochronousDescriptor.byteCount
                // That it lies within the buffer was checked when the transfer came in.
                var packet = try IsochronousDescriptor(decoding: UnsafeRawBufferPointer(descriptors), at: position)
                packet.status = 0
                if isIn {
                    let room = min(Int(packet.length), queue.bytesPerInterval)
                    let count = device.isochronousIn(
                        endpoint: queue.address, time: time, into: queue.reply.slice(dataEnd..<dataEnd + room))
                    packet.actualLength = UInt32(min(max(0, count), room))
                    dataEnd += Int(packet.actualLength)
                } else {
                    let start = Int(packet.offset)
                    let data = UnsafeRawBufferPointer(rebasing: transfer.outData[start..<start + Int(packet.length)])
                    packet.status = device.dataOut(endpoint: queue.address, now: time, data: data).linuxStatus
                    packet.actualLength = packet.status == 0 ? packet.length : 0
                    if packet.status != 0 { errors += 1 }
                }
                total += Int(packet.actualLength)
                packet.encode(into: descriptors, at: position)
                time += queue.period
            }
            finish(queue.removeFirst(), actual: total, data: dataEnd - URBHeader.byteCount, errors: errors, reply: queue.reply)
        }
    }
}
