// Which interfaces of a printer-class device carry HTTP, and over which endpoints (IPP Protocol over
// USB, class 7, subclass 1, protocol 4).

public import USB

/// One HTTP connection: an interface in the alternate setting that speaks IPP over USB, with its
/// pair of bulk endpoints.
public struct IPPUSBChannel: Hashable, Sendable {
    /// `bInterfaceNumber`
    public var interface: UInt8
    /// `bAlternateSetting`; often 1, where 0 is the printer's old protocol (7/1/2).
    public var alternateSetting: UInt8
    public var out: EndpointAddress
    public var `in`: EndpointAddress
    /// `wMaxPacketSize` of the IN endpoint, bytes.
    public var packet: Int

    public static let interfaceClass: UInt8 = 0x07
    public static let interfaceSubclass: UInt8 = 0x01
    public static let interfaceProtocol: UInt8 = 0x04

    public init(interface: UInt8, alternateSetting: UInt8, out: EndpointAddress, in incoming: EndpointAddress, packet: Int) {
        self.interface = interface
        self.alternateSetting = alternateSetting
        self.out = out
        self.in = incoming
        self.packet = packet
    }

    /// `nil` for another kind of interface, and for an alternate setting without its two bulk
    /// endpoints, which some devices have.
    public init?(_ interface: InterfaceDescriptor) {
        guard interface.interfaceClass == Self.interfaceClass, interface.interfaceSubclass == Self.interfaceSubclass,
            interface.interfaceProtocol == Self.interfaceProtocol
        else { return nil }
        let bulk = interface.endpoints.filter { $0.transferType == .bulk && $0.maxPacketSize > 0 }
        guard let out = bulk.first(where: { $0.address.direction == .out }),
            let incoming = bulk.first(where: { $0.address.direction == .in })
        else { return nil }
        self.init(
            interface: interface.number, alternateSetting: interface.alternateSetting, out: out.address, in: incoming.address,
            packet: incoming.maxPacketSize)
    }

    /// One for each interface that has an alternate setting which can be spoken to, in the order of
    /// their numbers. Where several can, the lowest is taken.
    public static func all(in configuration: ConfigurationDescriptor) -> [IPPUSBChannel] {
        configuration.interfaceNumbers.compactMap { number in
            configuration.alternateSettings(of: number).compactMap(IPPUSBChannel.init).min { $0.alternateSetting < $1.alternateSetting }
        }
    }
}
