// An open device on a USB/IP server.

import CLinux
public import FileDescriptors
import Glibc
import Synchronization
public import USB
import USBIP

/// A device that was imported from a USB/IP server, driven over its socket.
///
/// Interfaces, alternate settings, halts and the reset are control requests, as Linux's `vhci_hcd` forwards them; claims are kept here
/// only, since the whole device belongs to its importer.
public final class USBIPDevice: USBDeviceHandle {
    private struct State {
        var claimed: Set<UInt8> = []
        var alternates: [UInt8: UInt8] = [:]
        var queues: [UInt8: WeakQueue] = [:]
    }
    private struct WeakQueue {
        weak var queue: USBIPTransferQueue?
    }

    public let information: USBDeviceInformation
    /// What URB headers name the device by.
    public let deviceID: UInt32
    private let channel: URBChannel
    private let parsed: DescriptorSet
    private let state = Mutex(State())

    /// Drives a device over a socket that another process imported and on which nothing is in flight.
    ///
    /// Interfaces are taken to be as they were left; alternate settings are learned as they are set.
    public convenience init(
        adopting socket: consuming OwnedDescriptor, information: USBDeviceInformation, deviceID: UInt32
    ) throws(USBError) {
        self.init(channel: try URBChannel(socket, deviceID: deviceID), information: information)
    }

    init(channel: URBChannel, information: USBDeviceInformation) {
        self.channel = channel
        self.information = information
        deviceID = channel.deviceID
        parsed = DescriptorSet(parsing: information.descriptors)
    }

    deinit { channel.close() }

    // MARK: Requests

    public func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8] {
        try await channel.control(setup, sending: data, timeout: timeout)
    }

    public func claim(interface: UInt8) async throws(USBError) {
        guard parsed.configurations.contains(where: { $0.interfaceNumbers.contains(interface) }) else {
            throw USBError(.notFound, operation: "claim interface \(interface)", detail: "the device has no such interface")
        }
        try state.withLock { (state) throws(USBError) in
            guard state.claimed.insert(interface).inserted else {
                throw USBError(.busy, operation: "claim interface \(interface)", detail: "it is claimed already")
            }
        }
    }

    public func release(interface: UInt8) async throws(USBError) {
        try state.withLock { (state) throws(USBError) in
            guard state.claimed.remove(interface) != nil else {
                throw USBError(.notFound, operation: "release interface \(interface)", detail: "it was not claimed")
            }
        }
    }

    public func setAlternateSetting(interface: UInt8, to alternateSetting: UInt8) async throws(USBError) {
        guard state.withLock({ $0.claimed.contains(interface) }) else {
            throw USBError(
                .notFound, operation: "SET_INTERFACE(\(interface), \(alternateSetting))", detail: "the interface was not claimed")
        }
        _ = try await control(
            ControlSetup(
                requestType: 0x01, request: StandardRequest.setInterface, value: UInt16(alternateSetting), index: UInt16(interface),
                length: 0), sending: [], timeout: Self.standardTimeout)
        state.withLock { $0.alternates[interface] = alternateSetting }
    }

    public func clearHalt(endpoint: EndpointAddress) async throws(USBError) {
        _ = try await control(
            ControlSetup(
                requestType: 0x02, request: StandardRequest.clearFeature, value: 0, index: UInt16(endpoint.rawValue), length: 0),
            sending: [], timeout: Self.standardTimeout)
    }

    /// SET_FEATURE(PORT_RESET) as to a hub: USB/IP has no message for a reset, and Linux's server takes this request for one (as does
    /// `EmulationServer`). Interfaces are at alternate setting 0 afterwards. Throws `notSupported` on a server that refuses.
    /// Linux's server resets after it has answered: a transfer that is submitted at once may end as cancelled.
    public func reset() async throws(USBError) {
        do throws(USBError) {
            _ = try await control(
                ControlSetup(requestType: 0x23, request: StandardRequest.setFeature, value: 4, index: 0, length: 0), sending: [],
                timeout: Self.standardTimeout)
        } catch {
            guard error.code == .stall else { throw error }
            throw USBError(.notSupported, operation: "SET_FEATURE(PORT_RESET)", detail: "the server can't reset devices")
        }
        state.withLock { $0.alternates = [:] }
    }

    // MARK: Transfers

    public func transferQueue(endpoint: EndpointAddress, type: TransferType) throws(USBError) -> any TransferQueue {
        guard type != .control, (1...15).contains(endpoint.number) else {
            throw USBError(.invalidArgument, operation: "queue of \(endpoint)", detail: "control transfers have no queue")
        }
        return try state.withLock { (state) throws(USBError) in
            guard state.queues[endpoint.rawValue]?.queue == nil else {
                throw USBError(.busy, operation: "queue of \(endpoint)", detail: "there is one already")
            }
            let queue = USBIPTransferQueue(
                channel: channel, endpoint: endpoint, type: type, interval: interval(endpoint, type, state.alternates))
            state.queues[endpoint.rawValue] = WeakQueue(queue: queue)
            return queue
        }
    }

    /// `urb->interval`: frames or microframes between two packets, from the endpoint's `bInterval`.
    private func interval(_ address: EndpointAddress, _ type: TransferType, _ alternates: [UInt8: UInt8]) -> Int32 {
        let interfaces = parsed.configurations.flatMap(\.interfaces)
        let candidates = interfaces.filter { $0.endpoints.contains { $0.address == address } }
        let chosen = candidates.first { alternates[$0.number] == $0.alternateSetting } ?? candidates.first
        guard let endpoint = chosen?.endpoints.first(where: { $0.address == address }),
            let period = endpoint.intervalNanoseconds(speed: information.speed)
        else { return type == .bulk ? 0 : 1 }
        return Int32(clamping: period / information.speed.slotNanoseconds)
    }

    // MARK: Ends

    /// Ends what is in flight (for up to a second), then releases the socket. A duplicate of it in another process stays usable.
    public func close() { channel.close() }

    /// What another process needs to go on with the device. Frozen, so that the socket can get an owner of its own.
    @frozen public struct Handover: ~Copyable, Sendable {
        public var socket: OwnedDescriptor
        public var deviceID: UInt32
        public var information: USBDeviceInformation
    }

    /// Gives the socket away, between two messages, for `USBIPDevice(adopting:information:deviceID:)`. This closes this handle.
    ///
    /// Throws `busy`, and changes nothing, while transfers are in flight.
    public func handOver() throws(USBError) -> Handover {
        Handover(socket: try channel.handOver(), deviceID: deviceID, information: information)
    }
}
