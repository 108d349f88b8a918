// Terminals and units: the graph that a video function's picture flows through, and what each can control.

public import USB

/// A terminal or unit (UVC 1.5 §3.7.2). Its `id` is what control requests are addressed to.
public struct VideoEntity: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// An input terminal of type 0x0201, with what is known of its lens.
        case cameraTerminal(CameraTerminal)
        /// `wTerminalType` of any other input (0x0202 media transport, 0x0401 composite …).
        case inputTerminal(type: UInt16)
        /// `wTerminalType`: 0x0101 is the USB stream.
        case outputTerminal(type: UInt16)
        case selectorUnit
        case processingUnit(ProcessingUnit)
        case encodingUnit(runtimeControls: ControlBits)
        case extensionUnit(ExtensionUnit)
        /// `bDescriptorSubtype` of a unit that no version of the specification defines.
        case unknown(subtype: UInt8)
    }

    /// `bUnitID` or `bTerminalID`
    public var id: UInt8
    public var kind: Kind
    /// `baSourceID`: the entities whose picture comes in, by id.
    public var sources: [UInt8]
    /// `bmControls`: which controls there are; the bits' meaning depends on the kind (UVC 1.5 §3.7.2).
    public var controls: ControlBits
    /// `bAssocTerminal`: the terminal that this one belongs with, 0 for none.
    public var associatedTerminal: UInt8
    /// `iTerminal`, `iProcessing` …: a string's index, 0 for none.
    public var nameIndex: UInt8

    public init(
        id: UInt8, kind: Kind, sources: [UInt8] = [], controls: ControlBits = ControlBits(), associatedTerminal: UInt8 = 0,
        nameIndex: UInt8 = 0
    ) {
        self.id = id
        self.kind = kind
        self.sources = sources
        self.controls = controls
        self.associatedTerminal = associatedTerminal
        self.nameIndex = nameIndex
    }
}

/// UVC 1.5 §3.7.2.3. Focal lengths have no unit: they make a ratio. 0 if the lens has no optical zoom.
public struct CameraTerminal: Hashable, Sendable {
    /// `wObjectiveFocalLengthMin`
    public var objectiveFocalLengthMinimum: UInt16
    /// `wObjectiveFocalLengthMax`
    public var objectiveFocalLengthMaximum: UInt16
    /// `wOcularFocalLength`
    public var ocularFocalLength: UInt16

    public init(objectiveFocalLengthMinimum: UInt16 = 0, objectiveFocalLengthMaximum: UInt16 = 0, ocularFocalLength: UInt16 = 0) {
        self.objectiveFocalLengthMinimum = objectiveFocalLengthMinimum
        self.objectiveFocalLengthMaximum = objectiveFocalLengthMaximum
        self.ocularFocalLength = ocularFocalLength
    }
}

/// UVC 1.5 §3.7.2.5
public struct ProcessingUnit: Hashable, Sendable {
    /// `wMaxMultiplier`: digital magnification times 100, 0 for none.
    public var maxMultiplier: UInt16
    /// `bmVideoStandards`: bit 1 NTSC 525/60, bit 2 PAL 625/50 …; 0 in UVC 1.0, which lacks the field.
    public var videoStandards: UInt8

    public init(maxMultiplier: UInt16 = 0, videoStandards: UInt8 = 0) {
        self.maxMultiplier = maxMultiplier
        self.videoStandards = videoStandards
    }
}

/// UVC 1.5 §3.7.2.7
public struct ExtensionUnit: Hashable, Sendable {
    /// `guidExtensionCode`: whose unit it is.
    public var guid: GUID
    /// `bNumControls` as the device says it; half of all devices count something else than the bits of `bmControls`.
    public var declaredControlCount: UInt8
    /// Whether it came as Logitech's own descriptor (type 0x41) rather than the standard's.
    public var isLogitechDescriptor: Bool

    public init(guid: GUID, declaredControlCount: UInt8 = 0, isLogitechDescriptor: Bool = false) {
        self.guid = guid
        self.declaredControlCount = declaredControlCount
        self.isLogitechDescriptor = isLogitechDescriptor
    }
}

/// A `bmControls` field: bit n of the little-endian bytes is Dn.
public struct ControlBits: Hashable, Sendable {
    public var bytes: [UInt8]

    public init(bytes: [UInt8] = []) { self.bytes = bytes }

    public func contains(_ bit: Int) -> Bool {
        bit >= 0 && bit / 8 < bytes.count && bytes[bit / 8] >> UInt8(bit % 8) & 1 != 0
    }

    /// The numbers of the set bits, ascending.
    public var set: [Int] { (0..<bytes.count * 8).filter(contains) }
    public var isEmpty: Bool { bytes.allSatisfy { $0 == 0 } }
}

/// `wTerminalType` (UVC 1.5 appendix B).
public enum TerminalType {
    public static let vendorSpecific: UInt16 = 0x0100
    /// TT_STREAMING: the USB stream of a VideoStreaming interface.
    public static let streaming: UInt16 = 0x0101
    public static let inputVendorSpecific: UInt16 = 0x0200
    /// ITT_CAMERA
    public static let camera: UInt16 = 0x0201
    /// ITT_MEDIA_TRANSPORT_INPUT
    public static let mediaTransportInput: UInt16 = 0x0202
    public static let outputVendorSpecific: UInt16 = 0x0300
    public static let display: UInt16 = 0x0301
    public static let mediaTransportOutput: UInt16 = 0x0302
    public static let externalVendorSpecific: UInt16 = 0x0400
    public static let composite: UInt16 = 0x0401
    public static let sVideo: UInt16 = 0x0402
    public static let component: UInt16 = 0x0403
}
