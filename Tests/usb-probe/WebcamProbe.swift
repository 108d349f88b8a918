// A camera: taken from uvcvideo, negotiated with, streamed from, given back.
import LibUSBHost
import USB

struct WebcamProbe {
    let device: LibUSBDevice
    let report: Report
    /// Goes on after its checks until the device is unplugged.
    var untilUnplugged = false
    private let configuration: ConfigurationDescriptor
    private let control: UInt8
    private let streaming: UInt8

    init?(device: LibUSBDevice, report: Report, untilUnplugged: Bool) {
        self.device = device
        self.report = report
        self.untilUnplugged = untilUnplugged
        guard let configuration = DescriptorSet(parsing: device.information.descriptors).configurations.first,
            let control = configuration.interfaces.first(where: { $0.interfaceClass == 14 && $0.interfaceSubclass == 1 }),
            let streaming = configuration.interfaces.first(where: { $0.interfaceClass == 14 && $0.interfaceSubclass == 2 })
        else { return nil }
        self.configuration = configuration
        self.control = control.number
        self.streaming = streaming.number
    }

    func run() async {
        guard await takeOver() else { return }
        guard let payload = await negotiate() else { return }
        await interrupt()
        if let endpoint = configuration.alternateSettings(of: streaming).first(where: { $0.alternateSetting == 0 })?.endpoints.first {
            await bulk(endpoint.address, payload: payload)
        } else {
            await isochronous(payload: payload)
        }
        if untilUnplugged { await waitForUnplug() } else { await giveBack() }
    }

    private func takeOver() async -> Bool {
        let taken: Void? = await report.step("the interfaces are taken over") {
            for interface in [control, streaming] {
                let driver = try await device.kernelDriver(interface: interface)
                report.note("interface \(interface) is bound to \(driver ?? "no driver")")
                if driver != nil {
                    await report.refusal(.busy, "claiming what the kernel drives is refused") {
                        try await device.claim(interface: interface)
                    }
                }
                try await device.detachKernelDriver(interface: interface)
            }
            for interface in [control, streaming] { try await device.claim(interface: interface) }
        }
        report.check(taken != nil, "both interfaces are claimed")
        return taken != nil
    }

    private func request(_ request: UInt8, selector: UInt8, length: Int, data: [UInt8] = []) async throws -> [UInt8] {
        try await device.control(
            ControlSetup(
                requestType: request & 0x80 != 0 ? 0xa1 : 0x21, request: request, value: UInt16(selector) << 8, index: UInt16(streaming),
                length: UInt16(length)), sending: data, timeout: .seconds(5))
    }

    /// Probe and commit (UVC 1.5 §4.3.1.1) with what the camera has as its default, but the first frame size: a small one, as a rule, which an
    /// emulated processor can cope with. The payload size.
    private func negotiate() async -> Int? {
        await report.step("the stream is negotiated") {
            let header = configuration.interfaces.first { $0.number == control }?.extra.first { $0.bytes.count > 5 && $0.bytes[2] == 1 }
            let version = header.map { Int($0.bytes[3]) | Int($0.bytes[4]) << 8 } ?? 0x100
            let length = version >= 0x150 ? 48 : version >= 0x110 ? 34 : 26
            let initial = try await request(0x87, selector: 1, length: length)
            report.check(initial.count == length, "GET_DEF answers in full", "\(initial.count) of \(length) bytes")
            var wanted = initial
            if wanted.count > 3 { wanted[3] = 1 }
            _ = try await request(0x01, selector: 1, length: length, data: wanted)
            let probed = try await request(0x81, selector: 1, length: length)
            _ = try await request(0x01, selector: 2, length: length, data: probed)
            guard probed.count >= 26 else { throw USBError(.malformedAnswer, operation: "GET_CUR(probe)") }
            let payload = (0..<4).reduce(0) { $0 | Int(probed[22 + $1]) << (8 * $1) }
            report.note("format \(probed[2]), frame \(probed[3]), \(payload) bytes a payload")
            await report.refusal(.stall, "an unknown control is refused") { _ = try await request(0x81, selector: 0x3f, length: length) }
            return payload
        }
    }

