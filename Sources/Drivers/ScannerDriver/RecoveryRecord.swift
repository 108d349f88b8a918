// What the next incarnation needs to go on where this one ended. Each step is written here before
// it is taken.

import ESCL
import ScannerInterface
import Wire

/// Kept by the supervisor.
struct RecoveryRecord: Codable, Equatable {
    /// The interfaces are claimed and in their alternate settings.
    var isSetUp = false
    var job: JobRecord?
    /// Jobs that have ended, the last one last: who asks for one again is told how it ended.
    var past: [EndedJob] = []

    struct EndedJob: Codable, Equatable {
        var token: String
        var end: ScanEnd
    }
    static let mostPast = 8

    /// A record that can't be read is no record: the driver starts as if for the first time, and
    /// says so.
    static func read(_ value: JSONValue?) throws -> RecoveryRecord {
        guard let value else { return RecoveryRecord() }
        return try value.decoded(as: RecoveryRecord.self)
    }

    mutating func ended(_ token: String, _ end: ScanEnd) {
        past.removeAll { $0.token == token }
        past.append(EndedJob(token: token, end: end))
        past.removeFirst(max(0, past.count - Self.mostPast))
        job = nil
    }
}

/// A job that goes on.
struct JobRecord: Codable, Equatable {
    enum Phase: String, Codable {
        /// The scanner is asked for a job.
        case creating
        /// It is asked for a page.
        case fetching
        /// It is told that the job is over.
        case closing
    }
    /// The client's job.
    var token: String
    var settings: ESCLSettings
    /// The most pages that are wanted.
    var limit: Int?
    /// How many pages are wanted by now; `nil` for all that there are.
    var wanted: Int?
    var phase = Phase.creating
    /// Of the request that this phase makes, on the channel for pages; `nil` before it is made.
    var serial: UInt32?
    /// The scanner's job, once there is one.
    var path: String?
    /// The page that is asked for, or comes next, from 1.
    var page = 1
    /// Pages that are whole.
    var whole = 0
    /// Sheets of which a page is not.
    var damaged: [Int] = []
    /// Somebody wants it to end.
    var isCancelled = false
    /// How it ends, once it is being closed.
    var end: ScanEnd?

    var isFromFeeder: Bool { settings.source != .platen }

    /// Sheet and side of a page.
    func place(of page: Int) -> (sheet: Int, side: ScanPage.Side) {
        settings.source == .duplex ? ((page + 1) / 2, page % 2 == 1 ? .front : .back) : (page, .front)
    }

    mutating func damage(_ sheet: Int) { if !damaged.contains(sheet), damaged.count < 256 { damaged.append(sheet) } }
}
