// The device descriptor and the device qualifier: who the device is.

/// USB 2.0 §9.6.1; eighteen bytes.
public struct DeviceDescriptor: Hashable, Sendable {
    /// `bcdUSB`: 0x0200 is 2.0.
    public var usbVersion: UInt16
    /// `bDeviceClass`
    public var deviceClass: UInt8
    /// `bDeviceSubClass`
    public var deviceSubclass: UInt8
    /// `bDeviceProtocol`
    public var deviceProtocol: UInt8
    /// `bMaxPacketSize0`: bytes; at SuperSpeed the exponent of two.
    public var maxPacketSize0: UInt8
    /// `idVendor`
    public var vendorID: UInt16
    /// `idProduct`
    public var productID: UInt16
    /// `bcdDevice`
    public var deviceVersion: UInt16
    /// `iManufacturer`: a string's index, 0 for none; the next two likewise.
    public var manufacturerIndex: UInt8
    /// `iProduct`
    public var productIndex: UInt8
    /// `iSerialNumber`
    public var serialNumberIndex: UInt8
    /// `bNumConfigurations`
    public var configurationCount: UInt8

    public static let length = 18

    public init(
        usbVersion: UInt16 = 0x0200, deviceClass: UInt8 = 0, deviceSubclass: UInt8 = 0, deviceProtocol: UInt8 = 0,
        maxPacketSize0: UInt8 = 64, vendorID: UInt16, productID: UInt16, deviceVersion: UInt16 = 0x0100, manufacturerIndex: UInt8 = 0,
        productIndex: UInt8 = 0, serialNumberIndex: UInt8 = 0, configurationCount: UInt8 = 1
    ) {
        self.usbVersion = usbVersion
        self.deviceClass = deviceClass
        self.deviceSubclass = deviceSubclass
        self.deviceProtocol = deviceProtocol
        self.maxPacketSize0 = maxPacketSize0
        self.vendorID = vendorID
        self.productID = productID
        self.deviceVersion = deviceVersion
        self.manufacturerIndex = manufacturerIndex
        self.productIndex = productIndex
        self.serialNumberIndex = serialNumberIndex
        self.configurationCount = configurationCount
    }

    /// `nil` unless the bytes begin with a whole device descriptor.
    public init?(_ descriptor: RawDescriptor) {
        guard descriptor.type == DescriptorType.device, let b = descriptor.bytes(at: 0, count: Self.length) else { return nil }
        func word(_ index: Int) -> UInt16 { UInt16(b[index]) | UInt16(b[index + 1]) << 8 }
        self.init(
            usbVersion: word(2), deviceClass: b[4], deviceSubclass: b[5], deviceProtocol: b[6], maxPacketSize0: b[7], vendorID: word(8),
            productID: word(10), deviceVersion: word(12), manufacturerIndex: b[14], productIndex: b[15], serialNumberIndex: b[16],
            configurationCount: b[17])
    }
}

/// What the device would be at the other speed (USB 2.0 §9.6.2); ten bytes.
public struct DeviceQualifierDescriptor: Hashable, Sendable {
    /// `bcdUSB`
    public var usbVersion: UInt16
    /// `bDeviceClass`
    public var deviceClass: UInt8
    /// `bDeviceSubClass`
    public var deviceSubclass: UInt8
    /// `bDeviceProtocol`
    public var deviceProtocol: UInt8
    /// `bMaxPacketSize0`
    public var maxPacketSize0: UInt8
    /// `bNumConfigurations`
    public var configurationCount: UInt8

    /// `nil` unless the bytes are a device qualifier of at least nine bytes (the tenth is reserved).
    public init?(_ descriptor: RawDescriptor) {
        guard descriptor.type == DescriptorType.deviceQualifier, let b = descriptor.bytes(at: 0, count: 9) else { return nil }
        usbVersion = UInt16(b[2]) | UInt16(b[3]) << 8
        deviceClass = b[4]
        deviceSubclass = b[5]
        deviceProtocol = b[6]
        maxPacketSize0 = b[7]
        configurationCount = b[8]
    }
}
