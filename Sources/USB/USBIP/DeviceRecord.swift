// A device as lists and import replies describe it.

public import USB

/// `usbip_usb_device`: 312 bytes, big endian.
public struct DeviceRecord: Hashable, Sendable {
    public static let byteCount = 312

    /// The server's own path of the device (sysfs's on Linux); at most 255 bytes are carried.
    public var path: String
    /// What names the device in an import request; at most 31 bytes are carried.
    public var busID: String
    public var busNumber: UInt32
    public var deviceNumber: UInt32
    /// Linux's number of the speed; `speed` is `unknown` for one that has no name here.
    public var speed: USBSpeed
    public var vendorID: UInt16
    public var productID: UInt16
    /// `bcdDevice`
    public var release: UInt16
    public var deviceClass: UInt8
    public var deviceSubclass: UInt8
    public var deviceProtocol: UInt8
    /// `bConfigurationValue` of the active configuration, 0 while there is none.
    public var configurationValue: UInt8
    public var configurationCount: UInt8
    /// Interfaces of the active configuration.
    public var interfaceCount: UInt8

    public init(
        path: String, busID: String, busNumber: UInt32, deviceNumber: UInt32, speed: USBSpeed, vendorID: UInt16, productID: UInt16,
        release: UInt16, deviceClass: UInt8, deviceSubclass: UInt8, deviceProtocol: UInt8, configurationValue: UInt8,
        configurationCount: UInt8, interfaceCount: UInt8
    ) {
        self.path = path
        self.busID = busID
        self.busNumber = busNumber
        self.deviceNumber = deviceNumber
        self.speed = speed
        self.vendorID = vendorID
        self.productID = productID
        self.release = release
        self.deviceClass = deviceClass
        self.deviceSubclass = deviceSubclass
        self.deviceProtocol = deviceProtocol
        self.configurationValue = configurationValue
        self.configurationCount = configurationCount
        self.interfaceCount = interfaceCount
    }

    /// What URB headers name the device by: bus number in the upper half, device number in the lower.
    public var deviceID: UInt32 { busNumber << 16 | deviceNumber & 0xffff }

    public init(decoding bytes: UnsafeRawBufferPointer) throws(USBIPError) {
        guard bytes.count >= Self.byteCount else { throw USBIPError(.tooShort, "device record of \(bytes.count) bytes") }
        path = bytes.text(in: 0..<256)
        busID = bytes.text(in: 256..<288)
        busNumber = bytes.word32(288)
        deviceNumber = bytes.word32(292)
        speed = UInt8(exactly: bytes.word32(296)).flatMap(USBSpeed.init) ?? .unknown
        vendorID = bytes.word16(300)
        productID = bytes.word16(302)
        release = bytes.word16(304)
        deviceClass = bytes[306]
        deviceSubclass = bytes[307]
        deviceProtocol = bytes[308]
        configurationValue = bytes[309]
        configurationCount = bytes[310]
        interfaceCount = bytes[311]
    }

    public func encode(into bytes: UnsafeMutableRawBufferPointer) {
        precondition(bytes.count >= Self.byteCount, "room for a device record")
        bytes.put(text: path, in: 0..<256)
        bytes.put(text: busID, in: 256..<288)
        bytes.put(busNumber, at: 288)
        bytes.put(deviceNumber, at: 292)
        bytes.put(UInt32(speed.rawValue), at: 296)
        bytes.put(vendorID, at: 300)
        bytes.put(productID, at: 302)
        bytes.put(release, at: 304)
        bytes[306] = deviceClass
        bytes[307] = deviceSubclass
        bytes[308] = deviceProtocol
        bytes[309] = configurationValue
        bytes[310] = configurationCount
        bytes[311] = interfaceCount
    }

    public var bytes: [UInt8] { encoded(count: Self.byteCount) { encode(into: $0) } }
}

/// `usbip_usb_interface`: class, subclass, protocol and a padding byte.
public struct InterfaceRecord: Hashable, Sendable {
    public static let byteCount = 4
    public var interfaceClass: UInt8
    public var interfaceSubclass: UInt8
    public var interfaceProtocol: UInt8

    public init(interfaceClass: UInt8, interfaceSubclass: UInt8, interfaceProtocol: UInt8) {
        self.interfaceClass = interfaceClass
        self.interfaceSubclass = interfaceSubclass
        self.interfaceProtocol = interfaceProtocol
    }

    init(decoding bytes: UnsafeRawBufferPointer, at offset: Int) {
        self.init(interfaceClass: bytes[offset], interfaceSubclass: bytes[offset + 1], interfaceProtocol: bytes[offset + 2])
    }

    public var bytes: [UInt8] { [interfaceClass, interfaceSubclass, interfaceProtocol, 0] }
}
