// The requests that every USB device answers alike (USB 2.0 §9.4); all others go to the device.

import CLinux
import USB

extension BusEngine {
    /// SET_SEL and SET_ISOCH_DELAY (USB 3.2 §9.4.11, §9.4.12).
    private static let setExitLatency: UInt8 = 0x30
    private static let setIsochronousDelay: UInt8 = 0x31
    /// SET_FEATURE(PORT_RESET) to a hub's port: what USB/IP clients send to have the device reset, and Linux's server understands.
    private static let portReset: (requestType: UInt8, value: UInt16) = (0x23, 4)

    func answer(_ setup: ControlSetup, data: [UInt8]) -> ControlAnswer {
        if setup.requestType == Self.portReset.requestType, setup.request == StandardRequest.setFeature, setup.value == Self.portReset.value
        {
            reset()
            return .accepted
        }
        guard setup.requestType & 0x60 == 0 else { return device.control(setup, data: data, now: clinux_monotonic_ns()) }
        switch setup.request {
        case StandardRequest.getDescriptor: return descriptor(setup)
        case StandardRequest.setAddress, Self.setExitLatency, Self.setIsochronousDelay: return .accepted
        case StandardRequest.getConfiguration: return .data([configuration?.value ?? 0])
        case StandardRequest.setConfiguration: return setConfiguration(UInt8(truncatingIfNeeded: setup.value))
        case StandardRequest.getInterface:
            return alternates[UInt8(truncatingIfNeeded: setup.index)].map { .data([$0]) } ?? .stall
        case StandardRequest.setInterface:
            return setInterface(UInt8(truncatingIfNeeded: setup.index), to: UInt8(truncatingIfNeeded: setup.value))
        case StandardRequest.getStatus: return status(setup)
        case StandardRequest.setFeature, StandardRequest.clearFeature: return feature(setup)
        case StandardRequest.synchFrame: return endpoints[bit(endpoint(setup))] == nil ? .stall : .data([0, 0])
        default: return device.control(setup, data: data, now: clinux_monotonic_ns())
        }
    }

    private func endpoint(_ setup: ControlSetup) -> EndpointAddress { EndpointAddress(rawValue: UInt8(truncatingIfNeeded: setup.index)) }

    private func descriptor(_ setup: ControlSetup) -> ControlAnswer {
        let type = UInt8(setup.value >> 8)
        let index = UInt8(truncatingIfNeeded: setup.value)
        guard setup.requestType & 0x1f == 0 else { return device.control(setup, data: [], now: clinux_monotonic_ns()) }
        let descriptors = port.descriptors
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
            return endpoints[bit(address)].map { .data([$0.isHalted ? 1 : 0, 0]) } ?? .stall
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
        case (0, 48), (0, 49): return port.descriptors.speed >= .super ? .accepted : .stall
        case (1, 0): return alternates[UInt8(truncatingIfNeeded: setup.index)] == nil ? .stall : .accepted
        case (2, 0):
            let address = endpoint(setup)
            if address.number == 0 { return .accepted }
            guard let queue = endpoints[bit(address)] else { return .stall }
            queue.isHalted = isSet
            if !isSet {
                queue.wake = .now
                device.haltCleared(endpoint: address, now: clinux_monotonic_ns())
            }
            return .accepted
        default: return .stall
        }
    }

    private func setConfiguration(_ value: UInt8) -> ControlAnswer {
        let wanted = port.parsed.configurations.first { $0.value == value }
        guard wanted != nil || value == 0 else { return .stall }
        closeEndpoints { _ in true }
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
        closeEndpoints { $0.interface == number }
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
            let index = bit(endpoint.address)
            if let other = endpoints[index] { shutDown(other) }
            endpoints[index] = EndpointQueue(endpoint, interface: interface, speed: port.descriptors.speed)
        }
    }

    private func closeEndpoints(where isGone: (EndpointQueue) -> Bool) {
        for (index, queue) in endpoints.enumerated() {
            guard let queue, isGone(queue) else { continue }
            shutDown(queue)
            endpoints[index] = nil
        }
    }

    /// As Linux's server does it: the device is as new, and gets its configuration back with every interface at alternate setting 0.
    private func reset() {
        let value = configuration?.value ?? 0
        closeEndpoints { _ in true }
        configuration = nil
        alternates = [:]
        isRemoteWakeupEnabled = false
        device.detached()
        device.attached(now: clinux_monotonic_ns(), signal: port.signal)
        if value != 0 { _ = setConfiguration(value) }
    }
}
