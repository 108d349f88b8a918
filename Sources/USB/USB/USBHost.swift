// What a backend offers: devices that come and go, and an open device that transfers can be made on.

/// What can be told of a device without driving it.
public struct USBDeviceInformation: Hashable, Sendable {
    /// Where it is plugged in: `"1-2.3"` for a port of a bus (sysfs's name), `"usbip://HOST:PORT/BUSID"` for one on another machine.
    public var path: String
    public var speed: USBSpeed
    /// The device descriptor followed by every configuration, as the device sent them (sysfs's `descriptors`).
    public var descriptors: [UInt8]
    public var manufacturer: String?
    public var product: String?
    public var serialNumber: String?
    /// What the device calls its functions, by the number of each one's first interface
    /// (`USBFunction.firstInterface`). Not written down with the rest.
    public var interfaceNames: [UInt8: String] = [:]
    /// Linux's bus and device number, where there is one.
    public var busNumber: UInt32
    public var deviceNumber: UInt32

    public init(
        path: String, speed: USBSpeed, descriptors: [UInt8], manufacturer: String? = nil, product: String? = nil,
        serialNumber: String? = nil, busNumber: UInt32 = 0, deviceNumber: UInt32 = 0
    ) {
        self.path = path
        self.speed = speed
        self.descriptors = descriptors
        self.manufacturer = manufacturer
        self.product = product
        self.serialNumber = serialNumber
        self.busNumber = busNumber
        self.deviceNumber = deviceNumber
    }

    /// `idVendor` of the device descriptor, 0 if it is too short.
    public var vendorID: UInt16 { word(at: 8) }
    /// `idProduct`
    public var productID: UInt16 { word(at: 10) }

    private func word(at offset: Int) -> UInt16 {
        descriptors.count >= offset + 2 ? UInt16(descriptors[offset]) | UInt16(descriptors[offset + 1]) << 8 : 0
    }
}

/// A device came or went.
public enum USBHotplugEvent: Hashable, Sendable {
    case arrived(USBDeviceInformation)
    /// The `path` of one that has left.
    case left(path: String)
}

/// A way to devices: the kernel's usbfs, or a USB/IP server.
public protocol USBHost: AnyObject, Sendable {
    /// The devices that are there now.
    func devices() async throws(USBError) -> [USBDeviceInformation]
    /// Opens a device by its path. Nothing is claimed yet.
    func open(path: String) async throws(USBError) -> any USBDeviceHandle
    /// Devices that come and go from now on; those already there come first, as arrivals. Ends when the host is closed.
    func hotplugEvents() throws(USBError) -> AsyncStream<USBHotplugEvent>
}

/// An open device. Every method may be called from any thread.
public protocol USBDeviceHandle: AnyObject, Sendable {
    var information: USBDeviceInformation { get }

    /// A control transfer on endpoint 0. Sends `data` (OUT; its count is `setup.length`) or returns what came (IN; at most `setup.length` bytes).
    func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8]

    func claim(interface: UInt8) async throws(USBError)
    func release(interface: UInt8) async throws(USBError)
    /// SET_INTERFACE: `bAlternateSetting` of `bInterfaceNumber`.
    func setAlternateSetting(interface: UInt8, to alternateSetting: UInt8) async throws(USBError)
    /// CLEAR_FEATURE(ENDPOINT_HALT), which also resets the data toggle.
    func clearHalt(endpoint: EndpointAddress) async throws(USBError)
    /// Resets the port. The device may come back as another one; `noDevice` then.
    func reset() async throws(USBError)

    /// The way to many transfers in flight on one endpoint. One queue an endpoint at a time.
    func transferQueue(endpoint: EndpointAddress, type: TransferType) throws(USBError) -> any TransferQueue

    /// Cancels what is in flight and gives the device back. Nothing works after it. May be called twice.
    func close()
}

extension USBDeviceHandle {
    /// The time a control transfer may take: what the kernel's drivers grant (USB 2.0 §9.2.6.4 names 5 s as the limit of a standard request).
    public static var standardTimeout: Duration { .seconds(5) }

    /// GET_DESCRIPTOR (USB 2.0 §9.4.3).
    public func descriptor(type: UInt8, index: UInt8 = 0, language: UInt16 = 0, length: UInt16) async throws(USBError) -> [UInt8] {
        try await control(
            ControlSetup(
                requestType: 0x80, request: StandardRequest.getDescriptor, value: UInt16(type) << 8 | UInt16(index),
                index: language, length: length), sending: [], timeout: Self.standardTimeout)
    }
}
