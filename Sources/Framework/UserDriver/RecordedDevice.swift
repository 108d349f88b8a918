// A device whose transfers are noted by its flight recorder as they go and come.

package import FlightRecorder
import Synchronization
package import TransferRing
package import USB

/// Passes everything on to the device beneath, and notes the transfers.
final class RecordedDevice: USBDeviceHandle, RingCarrierSource {
    private let device: any USBDeviceHandle & RingCarrierSource
    private let recorder: FlightRecorder

    init(_ device: any USBDeviceHandle & RingCarrierSource, recorder: FlightRecorder) {
        self.device = device
        self.recorder = recorder
    }

    var information: USBDeviceInformation { device.information }

    func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8] {
        let endpoint = EndpointAddress(rawValue: setup.direction == .in ? 0x80 : 0)
        let token = data.withUnsafeBytes {
            recorder.submitted(
                .control, endpoint, requested: Int(setup.length), setup: setup.bytes, data: setup.direction == .in ? nil : $0)
        }
        do throws(USBError) {
            let answer = try await device.control(setup, sending: data, timeout: timeout)
            let actual = setup.direction == .in ? answer.count : data.count
            answer.withUnsafeBytes {
                recorder.completed(token, .init(status: .completed, actual: actual), data: setup.direction == .in ? $0 : nil)
            }
            return answer
        } catch {
            recorder.completed(token, .init(status: TransferStatus(error), actual: 0))
            throw error
        }
    }

    func claim(interface: UInt8) async throws(USBError) { try await device.claim(interface: interface) }
    func release(interface: UInt8) async throws(USBError) { try await device.release(interface: interface) }

    /// The host controller's driver makes the request; noted as what goes over the wire.
    func setAlternateSetting(interface: UInt8, to alternateSetting: UInt8) async throws(USBError) {
        try await standard(requestType: 0x01, StandardRequest.setInterface, value: UInt16(alternateSetting), index: UInt16(interface)) {
            () async throws(USBError) in try await self.device.setAlternateSetting(interface: interface, to: alternateSetting)
        }
    }

    func clearHalt(endpoint: EndpointAddress) async throws(USBError) {
        try await standard(requestType: 0x02, StandardRequest.clearFeature, value: 0, index: UInt16(endpoint.rawValue)) {
            () async throws(USBError) in try await self.device.clearHalt(endpoint: endpoint)
        }
    }

    private func standard(
        requestType: UInt8, _ request: UInt8, value: UInt16, index: UInt16, _ work: () async throws(USBError) -> Void
    ) async throws(USBError) {
        let setup = ControlSetup(requestType: requestType, request: request, value: value, index: index, length: 0)
        let token = recorder.submitted(.control, EndpointAddress(rawValue: 0), requested: 0, setup: setup.bytes)
        do throws(USBError) {
            try await work()
            recorder.completed(token, .init(status: .completed, actual: 0))
        } catch {
            recorder.completed(token, .init(status: TransferStatus(error), actual: 0))
            throw error
        }
    }

    func reset() async throws(USBError) { try await device.reset() }

    func transferQueue(endpoint: EndpointAddress, type: TransferType) throws(USBError) -> any TransferQueue {
        RecordedQueue(try device.transferQueue(endpoint: endpoint, type: type), type: type, recorder: recorder)
    }

    /// A ring's transfers are noted by its `RingRecorder`.
    func carrier(endpoint: EndpointAddress, type: TransferType, wake: Int32?) throws(USBError) -> any RingCarrier {
        try device.carrier(endpoint: endpoint, type: type, wake: wake)
    }

    func expect(_ mapping: TransferRingMapping) { device.expect(mapping) }
    func forget(_ mapping: TransferRingMapping) { device.forget(mapping) }

    func close() { device.close() }
}

/// A queue whose transfers are noted.
private final class RecordedQueue: TransferQueue {
    private let queue: any TransferQueue
    private let type: TransferType
    private let recorder: FlightRecorder
    /// Of what is in flight, the oldest first.
    private let tokens = Mutex<[FlightRecorder.Token]>([])

    init(_ queue: any TransferQueue, type: TransferType, recorder: FlightRecorder) {
        self.queue = queue
        self.type = type
        self.recorder = recorder
    }

