// The model of a format that a stream offers, and of its frames: sizes and rates.

public import USB

/// A format descriptor with the frame descriptors that follow it (UVC 1.5 §3.9.2 and the payload documents).
public struct VideoFormat: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case mjpeg
        /// `guidFormat` and `bBitsPerPixel`
        case uncompressed(GUID, bitsPerPixel: UInt8)
        /// `guidFormat`, `bBitsPerPixel`, and `bVariableSize`: whether frames differ in length.
        case frameBased(GUID, bitsPerPixel: UInt8, variableSize: Bool)
        /// UVC 1.5's H.264 (subtype 0x13; 0x15 for several streams in one).
        case h264(simulcast: Bool)
        /// UVC 1.5's VP8 (subtype 0x16; 0x18 for several streams in one).
        case vp8(simulcast: Bool)
        /// `bDescriptorSubtype` of a format that has no frames (MPEG-2 TS, DV, stream-based).
        case stream(subtype: UInt8)
    }

    /// `bFormatIndex`
    public var index: UInt8
    public var kind: Kind
    /// `bDefaultFrameIndex`; names one of `frames`, or is 0 if there are none.
    public var defaultFrameIndex: UInt8
    public var frames: [VideoFrame]
    /// The colour matching descriptor, `nil` if there is none (then it is sRGB: UVC 1.5 §3.9.2.6).
    public var colorMatching: ColorMatching?
    /// `bmInterlaceFlags`: bit 0 interlaced.
    public var interlaceFlags: UInt8

    public init(
        index: UInt8, kind: Kind, defaultFrameIndex: UInt8 = 1, frames: [VideoFrame] = [], colorMatching: ColorMatching? = nil,
        interlaceFlags: UInt8 = 0
    ) {
        self.index = index
        self.kind = kind
        self.defaultFrameIndex = defaultFrameIndex
        self.frames = frames
        self.colorMatching = colorMatching
        self.interlaceFlags = interlaceFlags
    }

    /// What people type and JSON says: `"mjpeg"`, `"yuy2"`, `"nv12"`, `"h264"` …; of a GUID that is not in our table its four characters,
    /// `"inri"`, where it is made of those, else its text.
    public var name: String {
        switch kind {
        case .mjpeg: "mjpeg"
        case .uncompressed(let guid, _), .frameBased(let guid, _, _):
            pixelFormat?.name ?? PixelFormat.name(of: guid) ?? guid.description
        case .h264: "h264"
        case .vp8: "vp8"
        case .stream(0x0a): "mpeg2ts"
        case .stream(0x0c): "dv"
        case .stream(let subtype): "stream-\(hexadecimal(subtype, digits: 2))"
        }
    }

    /// What the field calls it: `"YUY2"`, `"MJPG"`; `nil` for an unknown GUID and for streams.
    public var pixelFormat: PixelFormat? {
        switch kind {
        case .mjpeg: PixelFormat(name: "mjpeg")
        case .uncompressed(let guid, let bits), .frameBased(let guid, let bits, _): PixelFormat(guid: guid, bits: Int(bits))
        case .h264: PixelFormat(name: "h264")
        case .vp8: PixelFormat(name: "vp8")
        case .stream: nil
        }
    }

    /// The GUID of a format that is not in our table.
    public var unknownGUID: GUID? {
        switch kind {
        case .uncompressed(let guid, _), .frameBased(let guid, _, _): pixelFormat == nil ? guid : nil
        case .mjpeg, .h264, .vp8, .stream: nil
        }
    }

    /// The name for people; if the GUID is not in our table, its letters and the GUID itself, `"INRI
    /// {49524e49-0000-0010-8000-00aa00389b71}"`.
    public var title: String {
        guard let guid = unknownGUID else { return name }
        return PixelFormat.letters(of: guid).map { "\($0) {\(guid)}" } ?? guid.description
    }

    /// Whether the length of a frame follows from its size.
    public var isCompressed: Bool {
        if let pixelFormat { return pixelFormat.isCompressed }
        if case .uncompressed = kind { return false }
        return true
    }

    /// Bytes of a whole frame of that size, `nil` for compressed formats. The pixel format decides where we know it: `bBitsPerPixel` lies.
    public func frameBytes(width: Int, height: Int) -> Int? {
        guard !isCompressed, width >= 0, height >= 0, width <= 0xffff, height <= 0xffff else { return nil }
        let bits: Int
        switch kind {
        case .uncompressed(_, let bitsPerPixel), .frameBased(_, let bitsPerPixel, _):
            bits = pixelFormat?.bitsPerPixel ?? Int(bitsPerPixel)
        default: return nil
        }
        return (width * height * bits + 7) / 8
    }

    /// The frame with that `bFrameIndex`.
    public func frame(index: UInt8) -> VideoFrame? { frames.first { $0.index == index } }

    /// The frame that `bDefaultFrameIndex` names, else the first.
    public var defaultFrame: VideoFrame? { frame(index: defaultFrameIndex) ?? frames.first }

    /// The frame of exactly that size.
    public func frame(width: Int, height: Int) -> VideoFrame? { frames.first { $0.width == width && $0.height == height } }
}

