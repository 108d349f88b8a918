// A configuration with all that is in it: associations, interfaces in every alternate setting, class-specific descriptors.

/// USB 2.0 §9.6.3, with the descriptors that follow it.
public struct ConfigurationDescriptor: Hashable, Sendable {
    /// `bConfigurationValue`: what SET_CONFIGURATION takes.
    public var value: UInt8
    /// `bNumInterfaces` as the device says it; `interfaceNumbers` tells which there are.
    public var declaredInterfaceCount: UInt8
    /// `iConfiguration`: a string's index, 0 for none.
    public var nameIndex: UInt8
    /// `bmAttributes`: bit 6 self-powered, bit 5 remote wake-up.
    public var attributes: UInt8
    /// `bMaxPower`: in units of 2 mA, at SuperSpeed of 8 mA.
    public var maxPower: UInt8
    /// `wTotalLength` as the device says it.
    public var declaredTotalLength: UInt16
    /// Each alternate setting of each interface, in the order of the bytes.
    public var interfaces: [InterfaceDescriptor]
    public var associations: [InterfaceAssociation]
    /// What comes before the first interface and is none of the above (an OTG descriptor, a vendor's).
    public var extra: [RawDescriptor]
    /// Where it starts in what was parsed.
    public var offset: Int

    public init(
        value: UInt8, declaredInterfaceCount: UInt8 = 0, nameIndex: UInt8 = 0, attributes: UInt8 = 0x80, maxPower: UInt8 = 0,
        declaredTotalLength: UInt16 = 0, interfaces: [InterfaceDescriptor] = [], associations: [InterfaceAssociation] = [],
        extra: [RawDescriptor] = [], offset: Int = 0
    ) {
        self.value = value
        self.declaredInterfaceCount = declaredInterfaceCount
        self.nameIndex = nameIndex
        self.attributes = attributes
        self.maxPower = maxPower
        self.declaredTotalLength = declaredTotalLength
        self.interfaces = interfaces
        self.associations = associations
        self.extra = extra
        self.offset = offset
    }

    /// The numbers of the interfaces that are there, in order, each once.
    public var interfaceNumbers: [UInt8] { Set(interfaces.map(\.number)).sorted() }

    /// The alternate settings of one interface.
    public func alternateSettings(of number: UInt8) -> [InterfaceDescriptor] { interfaces.filter { $0.number == number } }

    /// Milliamperes that `bMaxPower` stands for.
    public func milliamperes(speed: USBSpeed) -> Int { Int(maxPower) * (speed >= .super ? 8 : 2) }

    public var isSelfPowered: Bool { attributes & 0x40 != 0 }
    public var canWakeHost: Bool { attributes & 0x20 != 0 }
}

/// Interfaces that make one function together (USB 3.2 §9.6.4); eight bytes.
public struct InterfaceAssociation: Hashable, Sendable {
    /// `bFirstInterface`
    public var firstInterface: UInt8
    /// `bInterfaceCount`
    public var interfaceCount: UInt8
    /// `bFunctionClass`
    public var functionClass: UInt8
    /// `bFunctionSubClass`
    public var functionSubclass: UInt8
    /// `bFunctionProtocol`
    public var functionProtocol: UInt8
    /// `iFunction`: a string's index, 0 for none.
    public var nameIndex: UInt8

    public static let length = 8

    public init(
        firstInterface: UInt8, interfaceCount: UInt8, functionClass: UInt8, functionSubclass: UInt8, functionProtocol: UInt8,
        nameIndex: UInt8 = 0
    ) {
        self.firstInterface = firstInterface
        self.interfaceCount = interfaceCount
        self.functionClass = functionClass
        self.functionSubclass = functionSubclass
        self.functionProtocol = functionProtocol
        self.nameIndex = nameIndex
    }

    /// `nil` unless the descriptor has its eight bytes.
    public init?(_ descriptor: RawDescriptor) {
        guard let b = descriptor.bytes(at: 0, count: Self.length) else { return nil }
        self.init(
            firstInterface: b[2], interfaceCount: b[3], functionClass: b[4], functionSubclass: b[5], functionProtocol: b[6],
            nameIndex: b[7])
    }

    /// Whether the interface is one of the association's.
    public func contains(interface: UInt8) -> Bool {
        interface >= firstInterface && Int(interface) < Int(firstInterface) + Int(interfaceCount)
    }
}

/// One alternate setting of an interface (USB 2.0 §9.6.5) with its endpoints and class-specific descriptors.
public struct InterfaceDescriptor: Hashable, Sendable {
    /// `bInterfaceNumber`
    public var number: UInt8
    /// `bAlternateSetting`
    public var alternateSetting: UInt8
    /// `bInterfaceClass`
    public var interfaceClass: UInt8
    /// `bInterfaceSubClass`
    public var interfaceSubclass: UInt8
    /// `bInterfaceProtocol`
    public var interfaceProtocol: UInt8
    /// `iInterface`: a string's index, 0 for none.
    public var nameIndex: UInt8
    /// `bNumEndpoints` as the device states it; `endpoints` are those that exist.
    public var declaredEndpointCount: UInt8
    public var endpoints: [EndpointDescriptor]
    /// The class-specific and unknown descriptors between the interface and its first endpoint, kept whole.
    public var extra: [RawDescriptor]
    /// Where it starts in what was parsed.
    public var offset: Int

    public static let length = 9

    public init(
        number: UInt8, alternateSetting: UInt8 = 0, interfaceClass: UInt8, interfaceSubclass: UInt8 = 0, interfaceProtocol: UInt8 = 0,
        nameIndex: UInt8 = 0, declaredEndpointCount: UInt8 = 0, endpoints: [EndpointDescriptor] = [], extra: [RawDescriptor] = [],
        offset: Int = 0
    ) {
        self.number = number
        self.alternateSetting = alternateSetting
        self.interfaceClass = interfaceClass
        self.interfaceSubclass = interfaceSubclass
        self.interfaceProtocol = interfaceProtocol
        self.nameIndex = nameIndex
        self.declaredEndpointCount = declaredEndpointCount
        self.endpoints = endpoints
        self.extra = extra
        self.offset = offset
    }

    /// `nil` unless the descriptor has its nine bytes.
    public init?(_ descriptor: RawDescriptor) {
        guard let b = descriptor.bytes(at: 0, count: Self.length) else { return nil }
        self.init(
            number: b[2], alternateSetting: b[3], interfaceClass: b[5], interfaceSubclass: b[6], interfaceProtocol: b[7],
            nameIndex: b[8], declaredEndpointCount: b[4], offset: descriptor.offset)
    }

    /// The class-specific descriptors of the interface, also those that a device put behind an endpoint.
    public var classDescriptors: [RawDescriptor] { extra + endpoints.flatMap(\.extra) }
}
