// The numbers of the video class: interface subclasses and descriptor subtypes (UVC 1.5 appendix A).

/// `bInterfaceClass` and its subclasses.
public enum VideoClass {
    /// CC_VIDEO
    public static let code: UInt8 = 0x0e
    /// SC_VIDEOCONTROL
    public static let controlSubclass: UInt8 = 0x01
    /// SC_VIDEOSTREAMING
    public static let streamingSubclass: UInt8 = 0x02
    /// Cameras of before the class was settled, and some that hide from other drivers, have the vendor's class.
    public static let vendorCode: UInt8 = 0xff
}

/// `bDescriptorSubtype` in a VideoControl interface (UVC 1.5 table A-5).
public enum VideoControlSubtype {
    public static let header: UInt8 = 0x01
    public static let inputTerminal: UInt8 = 0x02
    public static let outputTerminal: UInt8 = 0x03
    public static let selectorUnit: UInt8 = 0x04
    public static let processingUnit: UInt8 = 0x05
    public static let extensionUnit: UInt8 = 0x06
    public static let encodingUnit: UInt8 = 0x07
    /// `bDescriptorType`, not a subtype: an extension unit as Logitech's older cameras describe it.
    public static let logitechDescriptorType: UInt8 = 0x41
    /// `bDescriptorSubtype` of the class-specific interrupt endpoint descriptor, EP_INTERRUPT.
    public static let interruptEndpoint: UInt8 = 0x03
}

/// `bDescriptorSubtype` in a VideoStreaming interface (UVC 1.5 table A-6).
public enum VideoStreamingSubtype {
    public static let inputHeader: UInt8 = 0x01
    public static let outputHeader: UInt8 = 0x02
    public static let stillImageFrame: UInt8 = 0x03
    public static let uncompressedFormat: UInt8 = 0x04
    public static let uncompressedFrame: UInt8 = 0x05
    public static let mjpegFormat: UInt8 = 0x06
    public static let mjpegFrame: UInt8 = 0x07
    public static let mpeg2TransportStreamFormat: UInt8 = 0x0a
    public static let dvFormat: UInt8 = 0x0c
    public static let colorMatching: UInt8 = 0x0d
    public static let frameBasedFormat: UInt8 = 0x10
    public static let frameBasedFrame: UInt8 = 0x11
    public static let streamBasedFormat: UInt8 = 0x12
    public static let h264Format: UInt8 = 0x13
    public static let h264Frame: UInt8 = 0x14
    public static let h264SimulcastFormat: UInt8 = 0x15
    public static let vp8Format: UInt8 = 0x16
    public static let vp8Frame: UInt8 = 0x17
    public static let vp8SimulcastFormat: UInt8 = 0x18
}
