// campaign objects: thousands of objects while driver, client and daemon are killed; none may be
// lost, doubled or altered.

import ArgumentParser
import FoundationEssentials
import Glibc
import Spawn
import UserDriverClient
import Wire

/// `campaign objects`
struct ObjectsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "objects",
        abstract: "Let a driver deliver objects while driver, client and daemon are killed, and count what was lost, doubled or altered.",
        discussion: "Kills follow the objects: the same number of objects between two kills, and a random moment.")

    @Option(help: "How many objects.") var objects = 10_000
    @Option(help: "How many kills.") var kills = 2000
    @Option(help: "Objects of a job.") var job = 100
    @Option(help: "Bytes of the largest object.") var largest = 4 << 20
    @Option(help: "The seed of the random numbers.") var seed: UInt64 = 1
    @Option(help: "Seconds without a new object after which to give up.") var patience = 60
    @Option(help: "The folder of userdriverd, usbip-proxy and test-driver.") var bin =
        FileManager.default.currentDirectoryPath + "/.build/release"

    func validate() throws {
        guard objects > 0, kills >= 0, 1...500 ~= job, 1...(256 << 20) ~= largest, patience > 0 else {
            throw ValidationError("A campaign needs at least one object of up to 256 MiB, and jobs of 1 to 500.")
        }
    }

    private enum Victim: String, CaseIterable { case driver, client, daemon }

    func run() async throws {
        let stage = try ObjectStage(bin: bin)
        var random = SplitMix(state: seed)
        var tally = Tally()
        let began = ContinuousClock.now
        let left: Int
        do {
            try await stage.startDaemon()
            try await stage.client.waitUntilRunning(timeout: .seconds(30))
            var number: UInt64 = 0
            while tally.objects < objects {
                number += 1
                let plan = ObjectJobPlan(
                    token: "campaign-\(seed)-job-\(number)", seed: seed &* 1000 &+ number, count: min(job, objects - tally.objects),
                    largest: largest)
                try await run(plan, stage, &tally, &random)
                tally.judge(plan, plan.results(in: stage.folder))
                if isatty(2) == 1 { complain("\r\u{1b}[K\(tally.objects)/\(objects) objects, \(tally.killed) kills", end: "") }
            }
            // Once the last daemon that was killed has a successor.
            try await stage.client.waitUntilRunning(timeout: .seconds(30))
            left = try await stage.client.objects().count
        } catch {
            complain("\(error)")
            complain("The files are kept in \(stage.folder).")
            try await stage.end(keepsFolder: true)
            throw ExitCode(1)
        }
        if isatty(2) == 1 { complain("") }
        try await stage.end(keepsFolder: tally.hasFailed)
        print(tally.text(seconds: began.duration(to: .now), left: left))
        if tally.hasFailed { complain("The files are kept in \(stage.folder).") }
        throw ExitCode(tally.hasFailed || left != 0 ? 1 : 0)
    }

    /// One job, from the first client to the last.
    private func run(_ plan: ObjectJobPlan, _ stage: ObjectStage, _ tally: inout Tally, _ random: inout SplitMix) async throws {
        var client = try stage.startClient(plan)
        var seen = 0
        var progress = ContinuousClock.now
        while true {
            let count = plan.results(in: stage.folder).count
            if count != seen { progress = .now }
            seen = count
            // Before the next victim is looked for: there may be none for ever.
            guard progress.duration(to: .now) < .seconds(patience) else {
                try client.tearDown()
                throw StageError(description: "There was no new object for \(patience) s, after \(seen) of job \(plan.token).")
            }
            let due = Int(Double(tally.objects + count) * Double(kills) / Double(objects))
            if tally.killed < due {
                // The moment is anybody's.
                try await Task.sleep(for: .microseconds(Int.random(in: 0...20_000, using: &random)))
                let victim = Victim.allCases.randomElement(using: &random) ?? .driver
                switch victim {
                case .driver:
                    if try await stage.killDriver() { tally.drivers += 1 }
                case .client:
                    try client.kill(SIGKILL)
                    if try client.wait() == .signaled(SIGKILL, dumped: false) { tally.clients += 1 }
                    client = try stage.startClient(plan)
                case .daemon:
                    try await stage.killDaemon()
                    tally.daemons += 1
                }
                continue
            }
            if let end = try client.collect() {
                if end == .exited(status: 0) { return }
                throw StageError(description: "The client ended by itself: \(end). See \(stage.folder)/client.")
            }
            // The client says what it has in a file; its end and its silence are both looked for above.
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}

/// What became of all objects.
private struct Tally {
    var objects = 0
    var (drivers, clients, daemons) = (0, 0, 0)
    var (lost, doubled, altered, abandoned) = (0, 0, 0, 0)
    private var ids: Set<UInt64> = []

    var killed: Int { drivers + clients + daemons }
    var hasFailed: Bool { lost + doubled + altered + abandoned > 0 }

    mutating func judge(_ plan: ObjectJobPlan, _ results: [(id: UInt64, index: Int, verdict: Substring)]) {
        objects += plan.count
        var indices: Set<Int> = []
        for result in results {
            if !ids.insert(result.id).inserted || !indices.insert(result.index).inserted { doubled += 1 }
            if result.verdict == "altered" { altered += 1 }
            if result.verdict == "abandoned" { abandoned += 1 }
        }
        lost += Set(0..<plan.count).subtracting(indices).count
    }

    func text(seconds: Duration, left: Int) -> String {
        """
        \(objects) objects under \(killed) kills (\(drivers) of the driver, \(clients) of the client, \(daemons) of the daemon) in \
        \(seconds.components.seconds) s: \(lost) lost, \(doubled) doubled, \(altered) altered, \(abandoned) abandoned; \(left) left behind.
        """
    }
}
