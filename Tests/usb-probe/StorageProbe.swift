// A disk of the Bulk-Only Transport class: commands over bulk endpoints, stalls, a halt that is cleared.
import LibUSBHost
import USB

struct StorageProbe {
    let host: LibUSBHost
    let device: LibUSBDevice
    let report: Report
    private let interface: UInt8
    private let input: EndpointAddress
    private let output: EndpointAddress

    init?(host: LibUSBHost, device: LibUSBDevice, report: Report) {
        self.host = host
        self.device = device
        self.report = report
        guard let configuration = DescriptorSet(parsing: device.information.descriptors).configurations.first,
            let interface = configuration.interfaces.first(where: { $0.interfaceClass == 8 && $0.interfaceProtocol == 0x50 }),
            let input = interface.endpoints.first(where: { $0.address.direction == .in }),
            let output = interface.endpoints.first(where: { $0.address.direction == .out })
        else { return nil }
        self.interface = interface.number
        self.input = input.address
        self.output = output.address
    }

    func run() async {
        _ = await report.step("the disk is driven") {
            let driver = try await device.kernelDriver(interface: interface)
            report.note("interface \(interface) is bound to \(driver ?? "no driver")")
            if driver != nil {
                await report.refusal(.busy, "claiming what the kernel drives is refused") { try await device.claim(interface: interface) }
            }
            try await device.detachKernelDriver(interface: interface)
            try await device.claim(interface: interface)
            let other = try await host.openDevice(path: device.information.path)
            await report.refusal(.busy, "a second open device can't claim it") { try await other.claim(interface: interface) }
            try await commands()
            device.close()
            try await other.attachKernelDriver(interface: interface)
            report.check(try await other.kernelDriver(interface: interface) == driver, "the kernel's driver is back", driver ?? "none")
            other.close()
        }
    }

    /// A command block wrapper (BOT 1.0 §5.1): signature, tag, length, flags, LUN, length of the command, command.
    private func wrapper(_ command: [UInt8], reading length: UInt32) -> [UInt8] {
        let size = (0..<4).map { UInt8(length >> (8 * UInt32($0)) & 0xff) }
        return [0x55, 0x53, 0x42, 0x43, 1, 2, 3, 4] + size + [0x80, 0, UInt8(command.count)] + command
            + Array(repeating: 0, count: 16 - command.count)
    }

    private func send(_ bytes: [UInt8], on queue: any TransferQueue) throws {
        let buffer = queue.makeBuffer(count: bytes.count)
        buffer.bytes.copyBytes(from: bytes)
        try queue.submit(IdleTransfer(buffer: buffer))
        let done = try Streaming.next(queue, within: .seconds(10))
        report.check(done?.status == .completed && done?.actualLength == bytes.count, "a command goes out")
    }

    private func receive(_ count: Int, on queue: any TransferQueue) throws -> (status: TransferStatus, bytes: [UInt8]) {
        try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: count)))
        guard let done = try Streaming.next(queue, within: .seconds(10)) else { throw USBError(.timedOut, operation: "next") }
        return (done.status, Array(done.buffer.bytes.prefix(done.actualLength)))
    }

    private func commands() async throws {
        let out = try device.transferQueue(endpoint: output, type: .bulk)
        let input = try device.transferQueue(endpoint: input, type: .bulk)

        try send(wrapper([0x12, 0, 0, 0, 36, 0], reading: 36), on: out)  // INQUIRY
        let inquiry = try receive(512, on: input)
        report.check(
            inquiry.status == .completed && inquiry.bytes.count == 36, "a short answer is complete", "\(inquiry.bytes.count) bytes")
        let csw = try receive(13, on: input)
        report.check(csw.bytes.count == 13 && csw.bytes.last == 0, "INQUIRY succeeds")

        // READ(10) of 512 blocks in eight transfers, then in a single one.
        for pieces in [8, 1] {
            let size = 512 * 512
            try send(wrapper([0x28, 0, 0, 0, 0, 0, 0, 2, 0, 0], reading: UInt32(size)), on: out)
            for tag in 0..<pieces {
                try input.submit(IdleTransfer(buffer: input.makeBuffer(count: size / pieces), tag: UInt64(tag)))
            }
            report.note("\(Streaming.deviceMappings()) buffers of device memory")
            var total = 0
            var sum: UInt64 = 0
            for tag in 0..<pieces {
                guard let piece = try Streaming.next(input, within: .seconds(20)) else { break }
                report.check(
                    piece.tag == UInt64(tag) && piece.status == .completed, "piece \(tag) of \(pieces) comes in its turn", "\(piece.status)"
                )
                total += piece.actualLength
                for byte in piece.buffer.bytes.prefix(piece.actualLength) { sum = sum &* 31 &+ UInt64(byte) }
            }
            report.check(total == size, "256 KiB are read in \(pieces)", "\(total) bytes, sum \(sum)")
            let csw = try receive(13, on: input)
            report.check(csw.bytes.last == 0, "READ(10) succeeds")
        }

        let early = try receive(13, on: input)
        report.check(early.status == .stall, "an answer that nobody asked for is refused", "\(early.status)")
        try await device.clearHalt(endpoint: self.input)
        try send(wrapper([0x12, 0, 0, 0, 36, 0], reading: 36), on: out)
        let again = try receive(36, on: input)
        report.check(
            again.status == .completed && again.bytes == inquiry.bytes, "after the halt is cleared it answers again", "\(again.status)")
        _ = try receive(13, on: input)
        await report.refusal(.stall, "an unknown control request stalls") {
            _ = try await device.control(
                ControlSetup(requestType: 0xc0, request: 0x77, value: 0, index: 0, length: 4), sending: [], timeout: .seconds(2))
        }
    }
}
