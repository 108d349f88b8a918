// A scan job, and the feeder that it takes sheets from.

/// A side of a sheet.
public enum PageSide: UInt8, CaseIterable, Hashable, Sendable {
    case front = 0
    case back = 1
}

/// A page that was scanned, as the scanner knows it.
public struct ScannedPage: Hashable, Sendable {
    public var job: Int
    /// From 1 in the order in which sheets left the feeder; 0 for the platen.
    public var sheet: Int
    public var side: PageSide
    /// Whether the host has fetched all of it.
    public var isWhole = false
}

struct ScanJob: Sendable {
    enum State: String, Sendable {
        case processing = "Processing"
        case completed = "Completed"
        case cancelled = "Canceled"
        case aborted = "Aborted"
    }

    let serial: Int
    let settings: ScanSettings
    var state = State.processing
    /// When something was last asked of it or read from it.
    var touched: UInt64
    var created: UInt64
    /// Pages that the host has fetched whole, and that were begun.
    var imagesCompleted = 0
    var imagesBegun = 0
    /// A page is being drawn or sent.
    var isPageMoving = false
    /// The sheet whose back comes next.
    var backOf: Int?
    var warmUntil: UInt64
    /// What NextDocument is still answered with before a page comes.
    var refusals: [Int]
    /// Behind the feeder's end: how an early answer was told.
    var wasRefused = false

    /// The last part of its URI.
    var name: String {
        let digits = String(serial, radix: 16)
        return "5ca00000-0000-4000-8000-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }
}

/// Sheets on a stack, and what keeps them from being fed.
struct Feeder: Sendable {
    enum Trouble: Hashable, Sendable {
        case jam
        case coverOpen
    }

    var sheets: Int
    /// The number of the sheet on top.
    var next = 1
    var trouble: Trouble?
}
