// What of a device one function's driver may speak to: the rules that usbfs has for an open file,
// kept for one behind USB/IP.

public import USB

/// Interfaces and endpoints of a function. Pure: a request in, a verdict out.
public struct FunctionRights: Hashable, Sendable {
    /// Bit n: interface n.
    public let interfaces: UInt32
    public let endpoints: Set<EndpointAddress>

    public init(interfaces: UInt32, endpoints: Set<EndpointAddress>) {
        self.interfaces = interfaces
        self.endpoints = endpoints
    }

    /// Of every interface of a configuration that is in the mask, in each alternate setting.
    public init(interfaces: UInt32, of descriptors: DescriptorSet) {
        let all = descriptors.configurations.flatMap(\.interfaces)
        let meant = all.filter { $0.number < 32 && interfaces & 1 << UInt32($0.number) != 0 }
        self.init(interfaces: interfaces, endpoints: Set(meant.flatMap(\.endpoints).map(\.address)))
    }

    public func allows(endpoint: EndpointAddress) -> Bool { endpoints.contains(endpoint) }

    /// Linux's rules for an open usbfs file (`check_ctrlrecip`), and what belongs to the device as
    /// a whole is left to the supervisor: its configuration, its address, its features, its reset.
    public func allows(_ setup: ControlSetup) -> Bool {
        let (type, recipient) = (setup.requestType >> 5 & 3, setup.requestType & 0x1f)
        let index = UInt8(truncatingIfNeeded: setup.index)
        switch recipient {
        case 1:
            // A printer's GET_DEVICE_ID has the interface in the high byte (Printer Class 1.1
            // §4.2.1).
            let isDeviceID = setup.requestType == 0xa1 && setup.request == 0
            return has(interface: isDeviceID && setup.index > 0xff ? UInt8(setup.index >> 8) : index)
        case 2: return index & 0x7f == 0 ? type != 0 || setup.direction == .in : endpoints.contains(EndpointAddress(rawValue: index))
        case 0: return type != 0 || setup.direction == .in
        // "Other" is a hub's port: its reset.
        default: return type == 2
        }
    }

    /// The interface whose alternate setting the request changes, and to which.
    public static func alternateSetting(_ setup: ControlSetup) -> (interface: UInt8, setting: UInt8)? {
        guard setup.requestType == 0x01, setup.request == StandardRequest.setInterface else { return nil }
        return (UInt8(truncatingIfNeeded: setup.index), UInt8(truncatingIfNeeded: setup.value))
    }

    private func has(interface: UInt8) -> Bool { interface < 32 && interfaces & 1 << UInt32(interface) != 0 }
}
