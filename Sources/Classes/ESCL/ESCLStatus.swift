// How a scanner is: the answer to GET …/ScannerStatus (Mopria eSCL 2.97 §9).

public struct ESCLStatus: Hashable, Sendable {
    /// `pwg:State`
    public enum State: String, Hashable, Sendable, CaseIterable {
        case idle = "Idle"
        case processing = "Processing"
        /// Also while it warms up.
        case testing = "Testing"
        case stopped = "Stopped"
        case down = "Down"
        /// None, or one that nobody knows.
        case unknown = ""
    }

    /// `scan:AdfState`
    public enum Feeder: String, Hashable, Sendable, CaseIterable {
        case loaded = "ScannerAdfLoaded"
        case empty = "ScannerAdfEmpty"
        case jam = "ScannerAdfJam"
        case doorOpen = "ScannerAdfDoorOpen"
        case processing = "ScannerAdfProcessing"
        case unknown = ""
    }

    public struct Job: Hashable, Sendable {
        /// Its path, whatever host the device names; `nil` if it has none.
        public var path: String?
        /// `pwg:JobState`: `"Processing"`, `"Completed"`, `"Canceled"`, `"Aborted"`, `"Pending"`.
        public var state: String
        /// Pages that are ready to be fetched, where it says so.
        public var imagesToTransfer: Int?
        public var imagesCompleted: Int?

        public var isOpen: Bool { state == "Processing" || state == "Pending" }
    }

    public var state: State
    /// `nil` if it has no feeder, or says nothing of it.
    public var feeder: Feeder?
    public var jobs: [Job]

    private static let mostJobs = 64

    public init(parsing bytes: [UInt8]) throws {
        let root = try XMLElement(parsing: bytes)
        guard root.name == "ScannerStatus" else { throw ESCLFailure.document(root.name, expected: "ScannerStatus") }
        state = root["State"].flatMap { State(rawValue: $0.text) } ?? .unknown
        feeder = root["AdfState"].map { Feeder(rawValue: $0.text) ?? .unknown }
        jobs = (root["Jobs"]?.all("JobInfo") ?? []).prefix(Self.mostJobs).map { job in
            Job(
                path: job["JobUri"].flatMap { ESCLPath.path(of: $0.text, root: ESCLPath.root) },
                state: job["JobState"]?.text ?? "", imagesToTransfer: job["ImagesToTransfer"]?.number,
                imagesCompleted: job["ImagesCompleted"]?.number)
        }
    }
}
