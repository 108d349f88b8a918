// One imported device: its connection, its endpoints' queues, and the clock of its bus.

import CLinux
import Glibc
import USB
import USBIP

/// Plays host controller, bus and the standard part of a device for one connection. Lives on one thread, waits in `ppoll` only.
///
/// Isochronous transfers get absolute slots when they are queued and end when their last slot is over; interrupt endpoints are asked
/// once an interval; bulk endpoints as fast as device and host go on. When the client does not read, nothing more is completed or read.
final class BusEngine: StandardRequests {
    /// What one client can have queued.
    private static let mostTransfers = 4096
    private static let mostBytes = 64 << 20

    let port: EmulatedPort
    let device: any EmulatedDevice
    private let socket: Int32
    let lateness: EmulationServer.Lateness
    private let log: (@Sendable (String) -> Void)?

    let control: EndpointQueue
    /// By `PortSignal`'s bit numbers: the endpoints of the active alternate settings.
    var endpoints = [EndpointQueue?](repeating: nil, count: 32)
    var descriptors: EmulatedDescriptors { port.descriptors }
    var parsed: DescriptorSet { port.parsed }
    var signal: PortSignal { port.signal }
    var configuration: ConfigurationDescriptor?
    var alternates: [UInt8: UInt8] = [:]
    var isRemoteWakeupEnabled = false

    private var input = MessageInput()
    var output: ReplyOutput
    private var polled: [pollfd]
    let scratch = ByteStore()
    private var spare: [QueuedTransfer] = []
    private var queuedCount = 0
    private var queuedBytes = 0

    /// Owns the socket.
    init(port: EmulatedPort, socket: Int32, lateness: EmulationServer.Lateness, log: (@Sendable (String) -> Void)?) {
        self.port = port
        device = port.device
        self.socket = socket
        self.lateness = lateness
        self.log = log
        output = ReplyOutput(socket: socket)
        polled = [
            pollfd(fd: socket, events: Int16(POLLIN), revents: 0), pollfd(fd: port.signal.wake, events: Int16(POLLIN), revents: 0),
        ]
        control = EndpointQueue(control: 64)
    }

    /// The thread's work: until the client goes, breaks the protocol, or the port ends the connection.
    func run() {
        log?("\(port.busID) is imported.")
        device.attached(now: clinux_monotonic_ns(), signal: port.signal)
        let reason: String
        do throws(USBIPError) { reason = try loop() } catch { reason = error.description }
        close(socket)
        device.detached()
        log?("\(port.busID) is free again: \(reason)")
    }

    private func loop() throws(USBIPError) -> String {
        while true {
            if !output.isBlocked { try parse() }
            if !output.isBlocked { try serve() }
            if port.signal.isEnding { return port.signal.isOffered ? "the server ends the connection." : "the device was unplugged." }
            if let failure = output.failure { return "the client does not accept the reply, \(String(cString: strerror(failure)))." }

            let blocked = output.isBlocked
            var wait: Int64 = -1
            if !blocked, let due = nextDue() {
                let now = clinux_monotonic_ns()
                wait = due > now ? Int64(clamping: due - now) : 0
            }
            polled[0].events = Int16(blocked ? POLLOUT : POLLIN)
            _ = clinux_poll(&polled, 2, wait)
            if polled[1].revents != 0 { wakeEndpoints() }
            guard polled[0].revents != 0 else { continue }
            if blocked {
                output.flush()
                continue
            }
            switch input.receive(from: socket) {
            case .some, .nothing: break
            case .end(0): return "the client is gone."
            case .end(let number): return "the connection broke, \(String(cString: strerror(number)))."
            }
        }
    }

    private func wakeEndpoints() {
        let ready = port.signal.takeReady()
        if ready & 1 != 0 { control.wake = .now }
        for (bit, queue) in endpoints.enumerated() where ready & 1 << UInt32(bit) != 0 { queue?.wake = .now }
    }

    private func nextDue() -> UInt64? {
        var due = control.due()
        for case let queue? in endpoints {
            if let time = queue.due() { due = min(due ?? time, time) }
        }
        return due
    }

    // MARK: What the client asks for

    private func parse() throws(USBIPError) {
        while !output.isBlocked, !port.signal.isEnding {
            if let transfer = input.collected() {
                try submit(transfer)
                continue
            }
            guard let header = try input.header() else { return }
            switch header {
            case .submit(let command):
                let transfer = spare.popLast() ?? QueuedTransfer()
                transfer.command = command
                queuedCount += 1
                queuedBytes += transfer.cost
                guard queuedCount <= Self.mostTransfers, queuedBytes <= Self.mostBytes else {
                    throw USBIPError(.tooLarge, "\(queuedCount) transfers with \(queuedBytes) bytes are queued")
                }
                input.collect(transfer)
            case .unlink(let command): unlink(command)
            case .submitReply, .unlinkReply: throw USBIPError(.command, "a reply instead of a command")
            }
        }
    }

