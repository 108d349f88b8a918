// What can be asked of a scanner, and what is asked.

/// Where the paper is.
public enum ScanSource: String, Codable, CaseIterable, Sendable {
    case flatbed
    case feeder = "adf"
    case feederDuplex = "adf-duplex"
    /// The feeder where it has paper, else the flatbed.
    case automatic = "auto"
}

/// The colours of pages.
public enum ScanMode: String, Codable, CaseIterable, Sendable {
    case color
    case gray
    /// Black and white, one bit.
    case blackAndWhite = "bw"
}

/// What a client wants. Whatever is left out, the driver chooses.
public struct ScanSettings: Codable, Hashable, Sendable {
    public var source: ScanSource?
    /// Dots per inch.
    public var resolution: Int?
    public var mode: ScanMode?
    /// A media type: `"image/jpeg"`.
    public var format: String?
    /// The region's corner and size, in 1/300 inch.
    public var x: Int?
    public var y: Int?
    public var width: Int?
    public var height: Int?
    /// The most pages that the feeder is asked for.
    public var pages: Int?
    /// No page is asked for before `Feed` has said that it is wanted.
    public var held: Bool?

    public init(
        source: ScanSource? = nil, resolution: Int? = nil, mode: ScanMode? = nil, format: String? = nil, x: Int? = nil, y: Int? = nil,
        width: Int? = nil, height: Int? = nil, pages: Int? = nil, held: Bool? = nil
    ) {
        self.source = source
        self.resolution = resolution
        self.mode = mode
        self.format = format
        self.x = x
        self.y = y
        self.width = width
        self.height = height
        self.pages = pages
        self.held = held
    }
}

/// The reply of `GetCapabilities`.
public struct ScannerCapabilities: Codable, Hashable, Sendable {
    /// In 1/300 inch.
    public struct Size: Codable, Hashable, Sendable {
        public var width: Int
        public var height: Int
        public init(width: Int, height: Int) {
            self.width = width
            self.height = height
        }
    }

    public struct Source: Codable, Hashable, Sendable {
        public var source: ScanSource
        public var minimum: Size
        public var maximum: Size
        public var modes: [ScanMode]
        /// Media types.
        public var formats: [String]
        /// Dots per inch, ascending: what the scanner lists, or usual ones within its range.
        public var resolutions: [Int]

        public init(
            source: ScanSource, minimum: Size, maximum: Size, modes: [ScanMode], formats: [String], resolutions: [Int]
        ) {
            self.source = source
            self.minimum = minimum
            self.maximum = maximum
            self.modes = modes
            self.formats = formats
            self.resolutions = resolutions
        }
    }

    /// As the scanner calls itself.
    public var name: String
    public var serial: String?
    public var sources: [Source]

    public init(name: String, serial: String? = nil, sources: [Source]) {
        self.name = name
        self.serial = serial
        self.sources = sources
    }
}

/// The reply of `GetStatus`.
public struct ScannerState: Codable, Hashable, Sendable {
    public enum State: String, Codable, CaseIterable, Sendable { case idle, processing, testing, stopped, down, unknown }
    public enum Feeder: String, Codable, CaseIterable, Sendable { case loaded, empty, jam, open, processing, unknown }

    public var state: State
    /// `nil` if there is no feeder, or it says nothing.
    public var feeder: Feeder?
    /// The job that is being scanned for.
    public var job: String?

    public init(state: State, feeder: Feeder? = nil, job: String? = nil) {
        self.state = state
        self.feeder = feeder
        self.job = job
    }
}
