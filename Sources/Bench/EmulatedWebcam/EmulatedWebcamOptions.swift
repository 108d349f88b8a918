// How an emulated camera is made.

/// What kind of camera to emulate.
public struct EmulatedWebcamOptions: Sendable {
    /// How the stream travels.
    public enum Variant: String, CaseIterable, Hashable, Sendable {
        /// Alternate settings of up to 3 × 1024 bytes a microframe; what is not fetched in time is lost.
        case isochronous
        /// One bulk endpoint in alternate setting 0; a payload is a whole frame, and the camera keeps two frames for a late host.
        case bulk
    }

    /// What the camera offers.
    public enum Repertoire: Hashable, Sendable {
        /// Five sizes of each format, each at every rate that the bus carries.
        case full
        /// Two sizes at 30 frames a second and no word on colours: descriptors of at most 256 bytes in two formats, which is what GadgetFS sends.
        case compact
    }

    public var variant: Variant = .isochronous
    public var repertoire = Repertoire.full
    /// `iSerialNumber`; empty for a camera without one.
    public var serial = "EMU0001"
    /// `iProduct`
    public var name = "UserDriver Emulated Webcam"
    /// From "start streaming" to the first payload. Real cameras take a few hundred milliseconds.
    public var startupMilliseconds = 300
    /// In the order of their format indexes; not empty, none twice.
    public var formats: [WebcamFormat] = WebcamFormat.coloured
    /// H.264 comes from a second streaming interface. One of the two streams at a time.
    public var offersH264 = false
    /// It has a button for still images, and tells when it is pressed (`bTriggerSupport`).
    public var hasButton = false
    /// A shutter moved by hand, in place of a privacy control that can be set.
    public var hasShutter = false
    /// A picture (JPEG, PNG, PPM), MJPEG (JPEGs one after another) or Y4M file, shown instead of the scene, from its start again at its end.
    public var source: String?
    public var faults = FaultPlan()
    /// Every frame carries a ``FrameStamp``.
    public var stampsFrames = true
    /// Clock, frame number and time are written into the picture.
    public var showsOverlay = true
    /// Leave out of the JPEGs the standard Huffman tables, as many cameras do.
    public var omitsHuffmanTables = false
    /// Frames are drawn by a thread of their own, one ahead of the stream. Off: when they are due, by whoever asks (for tests, whose
    /// time is made up).
    public var drawsAhead = true

    public init() {}

    /// The formats of each streaming interface.
    var interfaces: [[WebcamFormat]] { [formats] + (offersH264 ? [[.h264]] : []) }

    /// Bytes of the probe blocks that it takes.
    var probeLengths: [Int] {
        faults.has(.probe26) ? [26] : faults.has(.probe34) ? [34] : StreamNegotiation.allLengths
    }
}
