// What a refusal means, together with the scanner's status.

import ESCL
import Testing

@Suite struct VerdictTests {
    private func status(_ state: String = "Idle", feeder: String? = nil, job: String? = nil, waiting: Int? = nil) throws -> ESCLStatus {
        let waiting = waiting.map { "<ImagesToTransfer>\($0)</ImagesToTransfer>" } ?? ""
        let jobs = job.map { "<Jobs><JobInfo><JobUri>/eSCL/ScanJobs/1</JobUri><JobState>\($0)</JobState>\(waiting)</JobInfo></Jobs>" } ?? ""
        let feeder = feeder.map { "<AdfState>ScannerAdf\($0)</AdfState>" } ?? ""
        return try ESCLStatus(parsing: Array("<ScannerStatus><State>\(state)</State>\(feeder)\(jobs)</ScannerStatus>".utf8))
    }

    private func fetching(_ http: Int, _ status: ESCLStatus?, pages: Int, fromFeeder: Bool = true) -> ESCLVerdict {
        ESCLVerdict(fetching: http, status, job: "/eSCL/ScanJobs/1", fromFeeder: fromFeeder, pages: pages)
    }

    @Test func theFeederIsThrough() throws {
        #expect(fetching(404, try status(feeder: "Empty"), pages: 3) == .endOfPaper)
        #expect(fetching(404, try status(feeder: "Jam"), pages: 3) == .endOfPaper, "404 counts, whatever the sensor says")
        #expect(fetching(404, nil, pages: 3) == .endOfPaper)
        #expect(fetching(409, try status(feeder: "Empty"), pages: 3) == .endOfPaper)
        // A sensor may be late; a job that the scanner gave up with paper in the feeder is no end.
        #expect(fetching(404, try status(feeder: "Loaded", job: "Completed"), pages: 3) == .endOfPaper)
        #expect(fetching(404, try status(feeder: "Loaded"), pages: 3) == .endOfPaper)
        #expect(fetching(404, try status(feeder: "Loaded", job: "Canceled"), pages: 1) == .cancelled)
        guard case .failed = fetching(410, try status(feeder: "Loaded", job: "Aborted"), pages: 1) else {
            Issue.record("a job that the scanner has ended by itself is no scan that is through")
            return
        }
        #expect(fetching(404, try status(feeder: "Empty"), pages: 0) == .empty)
        #expect(fetching(409, try status(feeder: "Empty"), pages: 0) == .empty)
    }

    @Test func notYetIsNotTheEnd() throws {
        for http in [404, 410] {
            guard case .notYet = fetching(http, try status("Processing", feeder: "Empty", job: "Processing", waiting: 1), pages: 2),
                case .notYet = fetching(http, try status("Processing", feeder: "Loaded", job: "Processing"), pages: 0),
                case .notYet = fetching(http, try status("Processing", job: "Processing"), pages: 0, fromFeeder: false)
            else {
                Issue.record("\(http) ends the job")
                continue
            }
        }
        guard case .notYet(let why) = fetching(503, try status("Testing"), pages: 0) else {
            Issue.record("503 ends the job")
            return
        }
        #expect(why == "it is warming up")
    }

    @Test func paperThatIsStuckIsSaid() throws {
        #expect(fetching(409, try status(feeder: "Jam"), pages: 1) == .jam)
        #expect(fetching(500, try status(feeder: "Jam"), pages: 1) == .jam)
        #expect(fetching(409, try status(feeder: "DoorOpen"), pages: 1) == .coverOpen)
        #expect(fetching(409, try status(job: "Canceled"), pages: 1) == .cancelled)
        guard case .failed = fetching(500, nil, pages: 1) else {
            Issue.record("500 is no failure")
            return
        }
    }

    @Test func aJobIsRefused() throws {
        #expect(ESCLVerdict(creating: 409, try status(feeder: "Empty"), fromFeeder: true) == .empty)
        #expect(ESCLVerdict(creating: 503, try status("Processing", job: "Processing"), fromFeeder: true) == .busy)
        guard case .refused = ESCLVerdict(creating: 409, try status(), fromFeeder: false),
            case .notYet = ESCLVerdict(creating: 503, try status("Testing"), fromFeeder: false),
            case .refused = ESCLVerdict(creating: 401, nil, fromFeeder: false)
        else {
            Issue.record("a refusal is taken for something else")
            return
        }
    }
}
