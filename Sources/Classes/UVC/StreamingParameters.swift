// The block that host and device settle a stream with: video probe and commit controls (UVC 1.5 §4.3.1.1).

/// Probe and commit's fields, little endian on the wire.
public struct StreamingParameters: Hashable, Sendable {
    /// `bmHint`: bit 0 keep `dwFrameInterval` while others change.
    public var hint: UInt16 = 0
    /// `bFormatIndex`
    public var formatIndex: UInt8 = 0
    /// `bFrameIndex`
    public var frameIndex: UInt8 = 0
    /// `dwFrameInterval` in 100 ns.
    public var frameInterval: UInt32 = 0
    /// `wKeyFrameRate`
    public var keyFrameRate: UInt16 = 0
    /// `wPFrameRate`
    public var pFrameRate: UInt16 = 0
    /// `wCompQuality`: 1…10,000.
    public var compressionQuality: UInt16 = 0
    /// `wCompWindowSize`
    public var compressionWindowSize: UInt16 = 0
    /// `wDelay` in ms.
    public var delay: UInt16 = 0
    /// `dwMaxVideoFrameSize`: bytes of the largest frame.
    public var maxVideoFrameSize: UInt32 = 0
    /// `dwMaxPayloadTransferSize`: bytes of the largest payload, header included; it chooses the alternate setting.
    public var maxPayloadTransferSize: UInt32 = 0
    // From UVC 1.1.
    /// `dwClockFrequency` in Hz.
    public var clockFrequency: UInt32 = 0
    /// `bmFramingInfo`: bit 0 FID is needed, bit 1 EOF is needed, bit 2 EOS is needed.
    public var framingInfo: UInt8 = 0
    /// `bPreferedVersion` (the standard's spelling)
    public var preferredVersion: UInt8 = 0
    /// `bMinVersion`
    public var minVersion: UInt8 = 0
    /// `bMaxVersion`
    public var maxVersion: UInt8 = 0
    // From UVC 1.5.
    /// `bUsage`
    public var usage: UInt8 = 0
    /// `bBitDepthLuma`, less 8
    public var bitDepthLuma: UInt8 = 0
    /// `bmSettings`
    public var settings: UInt8 = 0
    /// `bMaxNumberOfRefFramesPlus1`
    public var maxReferenceFramesPlus1: UInt8 = 0
    /// `bmRateControlModes`
    public var rateControlModes: UInt16 = 0
    /// `bmLayoutPerStream`
    public var layoutPerStream: UInt64 = 0

    public init() {}

    public init(formatIndex: UInt8, frameIndex: UInt8, frameInterval: UInt32) {
        self.formatIndex = formatIndex
        self.frameIndex = frameIndex
        self.frameInterval = frameInterval
    }

    /// Bytes of the block: 26 in UVC 1.0, 34 in 1.1, 48 in 1.5.
    /// - Parameter uvcVersion: `bcdUVC`. (Devices that say 1.5 and mean 1.0 need a quirk that says so.)
    public static func length(uvcVersion: UInt16) -> Int {
        switch uvcVersion {
        case ..<0x0110: 26
        case ..<0x0150: 34
        default: 48
        }
    }

    /// The block's first `length` bytes.
    public func encoded(length: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(48)
        bytes.appendLittleEndian(hint)
        bytes += [formatIndex, frameIndex]
        bytes.appendLittleEndian(frameInterval)
        for value in [keyFrameRate, pFrameRate, compressionQuality, compressionWindowSize, delay] { bytes.appendLittleEndian(value) }
        for value in [maxVideoFrameSize, maxPayloadTransferSize, clockFrequency] { bytes.appendLittleEndian(value) }
        bytes += [framingInfo, preferredVersion, minVersion, maxVersion]
        bytes += [usage, bitDepthLuma, settings, maxReferenceFramesPlus1]
        bytes.appendLittleEndian(rateControlModes)
        bytes.appendLittleEndian(layoutPerStream)
        return Array(bytes.prefix(max(0, length)))
    }

    /// Reads a block of any length: what a short answer leaves out is 0. `nil` for fewer than the 26 bytes of UVC 1.0 (some devices answer
    /// GET_MIN and GET_MAX with two bytes).
    public init?(bytes: [UInt8]) {
        guard bytes.count >= 26 else { return nil }
        hint = bytes.littleEndian(at: 0)
        formatIndex = bytes[2]
        frameIndex = bytes[3]
        frameInterval = bytes.littleEndian(at: 4)
        keyFrameRate = bytes.littleEndian(at: 8)
        pFrameRate = bytes.littleEndian(at: 10)
        compressionQuality = bytes.littleEndian(at: 12)
        compressionWindowSize = bytes.littleEndian(at: 14)
        delay = bytes.littleEndian(at: 16)
        maxVideoFrameSize = bytes.littleEndian(at: 18)
        maxPayloadTransferSize = bytes.littleEndian(at: 22)
        clockFrequency = bytes.littleEndian(at: 26)
        framingInfo = bytes.littleEndian(at: 30)
        preferredVersion = bytes.littleEndian(at: 31)
        minVersion = bytes.littleEndian(at: 32)
        maxVersion = bytes.littleEndian(at: 33)
        usage = bytes.littleEndian(at: 34)
        bitDepthLuma = bytes.littleEndian(at: 35)
        settings = bytes.littleEndian(at: 36)
        maxReferenceFramesPlus1 = bytes.littleEndian(at: 37)
        rateControlModes = bytes.littleEndian(at: 38)
        layoutPerStream = bytes.littleEndian(at: 40)
    }
}
