// How an emulated scanner is made.

/// What kind of scanner to emulate.
public struct EmulatedScannerOptions: Sendable {
    /// How the alternate settings of each interface are laid out.
    public enum Layout: String, CaseIterable, Hashable, Sendable {
        /// Setting 0 is the old printer protocol (7/1/2), setting 1 IPP over USB (7/1/4); both have the
        /// same endpoints. The usual one.
        case shared
        /// Setting 0 is IPP over USB, and there is no other.
        case plain
        /// Setting 0 is IPP over USB without endpoints, setting 1 the same with endpoints.
        case hollow
    }

    /// How a body's end is told.
    public enum Framing: String, CaseIterable, Hashable, Sendable {
        /// `Transfer-Encoding: chunked`
        case chunked
        /// `Content-Length`
        case length
    }

    /// What the device takes its time for. The default is none: it is as fast as its host.
    public struct Pace: Hashable, Sendable {
        /// From the first page that is asked for after a pause: the page is answered with 503 until
        /// then.
        public var warmUpMilliseconds = 0
        /// From a page being asked for to its first byte.
        public var feedMilliseconds = 0
        /// At which a page comes; 0 for no limit.
        public var bytesPerSecond = 0
        /// At which it takes what it is sent, each interface by itself; 0 for no limit.
        public var printBytesPerSecond = 0
        public init() {}

        /// A desktop scanner's: 1.5 s of warming up, 0.4 s for a sheet, 2 MB/s.
        public static var desktop: Pace {
            var pace = Pace()
            pace.warmUpMilliseconds = 1500
            pace.feedMilliseconds = 400
            pace.bytesPerSecond = 2_000_000
            return pace
        }
    }

    /// Interfaces for IPP over USB, 1 to 4: each is one HTTP connection.
    public var pairs = 3
    public var layout = Layout.shared
    public var framing = Framing.chunked
    /// Whether a transfer whose last packet is full is ended by a zero-length packet.
    public var sendsEmptyPackets = true
    /// Answers come in transfers of any length, with empty ones between them.
    public var splitsOddly = false
    /// Whether each interface carries IPP over USB's own descriptor (0x21).
    public var hasInformation = true
    /// Sheets in the feeder, which depletes.
    public var sheets = 5
    /// Somebody puts as many sheets in again whenever a job has emptied the feeder and ended.
    public var reloads = false
    public var pace = Pace()
    /// How long a job that nobody asks anything of stays open.
    public var jobTimeoutMilliseconds = 60_000
    /// How many unread bytes of a page stay in a pipe when its job ends before it has been read.
    public var unreadBytesKept = 128 << 10
    public var faults = ScannerFaults()
    /// `iSerialNumber`; empty for a scanner without one.
    public var serial = "EMU0001"
    /// `iManufacturer` and the device ID's MFG.
    public var manufacturer = "UserDriver"
    /// `iProduct` and the device ID's MDL.
    public var model = "Emulated Scanner"

    public init() {}
}
