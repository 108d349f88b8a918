// An endpoint on which the device has nothing to say: time-outs, cancelling, closing with transfers in flight.
import USB

struct SilentProbe {
    let device: any USBDeviceHandle
    let report: Report
    private let interface: UInt8
    private let endpoint: EndpointDescriptor

    init?(device: any USBDeviceHandle, report: Report) {
        self.device = device
        self.report = report
        guard let configuration = DescriptorSet(parsing: device.information.descriptors).configurations.first else { return nil }
        for interface in configuration.interfaces where interface.alternateSetting == 0 {
            guard let endpoint = interface.endpoints.first(where: { $0.address.direction == .in && $0.transferType != .isochronous })
            else { continue }
            self.interface = interface.number
            self.endpoint = endpoint
            return
        }
        return nil
    }

    func run() async {
        _ = await report.step("the silent endpoint") {
            try await device.claim(interface: interface)
            report.note("interface \(interface), \(endpoint.address), \(endpoint.transferType)")
            try await cancelling()
            try await closing()
        }
    }

    private func cancelling() async throws {
        let queue = try device.transferQueue(endpoint: endpoint.address, type: endpoint.transferType)
        for tag in 0..<4 { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 16_384), tag: UInt64(tag))) }
        report.check(try Streaming.next(queue, within: .milliseconds(50)) == nil, "waiting for a silent endpoint ends in time")
        report.check(queue.inFlight == 4, "four transfers are in flight")
        queue.cancelAll()
        for tag in 0..<4 {
            let done = try Streaming.next(queue, within: .seconds(5))
            report.check(
                done?.status == .cancelled && done?.tag == UInt64(tag), "transfer \(tag) is cancelled", "\(String(describing: done))")
        }
        let transfer = Task {
            // An answer that never comes: the task's end cancels it.
            try await device.control(
                ControlSetup(requestType: 0x80, request: 6, value: 0x0100, index: 0, length: 18), sending: [], timeout: .seconds(5))
        }
        transfer.cancel()
        await report.refusal(.cancelled, "a control transfer of a cancelled task is cancelled, or done") {
            guard try await transfer.value.count == 18 else { return }
            throw USBError(.cancelled, operation: "it was faster")
        }
    }

    private func closing() async throws {
        let queue = try device.transferQueue(endpoint: endpoint.address, type: endpoint.transferType)
        for tag in 0..<4 { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 16_384), tag: UInt64(tag))) }
        device.close()
        device.close()
        for tag in 0..<4 {
            let done = try Streaming.next(queue, within: .seconds(1))
            report.check(
                done?.status == .cancelled && done?.tag == UInt64(tag), "close cancels transfer \(tag)", "\(String(describing: done))")
        }
        await report.refusal(.noDevice, "a queue of a closed device is over") { _ = try Streaming.next(queue, within: .seconds(1)) }
        await report.refusal(.noDevice, "nothing can be submitted after close") {
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 512)))
        }
    }
}