    var endpoint: EndpointAddress { queue.endpoint }
    var inFlight: Int { queue.inFlight }
    func makeBuffer(count: Int) -> TransferBuffer { queue.makeBuffer(count: count) }
    func cancelAll() { queue.cancelAll() }

    func submit(_ transfer: consuming IdleTransfer) throws(USBError) {
        let length = transfer.length
        try queue.submit(transfer)
        let token = recorder.submitted(type, endpoint, requested: length)
        tokens.withLock { $0.append(token) }
    }

    func next(timeout: Duration) throws(USBError) -> CompletedTransfer? {
        guard let transfer = try queue.next(timeout: timeout) else { return nil }
        if let token = tokens.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
            let outcome = FlightRecorder.Outcome(status: transfer.status, actual: transfer.actualLength)
            let came = UnsafeRawBufferPointer(rebasing: transfer.buffer.bytes.prefix(max(0, min(transfer.actualLength, transfer.length))))
            recorder.completed(token, outcome, data: endpoint.direction == .in ? came : nil, at: transfer.completedAt)
        }
        return transfer
    }
}

/// Notes a ring's transfers: of what came no more than the first bytes, a header by which it can be
/// told what was wrong, and no picture.
package final class RingRecorder: TransferWitness, @unchecked Sendable {
    // Sendable: `tokens` is used on the ring's thread only, as a witness is.
    private let headerLength: Int
    private let recorder: FlightRecorder
    private let type: TransferType
    private let endpoint: EndpointAddress
    /// Of what is in flight, each at its number's place: a ring has no more of them than that.
    private let tokens: UnsafeMutablePointer<(number: UInt64, token: FlightRecorder.Token)?>

    /// - Parameter headerLength: bytes that are noted of the first packet that brought any.
    package init(_ recorder: FlightRecorder, type: TransferType, endpoint: EndpointAddress, headerLength: Int) {
        self.recorder = recorder
        self.headerLength = max(0, headerLength)
        self.type = type
        self.endpoint = endpoint
        tokens = .allocate(capacity: TransferRingGeometry.maximumTransferCount)
        tokens.initialize(repeating: nil, count: TransferRingGeometry.maximumTransferCount)
    }

    deinit { tokens.deallocate() }

    private func place(_ number: UInt64) -> UnsafeMutablePointer<(number: UInt64, token: FlightRecorder.Token)?> {
        tokens + Int(number % UInt64(TransferRingGeometry.maximumTransferCount))
    }

    package func submitted(_ number: UInt64, length: Int, at time: UInt64?) {
        place(number).pointee = (number, recorder.submitted(type, endpoint, requested: length, at: time))
    }

    package func completed(_ transfer: TransferRing.Transfer) {
        let outcome = FlightRecorder.Outcome(
            status: transfer.status, actual: transfer.actualLength, startFrame: transfer.startFrame ?? 0)
        let header = header(transfer)
        if let noted = place(transfer.number).pointee, noted.number == transfer.number {
            recorder.completed(noted.token, outcome, data: header, packets: transfer.packets, at: transfer.completedAt)
        } else {
            recorder.completed(
                type, endpoint, requested: transfer.requested, outcome, data: header, packets: transfer.packets,
                at: transfer.completedAt)
        }
    }

    private func header(_ transfer: TransferRing.Transfer) -> UnsafeRawBufferPointer {
        let packets = transfer.packets
        guard !packets.isEmpty else { return UnsafeRawBufferPointer(rebasing: transfer.bytes.prefix(headerLength)) }
        for index in packets.indices {
            let length = packets[index].actualLength
            guard length > 0 else { continue }
            let start = index * packets.packetLength
            guard length <= transfer.bytes.count - start else { break }
            return UnsafeRawBufferPointer(rebasing: transfer.bytes[start..<(start + min(length, headerLength))])
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }
}

extension TransferStatus {
    /// How a transfer ended that was told as an error.
    init(_ error: USBError) {
        switch error.code {
        case .stall: self = .stall
        case .timedOut: self = .timedOut
        case .overflow: self = .overflow
        case .cancelled: self = .cancelled
        case .noDevice, .connection: self = .disconnected
        default: self = .fault(71)
        }
    }
}
