// What a scan says while it goes on, and how it ends.

/// A page, from its first byte on.
public struct ScanPage: Codable, Hashable, Sendable {
    public enum Side: String, Codable, Sendable { case front, back }

    /// From 1, of the job.
    public var page: Int
    /// From 1: in a duplex scan a sheet has two pages.
    public var sheet: Int
    public var side: Side
    /// The object that its bytes are in.
    public var object: UInt64
    /// So far.
    public var bytes: Int
    /// How many there will be, where the scanner says so.
    public var expected: Int?
    /// The media type, determined from its first bytes and not from what the scanner says.
    public var format: String
    /// An earlier process of the driver began it.
    public var resumed: Bool
    /// Of a whole page.
    public var sha256: String?
    /// Why it will never be whole.
    public var problem: String?

    public init(
        page: Int, sheet: Int, side: Side, object: UInt64, bytes: Int, expected: Int? = nil, format: String, resumed: Bool = false,
        sha256: String? = nil, problem: String? = nil
    ) {
        self.page = page
        self.sheet = sheet
        self.side = side
        self.object = object
        self.bytes = bytes
        self.expected = expected
        self.format = format
        self.resumed = resumed
        self.sha256 = sha256
        self.problem = problem
    }
}

/// How a scan ended.
public struct ScanEnd: Codable, Hashable, Sendable {
    public enum Reason: String, Codable, CaseIterable, Sendable {
        /// The flatbed's page, all sheets of the feeder, or as many as were wanted.
        case done
        /// There was nothing in the feeder.
        case empty
        case jam
        case coverOpen
        /// The scanner works for somebody else.
        case busy
        case cancelled
        /// Whoever asked for it went away and did not come back.
        case clientGone
        /// What became of the scanner's job can't be known: it was unplugged, or the way to it was lost.
        case interrupted
        /// The scanner does not take these settings.
        case refused
        case failed
    }
    public var reason: Reason
    /// A full sentence.
    public var message: String
    /// Pages that are whole.
    public var pages: Int
    /// Sheets of which a page is not whole.
    public var damaged: [Int]
    /// A sheet that may have left the feeder and of which nothing was delivered.
    public var lost: Int?

    public init(reason: Reason, message: String, pages: Int, damaged: [Int] = [], lost: Int? = nil) {
        self.reason = reason
        self.message = message
        self.pages = pages
        self.damaged = damaged
        self.lost = lost
    }

    /// Every page that was asked for is there and whole.
    public var isComplete: Bool { reason == .done && damaged.isEmpty && lost == nil }
}

/// A reply of `Scan`.
public struct ScanProgress: Codable, Hashable, Sendable {
    public enum Event: String, Codable, Sendable {
        case started
        /// The scanner is not ready yet: `message` says why.
        case waiting
        /// A page has begun, or more of it has come.
        case page
        /// It is whole, or never will be.
        case pageDone
        case ended
    }
    public var event: Event
    public var message: String?
    public var page: ScanPage?
    public var end: ScanEnd?

    public init(_ event: Event, message: String? = nil, page: ScanPage? = nil, end: ScanEnd? = nil) {
        self.event = event
        self.message = message
        self.page = page
        self.end = end
    }
}

/// The parameters of `Scan`.
public struct ScanRequest: Codable, Hashable, Sendable {
    public var job: String
    public var settings: ScanSettings?

    public init(job: String, settings: ScanSettings? = nil) {
        self.job = job
        self.settings = settings
    }
}

/// The parameters of `Feed`.
public struct FeedRequest: Codable, Hashable, Sendable {
    public var job: String
    /// Of the job's pages, from its beginning.
    public var pages: Int

    public init(job: String, pages: Int) {
        self.job = job
        self.pages = pages
    }
}
