// What a refusal means: the HTTP status together with what ScannerStatus says (as sane-airscan
// decides, and what firmware gets wrong besides). Pure.

/// What to do when a job's request was not met.
public enum ESCLVerdict: Hashable, Sendable {
    /// The same may be asked again after a pause: the scanner has said that it did nothing.
    case notYet(String)
    /// No more pages come, as it should be.
    case endOfPaper
    case empty
    case jam
    case coverOpen
    /// It works for somebody else.
    case busy
    /// The scanner, or somebody at it, has ended the job.
    case cancelled
    case refused(String)
    case failed(String)

    /// Of POST …/ScanJobs.
    public init(creating http: Int, _ status: ESCLStatus?, fromFeeder: Bool) {
        switch http {
        case 503:
            if status?.state == .processing, status?.jobs.contains(where: \.isOpen) == true {
                self = .busy
            } else {
                self = .notYet(Self.reason(status))
            }
        case 409:
            self = Self.paper(status, fromFeeder: fromFeeder) ?? .refused("it does not accept these settings")
        case 400, 415, 422: self = .refused("it does not accept these settings")
        case 401, 403: self = .refused("it wants a password, or is locked")
        case 404: self = .failed("it does not know the path for scan jobs")
        default: self = Self.paper(status, fromFeeder: fromFeeder) ?? .failed("it answers with HTTP status \(http)")
        }
    }

    /// Of GET …/NextDocument.
    /// - Parameters:
    ///   - job: the job's path.
    ///   - pages: how many came before.
    public init(fetching http: Int, _ status: ESCLStatus?, job: String, fromFeeder: Bool, pages: Int) {
        let known = status?.jobs.first { $0.path == job }
        switch http {
        case 503: self = .notYet(Self.reason(status))
        case 404, 410:
            // Some say so for "not yet": while images are still to come.
            let isPromised = known.map { $0.isOpen && ($0.imagesToTransfer ?? 0) > 0 } ?? false
            let isLoaded = known?.isOpen == true && fromFeeder && (status?.feeder == .loaded || status?.feeder == .processing)
            if isPromised || isLoaded || pages == 0 && !fromFeeder {
                self = .notYet("the page is not there yet")
            } else if pages > 0 {
                // The sensor may say jam where it means empty: 404 is what counts. It is no end where the scanner
                // has given the job up with paper left.
                self = (fromFeeder && status?.feeder == .loaded ? Self.ended(known) : nil) ?? .endOfPaper
            } else {
                self = status?.feeder == .doorOpen ? .coverOpen : .empty
            }
        case 409:
            if let paper = Self.paper(status, fromFeeder: fromFeeder) {
                self = paper == .empty && pages > 0 ? .endOfPaper : paper
            } else if known?.state == "Canceled" || known?.state == "Aborted" {
                self = .cancelled
            } else {
                self = .failed("it has ended the job")
            }
        default: self = Self.paper(status, fromFeeder: fromFeeder) ?? .failed("it answers with HTTP status \(http)")
        }
    }

    /// A job that did not come to its end.
    private static func ended(_ job: ESCLStatus.Job?) -> ESCLVerdict? {
        switch job?.state {
        case "Canceled": .cancelled
        case "Aborted": .failed("it has ended the job, with paper left in the feeder")
        default: nil
        }
    }

    private static func paper(_ status: ESCLStatus?, fromFeeder: Bool) -> ESCLVerdict? {
        guard fromFeeder else { return nil }
        return switch status?.feeder {
        case .jam: .jam
        case .doorOpen: .coverOpen
        case .empty: .empty
        case .loaded, .processing, .unknown, nil: nil
        }
    }

    private static func reason(_ status: ESCLStatus?) -> String {
        switch status?.state {
        case .testing: "it is warming up"
        case .processing: "it is busy"
        case .stopped: "it has stopped"
        case .down: "it is out of order"
        case .idle, .unknown, nil: "it is not ready"
        }
    }
}
