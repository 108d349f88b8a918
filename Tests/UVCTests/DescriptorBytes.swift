// Descriptors of a made-up camera, every field named, for tests to take apart and to spoil.

import USB
import UVC

/// A UVC 1.1 camera: terminal 1 → processing unit 2 → extension unit 3 → output 4, streaming from interface 1.
enum DescriptorBytes {
    static let controlInterface: [UInt8] = [9, 0x04, 0, 0, 1, 0x0e, 0x01, 0x00, 2]

    static let controlHeader: [UInt8] = [
        13,  // bLength
        0x24, 0x01,  // CS_INTERFACE, VC_HEADER
        0x10, 0x01,  // bcdUVC 1.10
        78, 0,  // wTotalLength: 13 + 18 + 12 + 26 + 9
        0x00, 0x6c, 0xdc, 0x02,  // dwClockFrequency 48 MHz
        1,  // bInCollection
        1,  // baInterfaceNr(1)
    ]

    static let cameraTerminal: [UInt8] = [
        18,  // bLength
        0x24, 0x02,  // CS_INTERFACE, VC_INPUT_TERMINAL
        1,  // bTerminalID
        0x01, 0x02,  // wTerminalType ITT_CAMERA
        0,  // bAssocTerminal
        0,  // iTerminal
        0x0a, 0x00,  // wObjectiveFocalLengthMin 10
        0x1e, 0x00,  // wObjectiveFocalLengthMax 30
        0x14, 0x00,  // wOcularFocalLength 20
        3,  // bControlSize
        0x2a, 0x00, 0x02,  // bmControls: D1 exposure mode, D3 exposure time, D5 focus, D17 focus auto
    ]

    static let processingUnit: [UInt8] = [
        12,  // bLength
        0x24, 0x05,  // CS_INTERFACE, VC_PROCESSING_UNIT
        2,  // bUnitID
        1,  // bSourceID
        0x2c, 0x01,  // wMaxMultiplier 3.00
        2,  // bControlSize
        0x03, 0x04,  // bmControls: D0 brightness, D1 contrast, D10 power line frequency
        6,  // iProcessing
        0x04,  // bmVideoStandards PAL
    ]

    static let extensionUnit: [UInt8] = [
        26,  // bLength
        0x24, 0x06,  // CS_INTERFACE, VC_EXTENSION_UNIT
        3,  // bUnitID
        0xdc, 0x95, 0x3f, 0x0f, 0x32, 0x26, 0x4e, 0x4c, 0x92, 0xc9, 0xa0, 0x47, 0x82, 0xf4, 0x3b, 0xc8,  // guidExtensionCode
        7,  // bNumControls (bits of bmControls: 2)
        1,  // bNrInPins
        2,  // baSourceID(1)
        1,  // bControlSize
        0x21,  // bmControls: selectors 1 and 6
        0,  // iExtension
    ]

    static let outputTerminal: [UInt8] = [
        9,  // bLength
        0x24, 0x03,  // CS_INTERFACE, VC_OUTPUT_TERMINAL
        4,  // bTerminalID
        0x01, 0x01,  // wTerminalType TT_STREAMING
        1,  // bAssocTerminal
        3,  // bSourceID
        0,  // iTerminal
    ]

    static let statusEndpoint: [UInt8] = [
        7, 0x05, 0x83, 0x03, 16, 0, 8,  // endpoint 3 IN, interrupt, 16 bytes
        5, 0x25, 0x03, 8, 0,  // CS_ENDPOINT, EP_INTERRUPT, wMaxTransferSize 8
    ]

    static let streamingInterface: [UInt8] = [9, 0x04, 1, 0, 0, 0x0e, 0x02, 0x00, 0]

    static let inputHeader: [UInt8] = [
        15,  // bLength
        0x24, 0x01,  // CS_INTERFACE, VS_INPUT_HEADER
        2,  // bNumFormats
        150, 0,  // wTotalLength: 15 + 11 + 38 + 14 + 6 + 28 + 38
        0x81,  // bEndpointAddress 1 IN
        0x01,  // bmInfo: the format may change by itself
        4,  // bTerminalLink
        2,  // bStillCaptureMethod
        1,  // bTriggerSupport
        1,  // bTriggerUsage general purpose
        1,  // bControlSize
        0x04,  // bmaControls(1): wCompQuality
        0x00,  // bmaControls(2)
    ]

    static let mjpegFormat: [UInt8] = [
        11,  // bLength
        0x24, 0x06,  // CS_INTERFACE, VS_FORMAT_MJPEG
        1,  // bFormatIndex
        1,  // bNumFrameDescriptors
        1,  // bmFlags fixed sample size
        1,  // bDefaultFrameIndex
        0, 0,  // bAspectRatioX, bAspectRatioY
        0x01,  // bmInterlaceFlags interlaced
        0,  // bCopyProtect
    ]

