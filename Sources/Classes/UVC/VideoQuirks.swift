// What some cameras get wrong, by the names and numbers of the kernel's uvcvideo driver.

/// Deviations that this module works around when told to. Raw values are uvcvideo's (`quirks=` of its module), so that a quirk known there
/// can be carried over.
public struct VideoQuirks: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// GET_MIN and GET_MAX of the probe control crash the device, or answer garbage.
    public static let noProbeMinMax = VideoQuirks(rawValue: 0x0000_0002)
    /// SET_CUR of the probe control stalls unless the sizes that the device reported are sent back.
    public static let probeExtraFields = VideoQuirks(rawValue: 0x0000_0004)
    /// FID never toggles.
    public static let streamNoFrameID = VideoQuirks(rawValue: 0x0000_0010)
    /// The selector unit must not be asked.
    public static let ignoreSelectorUnit = VideoQuirks(rawValue: 0x0000_0020)
    /// `dwMaxPayloadTransferSize` is far too large for uncompressed formats: computed instead.
    public static let fixBandwidth = VideoQuirks(rawValue: 0x0000_0080)
    /// GET_DEF of the probe control must not be sent.
    public static let noProbeDefaults = VideoQuirks(rawValue: 0x0000_0100)
    /// Only the default frame interval of each frame works.
    public static let restrictFrameRate = VideoQuirks(rawValue: 0x0000_0200)
    /// Controls are garbled by a reset: their defaults are set again at the start.
    public static let restoreControls = VideoQuirks(rawValue: 0x0000_0400)
    /// EOF may get lost without FID toggling.
    public static let mjpegNoEndOfFrame = VideoQuirks(rawValue: 0x0002_0000)
    /// The device speaks UVC 1.0 whatever its descriptors say. (uvcvideo has a version of its own for this; the bit is ours.)
    public static let version10 = VideoQuirks(rawValue: 0x8000_0000)
    /// After a refused request the reason must not be asked for. (Proposed for uvcvideo as 0x80000.)
    public static let noErrorCode = VideoQuirks(rawValue: 0x0008_0000)

    /// By the names that quirk files use.
    public static let names: [(name: String, quirk: VideoQuirks)] = [
        ("no-probe-min-max", .noProbeMinMax), ("probe-extra-fields", .probeExtraFields), ("stream-no-fid", .streamNoFrameID),
        ("ignore-selector-unit", .ignoreSelectorUnit), ("fix-bandwidth", .fixBandwidth), ("no-probe-defaults", .noProbeDefaults),
        ("restrict-frame-rate", .restrictFrameRate), ("restore-controls", .restoreControls), ("mjpeg-no-eof", .mjpegNoEndOfFrame),
        ("version-1.0", .version10), ("no-error-code", .noErrorCode),
    ]

    /// `nil` for a name that is not in the table.
    public init?(name: String) {
        guard let entry = Self.names.first(where: { $0.name == name }) else { return nil }
        self = entry.quirk
    }
}