    private func submit(_ transfer: QueuedTransfer) throws(USBIPError) {
        let command = transfer.command
        let count = command.packetCount
        if count > 0 {
            let descriptors = UnsafeRawBufferPointer(transfer.descriptors)
            guard try IsochronousDescriptor.areWithin(length: command.length, descriptors: descriptors, count: count) else {
                throw USBIPError(.range, "packets of transfer \(command.sequence) are outside its \(command.length) bytes")
            }
        }
        if command.endpoint.number == 0 {
            guard count == 0 else { return fail(transfer, -EINVAL) }
            control.transfers.append(transfer)
            return serveControl()
        }
        guard let queue = endpoints[bit(command.endpoint)] else {
            let isKnown = configuration?.interfaces.contains { $0.endpoints.contains { $0.address == command.endpoint } } ?? false
            return fail(transfer, isKnown ? -ESHUTDOWN : -EPROTO)
        }
        guard (queue.type == .isochronous) == (count > 0) else { return fail(transfer, -EINVAL) }
        if queue.type == .isochronous { queue.schedule(transfer, now: clinux_monotonic_ns()) }
        queue.transfers.append(transfer)
    }

    private func unlink(_ command: UnlinkCommand) {
        var status: Int32 = 0
        for queue in [control] + endpoints.compactMap({ $0 }) {
            guard let index = queue.transfers.firstIndex(where: { $0.command.sequence == command.victim }) else { continue }
            if index == 0 { recycle(queue.removeFirst()) } else { recycle(queue.transfers.remove(at: index)) }
            status = -ECONNRESET
            if queue !== control, queue.transfers.isEmpty { device.idled(endpoint: queue.address, now: clinux_monotonic_ns()) }
            break
        }
        scratch.reserve(URBHeader.byteCount)
        URBHeader.unlinkReply(UnlinkReply(sequence: command.sequence, status: status)).encode(into: scratch.bytes)
        output.send(scratch.slice(0..<URBHeader.byteCount))
    }

    // MARK: Endpoints

    func open(_ endpoint: EndpointDescriptor, interface: UInt8) {
        let index = bit(endpoint.address)
        if let other = endpoints[index] { shutDown(other) }
        endpoints[index] = EndpointQueue(endpoint, interface: interface, speed: descriptors.speed)
    }

    func closeEndpoints(of interface: UInt8?) {
        for (index, queue) in endpoints.enumerated() {
            guard let queue, interface == nil || queue.interface == interface else { continue }
            shutDown(queue)
            endpoints[index] = nil
        }
    }

    func isHalted(_ endpoint: EndpointAddress) -> Bool? { endpoints[bit(endpoint)]?.isHalted }

    func setHalted(_ endpoint: EndpointAddress, _ isHalted: Bool) {
        guard let queue = endpoints[bit(endpoint)] else { return }
        queue.isHalted = isHalted
        if !isHalted { queue.wake = .now }
    }

    // MARK: Ends of transfers

    /// Ends whatever is queued on an endpoint that goes away.
    private func shutDown(_ queue: EndpointQueue) {
        while !queue.transfers.isEmpty { fail(queue.removeFirst(), -ESHUTDOWN) }
    }

    func fail(_ transfer: QueuedTransfer, _ status: Int32) {
        finish(transfer, status: status, reply: scratch)
    }

    /// Sends RET_SUBMIT: header, `data` bytes that stand in `reply` behind the header's place, packet descriptors.
    func finish(
        _ transfer: QueuedTransfer, status: Int32 = 0, actual: Int = 0, data: Int = 0, errors: Int32 = 0, reply: ByteStore
    ) {
        let descriptors = transfer.descriptors
        let dataEnd = URBHeader.byteCount + data
        let total = dataEnd + descriptors.count
        reply.reserve(total, keeping: dataEnd)
        if status != 0 {
            for position in stride(from: 12, to: descriptors.count, by: IsochronousDescriptor.byteCount) {
                descriptors.storeBytes(of: 0, toByteOffset: position - 4, as: UInt32.self)
                descriptors.storeBytes(of: status.bigEndian, toByteOffset: position, as: Int32.self)
            }
        }
        let slot = port.descriptors.speed.slotNanoseconds
        let header = SubmitReply(
            sequence: transfer.command.sequence, status: status, actualLength: actual,
            startFrame: Int32(truncatingIfNeeded: transfer.start / slot & 0x7fff_ffff), packetCount: transfer.command.packetCount,
            errorCount: status == 0 ? errors : Int32(transfer.command.packetCount))
        URBHeader.submitReply(header).encode(into: reply.slice(0..<URBHeader.byteCount))
        if !descriptors.isEmpty { reply.slice(dataEnd..<total).copyMemory(from: UnsafeRawBufferPointer(descriptors)) }
        output.send(reply.slice(0..<total))
        recycle(transfer)
    }

    /// The same for data that lies in the device's own memory, which is not copied.
    func finish(_ transfer: QueuedTransfer, lent data: UnsafeRawBufferPointer) {
        scratch.reserve(URBHeader.byteCount)
        let header = scratch.slice(0..<URBHeader.byteCount)
        URBHeader.submitReply(SubmitReply(sequence: transfer.command.sequence, status: 0, actualLength: data.count)).encode(into: header)
        output.send(header, data)
        recycle(transfer)
    }

    private func recycle(_ transfer: QueuedTransfer) {
        queuedCount -= 1
        queuedBytes -= transfer.cost
        transfer.start = 0
        transfer.payload.shrink(above: 1 << 20)
        if spare.count < 64 { spare.append(transfer) }
    }

    func bit(_ endpoint: EndpointAddress) -> Int { Int(endpoint.number) + (endpoint.direction == .in ? 16 : 0) }
}
