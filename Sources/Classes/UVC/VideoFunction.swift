// The model of a video function: one camera as UVC describes it, its control interface, its entities and its streams.

public import USB

/// A video interface collection (UVC 1.5 §2.4): one VideoControl interface and its VideoStreaming interfaces.
/// A device can have several (a colour and an infrared camera).
public struct VideoFunction: Hashable, Sendable {
    /// `bInterfaceNumber` of the VideoControl interface.
    public var controlInterface: UInt8
    /// `bcdUVC`: 0x0100, 0x0110, 0x0150. It decides the length of probe and commit blocks.
    public var uvcVersion: UInt16
    /// `bInterfaceProtocol` of the VideoControl interface: 1 for UVC 1.5.
    public var interfaceProtocol: UInt8
    /// `dwClockFrequency` in Hz: the unit of presentation time stamps. 0 if the device does not say.
    public var clockFrequency: UInt32
    /// Terminals and units, in the order of the descriptors; each id once.
    public var entities: [VideoEntity]
    public var streamingInterfaces: [StreamingInterface]
    /// Where the device tells of changed controls and pressed buttons (UVC 1.5 §2.4.2.2).
    public var statusEndpoint: StatusEndpoint?
    /// `iFunction` of the association, else `iInterface`: a string's index, 0 for none.
    public var nameIndex: UInt8
    /// What was odd in the class-specific descriptors.
    public var anomalies: [DescriptorAnomaly]

    public init(
        controlInterface: UInt8, uvcVersion: UInt16, interfaceProtocol: UInt8 = 0, clockFrequency: UInt32 = 0,
        entities: [VideoEntity] = [], streamingInterfaces: [StreamingInterface] = [], statusEndpoint: StatusEndpoint? = nil,
        nameIndex: UInt8 = 0, anomalies: [DescriptorAnomaly] = []
    ) {
        self.controlInterface = controlInterface
        self.uvcVersion = uvcVersion
        self.interfaceProtocol = interfaceProtocol
        self.clockFrequency = clockFrequency
        self.entities = entities
        self.streamingInterfaces = streamingInterfaces
        self.statusEndpoint = statusEndpoint
        self.nameIndex = nameIndex
        self.anomalies = anomalies
    }

    /// Every interface that a driver of the function claims.
    public var interfaceNumbers: [UInt8] { [controlInterface] + streamingInterfaces.map(\.number) }

    public func entity(_ id: UInt8) -> VideoEntity? { entities.first { $0.id == id } }
}

/// The interrupt endpoint of the VideoControl interface.
public struct StatusEndpoint: Hashable, Sendable {
    public var address: EndpointAddress
    /// Bytes of one interrupt transfer.
    public var maxPacketSize: Int
    /// `bInterval` as it came.
    public var interval: UInt8
    /// `wMaxTransferSize` of the class-specific endpoint descriptor: the longest status packet. `nil` if it is missing.
    public var maxTransferSize: UInt16?

    public init(address: EndpointAddress, maxPacketSize: Int, interval: UInt8, maxTransferSize: UInt16? = nil) {
        self.address = address
        self.maxPacketSize = maxPacketSize
        self.interval = interval
        self.maxTransferSize = maxTransferSize
    }
}