    static let mjpegFrame: [UInt8] = [
        38,  // bLength
        0x24, 0x07,  // CS_INTERFACE, VS_FRAME_MJPEG
        1,  // bFrameIndex
        0x01,  // bmCapabilities still image
        0x80, 0x02,  // wWidth 640
        0xe0, 0x01,  // wHeight 480
        0x00, 0x00, 0x77, 0x01,  // dwMinBitRate 24576000
        0x00, 0x00, 0xca, 0x08,  // dwMaxBitRate 147456000
        0x00, 0x60, 0x09, 0x00,  // dwMaxVideoFrameBufferSize 614400
        0x15, 0x16, 0x05, 0x00,  // dwDefaultFrameInterval 333333
        3,  // bFrameIntervalType three discrete intervals
        0x15, 0x16, 0x05, 0x00,  // dwFrameInterval(1) 333333
        0x2a, 0x2c, 0x0a, 0x00,  // dwFrameInterval(2) 666666
        0x80, 0x84, 0x1e, 0x00,  // dwFrameInterval(3) 2000000
    ]

    static let stillImageFrame: [UInt8] = [
        14,  // bLength: 5 + 4 × 2 + 1 + n, here n = 0
        0x24, 0x03,  // CS_INTERFACE, VS_STILL_IMAGE_FRAME
        0,  // bEndpointAddress: none of its own
        2,  // bNumImageSizePatterns
        0x80, 0x02, 0xe0, 0x01,  // 640 × 480
        0x00, 0x05, 0xd0, 0x02,  // 1280 × 720
        0,  // bNumCompressionPattern
    ]

    static let colorMatching: [UInt8] = [
        6, 0x24, 0x0d,  // VS_COLORFORMAT
        1,  // bColorPrimaries BT.709
        2,  // bTransferCharacteristics
        4,  // bMatrixCoefficients SMPTE 170M
    ]

    static let frameBasedFormat: [UInt8] = [
        28,  // bLength
        0x24, 0x10,  // CS_INTERFACE, VS_FORMAT_FRAME_BASED
        2,  // bFormatIndex
        1,  // bNumFrameDescriptors
        0x48, 0x32, 0x36, 0x34, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71,  // guidFormat H264
        16,  // bBitsPerPixel
        5,  // bDefaultFrameIndex
        0, 0, 0, 0,  // bAspectRatioX, bAspectRatioY, bmInterlaceFlags, bCopyProtect
        1,  // bVariableSize
    ]

    static let frameBasedFrame: [UInt8] = [
        38,  // bLength
        0x24, 0x11,  // CS_INTERFACE, VS_FRAME_FRAME_BASED
        5,  // bFrameIndex
        0,  // bmCapabilities
        0x80, 0x07,  // wWidth 1920
        0x38, 0x04,  // wHeight 1080
        0x00, 0x00, 0x10, 0x00,  // dwMinBitRate 1048576
        0x00, 0x00, 0x00, 0x01,  // dwMaxBitRate 16777216
        0x15, 0x16, 0x05, 0x00,  // dwDefaultFrameInterval 333333
        0,  // bFrameIntervalType continuous
        0x00, 0x0f, 0x00, 0x00,  // dwBytesPerLine 3840
        0x0a, 0x8b, 0x02, 0x00,  // dwMinFrameInterval 166666
        0x40, 0x42, 0x0f, 0x00,  // dwMaxFrameInterval 1000000
        0x0a, 0x00, 0x00, 0x00,  // dwFrameIntervalStep 10
    ]

    static let streamingSettings: [UInt8] =
        [9, 0x04, 1, 2, 1, 0x0e, 0x02, 0x00, 0] + [7, 0x05, 0x81, 0x05, 0x00, 0x14, 1]  // alternate setting 2: 3 × 1024 bytes
        + [9, 0x04, 1, 1, 1, 0x0e, 0x02, 0x00, 0] + [7, 0x05, 0x81, 0x05, 0x00, 0x02, 2]  // and, out of order, 1: 512 bytes

    static let control = controlHeader + cameraTerminal + processingUnit + extensionUnit + outputTerminal
    static let streaming = inputHeader + mjpegFormat + mjpegFrame + stillImageFrame + colorMatching + frameBasedFormat + frameBasedFrame

    /// A configuration of the pieces; what is left out stays as it is.
    static func configuration(
        control: [UInt8] = control, streaming: [UInt8] = streaming, settings: [UInt8] = streamingSettings, more: [UInt8] = []
    ) -> ConfigurationDescriptor {
        let body = controlInterface + control + statusEndpoint + streamingInterface + streaming + settings + more
        let association: [UInt8] = [8, 0x0b, 0, 2, 0x0e, 0x03, 0x00, 7]
        let total = 9 + association.count + body.count
        let header: [UInt8] = [9, 0x02, UInt8(total & 0xff), UInt8(total >> 8), 2, 1, 0, 0x80, 250]
        return DescriptorSet(parsing: header + association + body).configurations[0]
    }

    static func function(control: [UInt8] = control, streaming: [UInt8] = streaming, settings: [UInt8] = streamingSettings) -> VideoFunction
    {
        VideoFunction.all(in: configuration(control: control, streaming: streaming, settings: settings), speed: .high)[0]
    }
}
