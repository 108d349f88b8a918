// The requests that every USB device answers alike (USB 2.0 §9.4), for each port a device can be served through; all others go to the device.

import CLinux
import USB

/// A device with what a host has set in it, and the way its port has to the endpoints. `BusEngine` and `GadgetEngine` are such.
protocol StandardRequests: AnyObject {
    var device: any EmulatedDevice { get }
    /// As the device had them when its port was made.
    var descriptors: EmulatedDescriptors { get }
    var parsed: DescriptorSet { get }
    var signal: PortSignal { get }
    var configuration: ConfigurationDescriptor? { get set }
    /// By interface: the alternate setting that is active.
    var alternates: [UInt8: UInt8] { get set }
    var isRemoteWakeupEnabled: Bool { get set }

    func open(_ endpoint: EndpointDescriptor, interface: UInt8)
    /// Ends the endpoints of one interface, or all, with whatever is queued.
    func closeEndpoints(of interface: UInt8?)
    /// `nil` if no such endpoint is open.
    func isHalted(_ endpoint: EndpointAddress) -> Bool?
    func setHalted(_ endpoint: EndpointAddress, _ isHalted: Bool)
}

/// SET_SEL and SET_ISOCH_DELAY (USB 3.2 §9.4.11, §9.4.12).
private let setExitLatency: UInt8 = 0x30
private let setIsochronousDelay: UInt8 = 0x31
/// SET_FEATURE(PORT_RESET) to a hub's port: what USB/IP clients send to have the device reset, and Linux's server understands.
private let portReset: (requestType: UInt8, value: UInt16) = (0x23, 4)

extension StandardRequests {
    func answer(_ setup: ControlSetup, data: [UInt8]) -> ControlAnswer {
        if setup.requestType == portReset.requestType, setup.request == StandardRequest.setFeature, setup.value == portReset.value {
            reset()
            return .accepted
        }
        guard setup.requestType & 0x60 == 0 else { return device.control(setup, data: data, now: clinux_monotonic_ns()) }
        if let answer = device.standard(setup, now: clinux_monotonic_ns()) { return answer }
        switch setup.request {
        case StandardRequest.getDescriptor: return descriptor(setup)
        case StandardRequest.setAddress, setExitLatency, setIsochronousDelay: return .accepted
        case StandardRequest.getConfiguration: return .data([configuration?.value ?? 0])
        case StandardRequest.setConfiguration: return setConfiguration(UInt8(truncatingIfNeeded: setup.value))
        case StandardRequest.getInterface:
            return alternates[UInt8(truncatingIfNeeded: setup.index)].map { .data([$0]) } ?? .stall
        case StandardRequest.setInterface:
            return setInterface(UInt8(truncatingIfNeeded: setup.index), to: UInt8(truncatingIfNeeded: setup.value))
        case StandardRequest.getStatus: return status(setup)
        case StandardRequest.setFeature, StandardRequest.clearFeature: return feature(setup)
        case StandardRequest.synchFrame: return isHalted(endpoint(setup)) == nil ? .stall : .data([0, 0])
        default: return device.control(setup, data: data, now: clinux_monotonic_ns())
        }
    }

    private func endpoint(_ setup: ControlSetup) -> EndpointAddress { EndpointAddress(rawValue: UInt8(truncatingIfNeeded: setup.index)) }

    private func descriptor(_ setup: ControlSetup) -> ControlAnswer {
        let type = UInt8(setup.value >> 8)
        let index = UInt8(truncatingIfNeeded: setup.value)
        guard setup.requestType & 0x1f == 0 else { return device.control(setup, data: [], now: clinux_monotonic_ns()) }
        switch type {
        case DescriptorType.device: return .data(descriptors.device)
        case DescriptorType.configuration:
            return Int(index) < descriptors.configurations.count ? .data(descriptors.configurations[Int(index)]) : .stall
        case DescriptorType.string:
            if index == 0 {
                return descriptors.strings.isEmpty ? .stall : .data(StringDescriptor.encode(languages: [StringDescriptor.english]))
            }
            return descriptors.strings[index].map { .data(StringDescriptor.encode($0)) } ?? .stall
        case DescriptorType.binaryObjectStore: return descriptors.bos.map { .data($0) } ?? .stall
        case 0..<0x20: return .stall  // A device qualifier among them: there is no other speed.
        default: return device.control(setup, data: [], now: clinux_monotonic_ns())
        }
    }