/// A frame descriptor: one size of a format, with its rates.
public struct VideoFrame: Hashable, Sendable {
    /// `bFrameIndex`
    public var index: UInt8
    /// `wWidth`, in pixels
    public var width: Int
    /// `wHeight`, in pixels
    public var height: Int
    /// `bmCapabilities`: bit 0 still image supported, bit 1 fixed frame rate. 0 for H.264 and VP8, which use other words.
    public var capabilities: UInt8
    /// `dwMinBitRate`, in bits a second
    public var minBitRate: UInt32
    /// `dwMaxBitRate`
    public var maxBitRate: UInt32
    /// `dwMaxVideoFrameBufferSize` in bytes, 0 if the descriptor has no such field (frame-based, H.264, VP8).
    public var maxFrameBytes: UInt32
    /// `dwBytesPerLine` of a frame-based format, 0 where lines have no fixed length.
    public var bytesPerLine: UInt32
    /// `dwDefaultFrameInterval`, in 100 ns; always one that `intervals` allows.
    public var defaultInterval: UInt32
    public var intervals: FrameIntervals

    public init(
        index: UInt8, width: Int, height: Int, capabilities: UInt8 = 0, minBitRate: UInt32 = 0, maxBitRate: UInt32 = 0,
        maxFrameBytes: UInt32 = 0, bytesPerLine: UInt32 = 0, defaultInterval: UInt32, intervals: FrameIntervals
    ) {
        self.index = index
        self.width = width
        self.height = height
        self.capabilities = capabilities
        self.minBitRate = minBitRate
        self.maxBitRate = maxBitRate
        self.maxFrameBytes = maxFrameBytes
        self.bytesPerLine = bytesPerLine
        self.defaultInterval = defaultInterval
        self.intervals = intervals
    }
}

/// The times between frames that a frame descriptor allows, in 100 ns. Never 0.
public enum FrameIntervals: Hashable, Sendable {
    /// `dwFrameInterval(1…n)`, in the device's order (shortest first by the specification). Not empty.
    case discrete([UInt32])
    /// `dwMinFrameInterval`, `dwMaxFrameInterval`, `dwFrameIntervalStep`; a step of 0 allows every value.
    case continuous(minimum: UInt32, maximum: UInt32, step: UInt32)

    /// The allowed interval nearest to the wanted one.
    public func nearest(to wanted: UInt32) -> UInt32 {
        switch self {
        case .discrete(let list):
            return list.min { distance($0, wanted) < distance($1, wanted) } ?? wanted
        case .continuous(let minimum, let maximum, let step):
            guard maximum > minimum, wanted > minimum else { return minimum }
            guard wanted < maximum else { return maximum }
            guard step > 0 else { return wanted }
            let steps = (UInt64(wanted - minimum) + UInt64(step) / 2) / UInt64(step)
            return UInt32(min(UInt64(maximum), UInt64(minimum) + steps * UInt64(step)))
        }
    }

    /// The shortest: the highest rate.
    public var shortest: UInt32 {
        switch self {
        case .discrete(let list): list.min() ?? 1
        case .continuous(let minimum, _, _): minimum
        }
    }

    /// The longest: the lowest rate.
    public var longest: UInt32 {
        switch self {
        case .discrete(let list): list.max() ?? 1
        case .continuous(_, let maximum, _): maximum
        }
    }

    private func distance(_ a: UInt32, _ b: UInt32) -> UInt32 { a > b ? a - b : b - a }
}

/// UVC 1.5 §3.9.2.6
public struct ColorMatching: Hashable, Sendable {
    /// `bColorPrimaries`: 0 unspecified, 1 BT.709 and sRGB, 4 SMPTE 170M …
    public var primaries: UInt8
    /// `bTransferCharacteristics`
    public var transfer: UInt8
    /// `bMatrixCoefficients`: 4 SMPTE 170M (BT.601), the default
    public var matrix: UInt8

    public init(primaries: UInt8 = 1, transfer: UInt8 = 1, matrix: UInt8 = 4) {
        self.primaries = primaries
        self.transfer = transfer
        self.matrix = matrix
    }
}
