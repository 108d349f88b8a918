// campaign: injects faults into live drivers while clients watch, and reports what each of them cost.

import ArgumentParser
import FoundationEssentials
import Glibc

@main
struct CampaignCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "campaign", abstract: "Inject thousands of faults, or run many cameras for a long time.",
        subcommands: [
            FaultsCommand.self, ObjectsCommand.self, ScannerCommand.self, SoakCommand.self, ScaleCommand.self, PlotCommand.self,
            ObjectClientCommand.self, ESCLClientCommand.self,
        ], defaultSubcommand: FaultsCommand.self)
}

/// `campaign faults`
struct FaultsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "faults",
        abstract: "Injects faults into the drivers of emulated cameras while clients watch, and reports what each fault cost.",
        discussion: "Everything is started in a folder of its own, and stopped afterwards. The same seed chooses the same faults.")

    @Option(help: "How many faults.") var faults = 300
    @Option(help: "The seed of the random numbers.") var seed: UInt64 = 1
    @Option(help: "Emulated cameras; faults are spread over them and injected in parallel.") var cameras = 8
    @Option(help: "Clients watching each camera.") var clients = 2
    @Option(help: "Kinds of faults, separated by commas; if left out, all: \(FaultKind.names).") var kinds: String?
    @Flag(help: "Set controls of each camera all the while, twice a second.") var controls = false
    @Flag(help: "Bulk cameras instead of isochronous ones.") var bulk = false
    @Flag(help: "Cameras are plugged into this machine's kernel with vhci_hcd and reached over usbfs; as root.") var usbfs = false
    @Flag(
        help:
            "Cameras wait for a transfer if none is queued in time, instead of dropping data: whatever is lost is the driver's doing."
    ) var hold = false
    @Option(help: "Size of the streams.") var size = "160x120"
    @Option(help: "Format of the streams.") var format = "yuy2"
    @Option(help: "The longest pause before a fault, in milliseconds; each pause is random.") var pause = 40
    @Option(help: "Faults between two checks of the supervisor's memory; a fiftieth of all if left out.") var sample: Int?
    @Option(help: "A file for the summary, as JSON. Left out: none.") var report: String?
    @Option(help: "A file for a line of JSON for each fault. Left out: none.") var log: String?
    @Option(help: "The folder of userdriver, userdriverd and webcam.driver.") var bin =
        FileManager.default.currentDirectoryPath + "/.build/release"

    func validate() throws {
        guard faults > 0, 1...64 ~= cameras, 1...16 ~= clients, 0...60_000 ~= pause, sample ?? 1 > 0 else {
            throw ValidationError(
                "A campaign needs at least one fault, 1 to 64 cameras, 1 to 16 clients each, and pauses of up to a minute.")
        }
        // It serves 256: those who watch, and for each camera one who asks for its driver and one who sets controls.
        guard cameras * (clients + (controls ? 2 : 1)) <= 250 else {
            throw ValidationError("The daemon has no room for that many clients: fewer cameras, or fewer clients of each.")
        }
        _ = try chosenKinds()
        _ = try dimensions()
    }

    private func chosenKinds() throws -> [FaultKind] {
        guard let kinds else { return FaultKind.allCases }
        return try kinds.split(separator: ",").map { name in
            guard let kind = FaultKind(rawValue: String(name)) else {
                throw ValidationError("There is no fault named \(name); there are \(FaultKind.names).")
            }
            return kind
        }
    }

    private func dimensions() throws -> (Int, Int) {
        let parts = size.split(separator: "x").compactMap { Int($0) }
        guard parts.count == 2 else { throw ValidationError("A size must be WIDTHxHEIGHT.") }
        return (parts[0], parts[1])
    }

    func run() async throws {
        let (width, height) = try dimensions()
        let stage = try await Stage(
            bin: bin, cameras: cameras, clients: clients, emulate: (hold ? ["--late", "hold"] : []) + (bulk ? ["--bulk"] : []),
            format: format, width: width, height: height,
            usbfs: usbfs)
        let plan = Campaign.Plan(
            faults: faults, kinds: try chosenKinds(), seed: seed, pause: .milliseconds(pause), setsControls: controls,
            sampleEvery: sample ?? max(1, faults / 50))
        let total = faults
        let (outcome, end) = try await stage.ending {
            try await Campaign(stage: stage, plan: plan, logPath: log).run { done, seconds in
                if isatty(2) == 1 { complain("\r\u{1b}[K" + Self.progress(done, total, seconds), end: "") }
            }
        }
        if isatty(2) == 1 { complain("") }
        let summary = Report(outcome: outcome, plan: plan, cameras: cameras, end: end)
        print(summary.text)
        if let report { try summary.json.write(toFile: report, atomically: true, encoding: .utf8) }
        throw ExitCode(summary.hasFailed ? 1 : 0)
    }

    /// `"1200/100000 faults, 27.3 a second, 1:00:20 to go"`
    private static func progress(_ done: Int, _ total: Int, _ seconds: Double) -> String {
        guard done > 0, seconds > 0 else { return "\(done)/\(total) faults" }
        let left = Int(Double(total - done) * seconds / Double(done))
        let minutes = String(100 + left / 60 % 60).dropFirst()
        let rest = String(100 + left % 60).dropFirst()
        return "\(done)/\(total) faults, \(Report.rate(UInt64(done), seconds)) a second, \(left / 3600):\(minutes):\(rest) to go"
    }
}

func complain(_ text: String, end: String = "\n") {
    let bytes = Array((text + end).utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}
