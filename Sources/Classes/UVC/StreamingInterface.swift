// The model of a VideoStreaming interface: where the pictures come out, at which bandwidths and in which formats.

public import USB

/// UVC 1.5 §2.4.3 and §3.9.
public struct StreamingInterface: Hashable, Sendable {
    /// `bInterfaceNumber`
    public var number: UInt8
    /// `bEndpointAddress` of the input or output header: the endpoint of the stream.
    public var endpoint: EndpointAddress
    /// `bTerminalLink` (`bTerminalID` of the output terminal that feeds the stream).
    public var terminalLink: UInt8
    /// Every alternate setting that has the stream's endpoint, in ascending order of `bAlternateSetting`. A bulk stream usually has one, 0.
    public var alternateSettings: [StreamingAlternateSetting]
    /// In the order of the descriptors. Indices are those of the device: 1-based, and not always consecutive.
    public var formats: [VideoFormat]
    public var stillImage: StillImageInformation
    /// `bmInfo` bit 0: the format may change while streaming, announced by an interrupt.
    public var changesFormatByItself: Bool
    /// `bmaControls` of each format: which of probe's rate and quality fields the device takes (UVC 1.5 table 3-14).
    public var formatControls: [ControlBits]

    public init(
        number: UInt8, endpoint: EndpointAddress, terminalLink: UInt8 = 0, alternateSettings: [StreamingAlternateSetting] = [],
        formats: [VideoFormat] = [], stillImage: StillImageInformation = StillImageInformation(), changesFormatByItself: Bool = false,
        formatControls: [ControlBits] = []
    ) {
        self.number = number
        self.endpoint = endpoint
        self.terminalLink = terminalLink
        self.alternateSettings = alternateSettings
        self.formats = formats
        self.stillImage = stillImage
        self.changesFormatByItself = changesFormatByItself
        self.formatControls = formatControls
    }

    /// Whether the stream comes over a bulk endpoint: no alternate setting reserves bandwidth for it.
    public var isBulk: Bool { alternateSettings.contains { $0.type == .bulk } && !alternateSettings.contains { $0.type == .isochronous } }

    /// The format with that `bFormatIndex`.
    public func format(index: UInt8) -> VideoFormat? { formats.first { $0.index == index } }
}

/// One alternate setting of a streaming interface, seen from its stream's endpoint.
public struct StreamingAlternateSetting: Hashable, Sendable {
    /// `bAlternateSetting`
    public var number: UInt8
    public var endpoint: EndpointAddress
    public var type: TransferType
    /// The most bytes in one service interval: the length of an isochronous packet (three transactions, bursts and all); for bulk of
    /// one packet.
    public var bytesPerInterval: Int
    /// `bInterval`: isochronous packets come every `2^(bInterval-1)` microframes, at full speed frames.
    public var interval: UInt8

    public init(number: UInt8, endpoint: EndpointAddress, type: TransferType, bytesPerInterval: Int, interval: UInt8 = 1) {
        self.number = number
        self.endpoint = endpoint
        self.type = type
        self.bytesPerInterval = bytesPerInterval
        self.interval = interval
    }
}

/// How a device takes still pictures beside its stream (UVC 1.5 §2.4.2.4, §3.9.2.5).
public struct StillImageInformation: Hashable, Sendable {
    /// `bStillCaptureMethod`: 0 none, 1 the host takes a frame of the stream, 2 a still in the stream's pipe, 3 a pipe of its own.
    public var method: UInt8
    /// `bTriggerSupport`: the device has a button and tells of it.
    public var hasButton: Bool
    /// `bTriggerUsage`: 0 the button asks for a still, 1 it is a general-purpose button.
    public var buttonUsage: UInt8
    /// The still image frame descriptor of each format, by `bFormatIndex`.
    public var frames: [UInt8: StillImageFrame]

    public init(method: UInt8 = 0, hasButton: Bool = false, buttonUsage: UInt8 = 0, frames: [UInt8: StillImageFrame] = [:]) {
        self.method = method
        self.hasButton = hasButton
        self.buttonUsage = buttonUsage
        self.frames = frames
    }
}

/// UVC 1.5 §3.9.2.5
public struct StillImageFrame: Hashable, Sendable {
    public struct Size: Hashable, Sendable {
        public var width: Int
        public var height: Int
        public init(width: Int, height: Int) {
            self.width = width
            self.height = height
        }
    }
    /// `bEndpointAddress`: the bulk endpoint of method 3, else 0.
    public var endpoint: EndpointAddress
    /// `wWidth`, `wHeight` of each pattern; the still probe block's `bFrameIndex` counts them from 1.
    public var sizes: [Size]
    /// `bCompression`: ratios, the still probe block's `bCompressionIndex` counts them from 1.
    public var compressions: [UInt8]

    public init(endpoint: EndpointAddress, sizes: [Size], compressions: [UInt8] = []) {
        self.endpoint = endpoint
        self.sizes = sizes
        self.compressions = compressions
    }
}