    private func status(_ setup: ControlSetup) -> ControlAnswer {
        switch setup.requestType & 0x1f {
        case 0:
            let selfPowered: UInt8 = configuration?.isSelfPowered == true ? 1 : 0
            return .data([selfPowered | (isRemoteWakeupEnabled ? 2 : 0), 0])
        case 1: return alternates[UInt8(truncatingIfNeeded: setup.index)] == nil ? .stall : .data([0, 0])
        case 2:
            let address = endpoint(setup)
            if address.number == 0 { return .data([0, 0]) }
            return isHalted(address).map { .data([$0 ? 1 : 0, 0]) } ?? .stall
        default: return .stall
        }
    }

    /// ENDPOINT_HALT 0, DEVICE_REMOTE_WAKEUP 1, FUNCTION_SUSPEND 0 (interface), U1_ENABLE 48, U2_ENABLE 49.
    private func feature(_ setup: ControlSetup) -> ControlAnswer {
        let isSet = setup.request == StandardRequest.setFeature
        switch (setup.requestType & 0x1f, setup.value) {
        case (0, 1):
            isRemoteWakeupEnabled = isSet
            return .accepted
        case (0, 48), (0, 49): return descriptors.speed >= .super ? .accepted : .stall
        case (1, 0): return alternates[UInt8(truncatingIfNeeded: setup.index)] == nil ? .stall : .accepted
        case (2, 0):
            let address = endpoint(setup)
            if address.number == 0 { return .accepted }
            guard isHalted(address) != nil else { return .stall }
            setHalted(address, isSet)
            if !isSet { device.haltCleared(endpoint: address, now: clinux_monotonic_ns()) }
            return .accepted
        default: return .stall
        }
    }

    private func setConfiguration(_ value: UInt8) -> ControlAnswer {
        if value != 0, value == configuration?.value {
            reset()
            return .accepted
        }
        let wanted = parsed.configurations.first { $0.value == value }
        guard wanted != nil || value == 0 else { return .stall }
        closeEndpoints(of: nil)
        let before = Set(alternates.keys)
        configuration = value == 0 ? nil : wanted
        alternates = [:]
        for number in configuration?.interfaceNumbers ?? [] {
            alternates[number] = 0
            openEndpoints(interface: number, alternateSetting: 0)
        }
        let now = clinux_monotonic_ns()
        for number in before.union(alternates.keys).sorted() { device.alternateSettingChanged(interface: number, to: 0, now: now) }
        return .accepted
    }

    private func setInterface(_ number: UInt8, to alternateSetting: UInt8) -> ControlAnswer {
        guard configuration?.interfaces.contains(where: { $0.number == number && $0.alternateSetting == alternateSetting }) == true else {
            return .stall
        }
        closeEndpoints(of: number)
        alternates[number] = alternateSetting
        openEndpoints(interface: number, alternateSetting: alternateSetting)
        device.alternateSettingChanged(interface: number, to: alternateSetting, now: clinux_monotonic_ns())
        return .accepted
    }

    private func openEndpoints(interface: UInt8, alternateSetting: UInt8) {
        guard
            let setting = configuration?.interfaces.first(where: { $0.number == interface && $0.alternateSetting == alternateSetting })
        else { return }
        for endpoint in setting.endpoints where endpoint.address.number != 0 && endpoint.transferType != .control {
            open(endpoint, interface: interface)
        }
    }

    /// As Linux's server does it: the device is as new, and gets its configuration back with every interface at alternate setting 0. Linux as a
    /// client (`vhci_hcd`) keeps the reset of a port to itself: of it there is only the configuration that is set again.
    private func reset() {
        let value = configuration?.value ?? 0
        closeEndpoints(of: nil)
        configuration = nil
        alternates = [:]
        isRemoteWakeupEnabled = false
        device.detached()
        device.attached(now: clinux_monotonic_ns(), signal: signal)
        if value != 0 { _ = setConfiguration(value) }
    }
}
