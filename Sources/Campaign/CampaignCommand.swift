// campaign: injects faults into live drivers while clients watch, and reports what each of them cost.

import ArgumentParser
import FoundationEssentials
import Glibc

@main
struct CampaignCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "campaign",
        abstract: "Injects faults into the drivers of emulated cameras while clients watch, and reports what each fault cost.",
        discussion: "Everything is started anew in a folder of its own, and ended afterwards. The same seed chooses the same faults.")

    @Option(help: "How many faults.") var faults = 300
    @Option(help: "Where the random numbers begin.") var seed: UInt64 = 1
    @Option(help: "Emulated cameras.") var cameras = 1
    @Option(help: "Clients that watch each camera.") var clients = 2
    @Option(help: "Kinds of faults, separated by commas; all of them where none is named: \(FaultKind.names).") var kinds: String?
    @Flag(help: "Bulk cameras instead of isochronous ones.") var bulk = false
    @Option(help: "Format and size of the streams.") var size = "160x120"
    @Option(help: "Format of the streams.") var format = "yuy2"
    @Option(help: "Where the report goes, as JSON; nowhere unless given.") var report: String?
    @Option(help: "The folder of userdriver, userdriverd and webcam.driver.") var bin =
        FileManager.default.currentDirectoryPath + "/.build/release"

    func validate() throws {
        guard faults > 0, 1...64 ~= cameras, 1...16 ~= clients else {
            throw ValidationError("A campaign has at least one fault, 1 to 64 cameras, and 1 to 16 clients each.")
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
        guard parts.count == 2 else { throw ValidationError("A size is WIDTHxHEIGHT.") }
        return (parts[0], parts[1])
    }

    func run() async throws {
        let (width, height) = try dimensions()
        let stage = try await Stage(
            bin: bin, cameras: cameras, clients: clients, emulate: bulk ? ["--bulk"] : [], format: format, width: width, height: height)
        var campaign = Campaign(stage: stage, kinds: try chosenKinds(), seed: seed)
        let outcome = try await campaign.run(faults: faults) { done, text in
            if isatty(2) == 1 { complain("\r\u{1b}[K\(done)/\(faults) \(text)", end: "") }
        }
        if isatty(2) == 1 { complain("") }
        let leftovers = try await stage.end()
        let summary = Report(outcome: outcome, seed: seed, leftovers: leftovers)
        print(summary.text)
        if let report { try summary.json.write(toFile: report, atomically: true, encoding: .utf8) }
        throw ExitCode(summary.hasFailed ? 1 : 0)
    }
}

func complain(_ text: String, end: String = "\n") {
    let bytes = Array((text + end).utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}