    /// The status endpoint is silent as long as nobody touches the camera: a transfer that nothing ends but us.
    private func interrupt() async {
        guard let endpoint = configuration.alternateSettings(of: control).first?.endpoints.first?.address else { return }
        _ = await report.step("the status endpoint can be listened to") {
            let queue = try device.transferQueue(endpoint: endpoint, type: .interrupt)
            await report.refusal(.busy, "an endpoint has one queue at a time") {
                _ = try device.transferQueue(endpoint: endpoint, type: .interrupt)
            }
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 16)))
            if let early = try Streaming.next(queue, within: .milliseconds(200)) {
                report.note("status: \(early.actualLength) bytes, \(early.status)")
            } else {
                queue.cancelAll()
                let cancelled = try Streaming.next(queue, within: .seconds(5))
                report.check(cancelled?.status == .cancelled, "an interrupt transfer is cancelled")
            }
        }
    }

    private func isochronous(payload: Int) async {
        let settings = configuration.alternateSettings(of: streaming).compactMap { setting in
            setting.endpoints.first.map { (setting.alternateSetting, $0) }
        }.sorted { bytes($0.1) < bytes($1.1) }
        guard let (setting, endpoint) = settings.first(where: { bytes($0.1) >= payload }) ?? settings.last else {
            return report.check(false, "there is a setting with an isochronous endpoint")
        }
        report.note("alternate setting \(setting), \(bytes(endpoint)) bytes an interval")
        await stream(endpoint.address, type: .isochronous, setting: setting) { queue in
            var packets = 0
            var statistics = Payloads()
            let outcomes = try Streaming.run(
                queue, count: 8, packetLengths: Array(repeating: bytes(endpoint), count: 32), length: 32 * bytes(endpoint), report: report
            ) { transfer in
                for packet in transfer.packets {
                    packets += packet.status == .completed ? 1 : 0
                    statistics.add(
                        UnsafeRawBufferPointer(rebasing: transfer.buffer.bytes[packet.offset..<packet.offset + packet.actualLength]))
                }
                return statistics.payloads >= 300 && statistics.frames >= 3 || packets > 200_000
            }
            report.check(
                statistics.payloads >= 300 && statistics.frames >= 3, "300 isochronous packets bring payload",
                "\(statistics), \(packets) packets, \(outcomes)")
        }
    }

    private func bytes(_ endpoint: EndpointDescriptor) -> Int { endpoint.bytesPerInterval(speed: device.information.speed) }

    private func bulk(_ endpoint: EndpointAddress, payload: Int) async {
        await stream(endpoint, type: .bulk, setting: nil) { queue in
            var statistics = Payloads()
            let length = max(512, (payload + 511) / 512 * 512)
            let outcomes = try Streaming.run(queue, count: 4, length: length, report: report) { transfer in
                statistics.add(UnsafeRawBufferPointer(rebasing: transfer.buffer.bytes.prefix(transfer.actualLength)))
                return statistics.frames >= 10
            }
            report.check(statistics.frames >= 10, "ten frames come over bulk", "\(statistics), \(outcomes)")
        }
    }

    private func stream(
        _ endpoint: EndpointAddress, type: TransferType, setting: UInt8?, _ body: (any TransferQueue) throws -> Void
    ) async {
        _ = await report.step("\(endpoint) streams") {
            if let setting { try await device.setAlternateSetting(interface: streaming, to: setting) }
            let queue = try device.transferQueue(endpoint: endpoint, type: type)
            try body(queue)
            if setting != nil {
                try await device.setAlternateSetting(interface: streaming, to: 0)
            } else {
                try await device.clearHalt(endpoint: endpoint)
            }
        }
    }

    private func giveBack() async {
        _ = await report.step("the camera is given back") {
            for interface in [streaming, control] { try await device.release(interface: interface) }
            try await device.attachKernelDriver(interface: control)
            let driver = try await device.kernelDriver(interface: control)
            report.check(driver == "uvcvideo", "uvcvideo takes the camera back", driver ?? "no driver")
            device.close()
            device.close()
            await report.refusal(.noDevice, "nothing works after close") { try await device.claim(interface: control) }
        }
    }

    private func waitForUnplug() async {
        guard let endpoint = configuration.alternateSettings(of: control).first?.endpoints.first?.address else { return }
        _ = await report.step("the unplugging is told") {
            let queue = try device.transferQueue(endpoint: endpoint, type: .interrupt)
            for _ in 0..<3 { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 16))) }
            say("ready to be unplugged")
            var disconnected = 0
            while queue.inFlight > 0 {
                guard let transfer = try queue.next(timeout: .seconds(60)) else { break }
                switch transfer.status {
                case .completed: try queue.submit(transfer.recycled())  // the camera has something to say
                case .disconnected: disconnected += 1
                case let other: report.note("\(other)")
                }
            }
            report.check(disconnected == 3, "all in flight come back as disconnected", "\(disconnected) of 3")
            await report.refusal(.noDevice, "after them the queue says that the device is gone") {
                _ = try Streaming.next(queue, within: .seconds(1))
            }
            await report.refusal(.noDevice, "a control transfer too") { _ = try await device.descriptor(type: 1, length: 18) }
            device.close()
        }
    }
}

/// Payload headers (UVC 1.5 §2.4.3.3): length, then BFH with bit 0 FID, bit 1 EOF, bit 6 ERR.
private struct Payloads: CustomStringConvertible {
    private(set) var payloads = 0
    private(set) var frames = 0
    private var malformed = 0
    private var errors = 0
    private var bytes = 0
    private var frameID: UInt8?

    mutating func add(_ payload: UnsafeRawBufferPointer) {
        guard payload.count >= 2 else { return }
        let length = Int(payload[0])
        guard length >= 2, length <= payload.count else {
            malformed += 1
            return
        }
        payloads += 1
        bytes += payload.count - length
        if payload[1] & 0x40 != 0 { errors += 1 }
        if let frameID, frameID != payload[1] & 1 { frames += 1 }
        frameID = payload[1] & 1
    }

    var description: String {
        "\(payloads) payloads, \(frames) frames, \(bytes) bytes, \(malformed) malformed, \(errors) with the error bit"
    }
}
