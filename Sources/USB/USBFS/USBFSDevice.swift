// A device behind two open files of its node: one for control and status, and one for the streaming
// interfaces that survives this process.

public import FileDescriptors
public import TransferRing
public import USB

/// What a driver has of a device of this machine. It opens no file and needs no library: what can be done was decided when the node was
/// opened. Routes each request to the file that its interface belongs to.
public final class USBFSDevice: USBDeviceHandle, RingCarrierSource {
    public let information: USBDeviceInformation
    private let control: ControlFile
    private let stream: NodeFile
    private let reaper: NodeReaper
    private let streamInterfaces: UInt32
    private let streamEndpoints: Set<EndpointAddress>
    private let keeper: TransferKeeper?

    /// - Parameters:
    ///   - file: for control and status.
    ///   - streaming: a second open file of the same device.
    ///   - interfaces: bit n: interface n belongs to `streaming`.
    ///   - keeper: with one, streams' transfers lie in the kernel's memory.
    public init(
        wrapping file: consuming OwnedDescriptor, streaming: consuming OwnedDescriptor, interfaces: UInt32,
        information: USBDeviceInformation,
        keeper: TransferKeeper? = nil
    ) throws(USBError) {
        self.keeper = keeper
        self.information = information
        stream = NodeFile(streaming)
        reaper = NodeReaper(file: stream)
        control = try ControlFile(file)
        streamInterfaces = interfaces
        let all = DescriptorSet(parsing: information.descriptors).configurations.flatMap(\.interfaces)
        streamEndpoints = Set(
            all.filter { Self.contains(interfaces, $0.number) }.flatMap(\.endpoints).map(\.address))
    }

    deinit { control.close() }

    private static func contains(_ mask: UInt32, _ interface: UInt8) -> Bool { interface < 32 && mask & 1 << UInt32(interface) != 0 }
    private func isStreaming(_ interface: UInt8) -> Bool { Self.contains(streamInterfaces, interface) }

    public func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8] {
        let recipient = setup.requestType & 0x1f
        let index = UInt8(truncatingIfNeeded: setup.index)
        let belongsToStream =
            recipient == 1 && isStreaming(index) || recipient == 2 && streamEndpoints.contains(EndpointAddress(rawValue: index))
        if belongsToStream { return try await stream.control(setup, sending: data, timeout: timeout) }
        return try await control.control(setup, sending: data, timeout: timeout)
    }

    public func claim(interface: UInt8) async throws(USBError) {
        if isStreaming(interface) { try await stream.claim(interface: interface) } else { try await control.claim(interface: interface) }
    }

    public func release(interface: UInt8) async throws(USBError) {
        if isStreaming(interface) {
            try await stream.release(interface: interface)
        } else {
            try await control.release(interface: interface)
        }
    }

    public func setAlternateSetting(interface: UInt8, to alternateSetting: UInt8) async throws(USBError) {
        if isStreaming(interface) {
            try await stream.setAlternateSetting(interface: interface, to: alternateSetting)
        } else {
            try await control.setAlternateSetting(interface: interface, to: alternateSetting)
        }
    }

    public func clearHalt(endpoint: EndpointAddress) async throws(USBError) {
        if streamEndpoints.contains(endpoint) {
            try await stream.clearHalt(endpoint: endpoint)
        } else {
            try await control.clearHalt(endpoint: endpoint)
        }
    }

    public func reset() async throws(USBError) { try await control.reset() }

    /// Queues of streaming endpoints are rings: see `carrier`.
    public func transferQueue(endpoint: EndpointAddress, type: TransferType) throws(USBError) -> any TransferQueue {
        guard !streamEndpoints.contains(endpoint) else {
            throw USBError(
                .notSupported, operation: "transferQueue(\(endpoint))", detail: "a streaming endpoint's transfers go round in a ring")
        }
        guard type == .interrupt || type == .bulk else {
            throw USBError(
                .invalidArgument, operation: "transferQueue(\(endpoint))",
                detail: type == .control ? "control transfers are made by `control`" : "isochronous transfers go round in a ring")
        }
        return try NodeTransferQueue(endpoint: endpoint, type: type, device: self, file: control)
    }

    public func carrier(endpoint: EndpointAddress, type: TransferType, wake: Int32?) throws(USBError) -> any RingCarrier {
        guard streamEndpoints.contains(endpoint) else {
            throw USBError(.notFound, operation: "ring of \(endpoint)", detail: "no streaming interface has that endpoint")
        }
        return NodeFileCarrier(reaper: reaper, endpoint: endpoint, type: type, keeper: keeper)
    }

    public func expect(_ mapping: TransferRingMapping) { _ = reaper.seat(of: mapping) }
    public func forget(_ mapping: TransferRingMapping) { reaper.forget(mapping) }

    /// What was claimed through the stream's file stays claimed while the supervisor keeps its duplicate.
    public func close() { control.close() }
}
