// campaign scanner: jobs of a scanner while driver, client and endpoint are killed; each page is
// compared with what the scanner sent.

import ArgumentParser
import FoundationEssentials
import Glibc
import Wire

/// `campaign scanner`
struct ScannerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scanner",
        abstract: "Scan while driver, client and endpoint are killed, and count pages that were lost, doubled or mixed.",
        discussion: """
            Each lane has an emulated scanner, a daemon and an endpoint of its own. Jobs go at random through `userdriver scan` or \
            the endpoint, from feeder, both sides, or flatbed, as JPEG, PNG or PDF; the even lanes' scanners announce how long a \
            page is, the others send chunks. Kills follow the scanner's events: a job's request, a page that begins, arrives, or \
            has been read, an answer, the end; each after a random delay. The same seed chooses the same jobs and kills.
            """)

    @Option(help: "How many kills.") var kills = 300
    @Option(help: "The seed of the random numbers.") var seed: UInt64 = 1
    @Option(help: "Scanners side by side.") var lanes = 2
    @Option(help: "What to kill, separated by commas; if left out, all: \(ScannerVictim.names).") var victims: String?
    @Flag(help: "The scanner is plugged into this machine's kernel with vhci_hcd and reached over usbfs; as root, with one lane.")
    var usbfs = false
    @Option(help: "Seconds of silence after which to give up a job.") var patience = 60
    @Option(help: "A file for the summary, as JSON. Left out: none.") var report: String?
    @Option(help: "The folder of userdriver, userdriverd, userdriver-escl and scanner.driver.") var bin =
        FileManager.default.currentDirectoryPath + "/.build/release"

    func validate() throws {
        guard kills >= 0, 1...16 ~= lanes, patience > 0 else {
            throw ValidationError("A campaign needs 1 to 16 lanes, and a patience above 0.")
        }
        guard !usbfs || lanes == 1 else { throw ValidationError("Over usbfs a daemon sees every scanner: --usbfs needs --lanes 1.") }
        _ = try chosen()
    }

    private func chosen() throws -> [ScannerVictim] {
        guard let victims else { return ScannerVictim.allCases }
        return try victims.split(separator: ",").map { name in
            guard let victim = ScannerVictim(rawValue: String(name)) else {
                throw ValidationError("There is no victim named \(name); there are \(ScannerVictim.names).")
            }
            return victim
        }
    }

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        let victims = try chosen()
        let began = ContinuousClock.now
        let board = ScannerBoard(kills: kills)
        let tally = await withTaskGroup(of: ScannerTally.self) { group in
            for lane in 0..<lanes {
                let share = kills / lanes + (lane < kills % lanes ? 1 : 0)
                let plan = ScannerLane.Plan(
                    lane: lane, kills: share, seed: seed &+ UInt64(lane) &* 1_000_003, victims: victims, usbfs: usbfs,
                    patience: .seconds(patience), bin: bin)
                group.addTask { await ScannerLane(plan, board).run() }
            }
            var all = ScannerTally()
            for await one in group { all.add(one) }
            return all
        }
        if isatty(2) == 1 { complain("") }
        let seconds = began.duration(to: .now)
        print(tally.text(seed: seed, lanes: lanes, seconds: seconds))
        if let report {
            let summary = ScannerSummary(
                seed: seed, lanes: lanes, seconds: Double(seconds.components.seconds), hasFailed: tally.hasFailed, tally: tally)
            try String(decoding: JSON.encode(summary), as: UTF8.self).write(toFile: report, atomically: true, encoding: .utf8)
        }
        throw ExitCode(tally.hasFailed ? 1 : 0)
    }
}

/// Who dies.
enum ScannerVictim: String, CaseIterable, Codable, Sendable {
    case driver, client, endpoint
    static let names = allCases.map(\.rawValue).joined(separator: ", ")
}

/// For whoever waits.
actor ScannerBoard {
    private let kills: Int
    private var (done, jobs) = (0, 0)
    init(kills: Int) { self.kills = kills }

    func add(kills: Int, jobs: Int) {
        done += kills
        self.jobs += jobs
        if isatty(2) == 1 { complain("\r\u{1b}[K\(done)/\(self.kills) kills, \(self.jobs) jobs", end: "") }
    }
}
