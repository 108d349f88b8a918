// One scanner's share of a campaign: job after job, kills in them, and what became of each page.

import EmulatedScanner
import FoundationEssentials
import Glibc
import Spawn
import UserDriverClient
import Wire

struct ScannerLane {
    struct Plan: Sendable {
        var lane: Int
        var kills: Int
        var seed: UInt64
        var victims: [ScannerVictim]
        var usbfs: Bool
        var patience: Duration
        var bin: String
    }

    /// A kill that is to come.
    private struct Kill {
        var victim: ScannerVictim
        var moment: ScannerMoment
        /// After so many more of its moments, and then this long.
        var nth: Int
        var delay: Duration

        init(_ victims: [ScannerVictim], _ job: ScannerJobPlan, _ random: inout SplitMix) {
            // Of a job through the command the endpoint knows nothing.
            let possible = victims.filter { job.way == .escl || $0 != .endpoint }
            victim = (possible.isEmpty ? victims : possible).randomElement(using: &random) ?? .driver
            moment = ScannerMoment.allCases.randomElement(using: &random) ?? .middle
            nth = Int.random(in: 1...2, using: &random)
            delay = .microseconds(Int.random(in: 0...(moment == .middle ? 150_000 : 15_000), using: &random))
        }

        /// The scanner says it; of a page's middle, its beginning.
        var note: ScannerMoment { moment == .middle ? .begun : moment }
    }

    private let plan: Plan
    private let board: ScannerBoard
    private var random: SplitMix
    private var tally = ScannerTally()
    private var number = 0

    init(_ plan: Plan, _ board: ScannerBoard) {
        self.plan = plan
        self.board = board
        random = SplitMix(state: plan.seed)
    }

    /// Until its kills are done. What goes wrong is in the tally.
    func run() async -> ScannerTally {
        var lane = self
        return await lane.work()
    }

    private mutating func work() async -> ScannerTally {
        // A scanner of which something went wrong may have paper left: the next job gets another one.
        while tally.kills < plan.kills, tally.problems.count < 10 {
            do {
                // Another lane's, or another program's, ports are 64 away, or the endpoint finds others.
                let base = 20_000 + UInt16(plan.lane) * 64 + UInt16(getpid() % 300) * 64
                let stage = try await ScannerStage(bin: plan.bin, lane: plan.lane, usbfs: plan.usbfs, basePort: base)
                let isWell = await work(on: stage)
                try await stage.end(keepsFolder: !isWell)
                if !isWell { tally.problems.append("The files are kept in \(stage.folder).") }
            } catch {
                tally.problems.append("Lane \(plan.lane): \(error)")
                return tally
            }
        }
        return tally
    }

    /// False once something has gone wrong.
    private mutating func work(on stage: ScannerStage) async -> Bool {
        while tally.kills < plan.kills {
            number += 1
            let job = ScannerJobPlan(number: number, in: stage.folder, &random)
            let before = (problems: tally.problems.count, kills: tally.kills)
            let first = stage.device.scannedPages.count
            do {
                let end = try await scan(job, stage)
                try await judge(job, stage, from: first, end)
            } catch {
                tally.failed += 1
                tally.problems.append("Job \(number) (\(job.kind)): \(error)")
            }
            tally.jobs += 1
            tally.kinds[job.kind, default: 0] += 1
            await board.add(kills: tally.kills - before.kills, jobs: 1)
            guard tally.problems.count == before.problems else { return false }
            // On purpose unheard: what is left of it goes with the stage's folder.
            try? FileManager.default.removeItem(atPath: job.folder)
        }
        return true
    }

    // MARK: A job

    private struct End {
        var status: ChildProcess.End
        var words: String
        var endpointKills = 0
        var clientKills = 0
    }

    private mutating func scan(_ job: ScannerJobPlan, _ stage: ScannerStage) async throws -> End {
        if job.sheets > 0 { stage.device.load(sheets: job.sheets) }
        let token = "scanner-campaign-\(plan.seed)-\(plan.lane)-\(number)"
        var kills = (0..<Int.random(in: 1...4, using: &random)).map { _ in Kill(plan.victims, job, &random) }
        var driver = try await stage.driver(after: 0)
        // A record that two drivers die on without getting on is dropped, as poison: that is not what is tried here.
        var stepsAtDeath = -1
        var end = End(status: .exited(status: 0), words: "")
        var baseline = kills.first.map { stage.notes.count($0.note) } ?? 0
        var client = try await stage.startClient(job, token: token)
        var (progress, seen) = (ContinuousClock.now, -1)
        while true {
            let all = stage.notes.all
            if all != seen { (seen, progress) = (all, .now) }
            guard progress.duration(to: .now) < plan.patience else {
                try client.tearDown()
                throw StageError(description: "Nothing has happened for \(plan.patience).")
            }
            if let next = kills.first, tally.kills < plan.kills, stage.notes.count(next.note) >= baseline + next.nth {
                let isTooSoon = next.victim == .driver && stage.notes.steps == stepsAtDeath
                if !isTooSoon {
                    kills.removeFirst()
                    // The instant of a death is chance's.
                    try await Task.sleep(for: next.delay)
                    switch next.victim {
                    case .driver:
                        driver = try await stage.driver(after: 0)
                        stepsAtDeath = stage.notes.steps
                        kill(driver, SIGKILL)
                        driver = try await stage.driver(after: driver)
                    case .client:
                        try client.kill(SIGKILL)
                        guard try client.wait() == .signaled(SIGKILL, dumped: false) else { continue }
                        end.clientKills += 1
                        client = try await stage.startClient(job, token: token)
                    case .endpoint:
                        try await stage.killEndpoint()
                        end.endpointKills += 1
                    }
                    stage.note("Job \(number): the \(next.victim.rawValue) is killed, \(next.delay) after \(next.moment.rawValue).")
                    tally.victims[next.victim.rawValue, default: 0] += 1
                    tally.moments[next.moment.rawValue, default: 0] += 1
                    baseline = kills.first.map { stage.notes.count($0.note) } ?? 0
                    continue
                }
            }
            if let status = try client.collect() {
                end.status = status
                end.words = Processes.text(job.folder + "/said") ?? ""
                return end
            }
            // Neither the scanner's notes nor a process wake anybody: both are looked at.
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    // MARK: What became of it

    private mutating func judge(
        _ job: ScannerJobPlan, _ stage: ScannerStage, from first: Int, _ end: End
    ) async throws {
        // Telling the scanner that a job is over may go on when its client has gone.
        let deadline = ContinuousClock.now + .seconds(30)
        var objects = try await stage.client.objects().count
        while stage.device.openJobs > 0 || objects > 0, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
            objects = try await stage.client.objects().count
        }
        var problems: [String] = []
        if stage.device.openJobs > 0 {
            tally.leftOpen += 1
            problems.append("the scanner's job is still open")
        }
        if objects > 0 {
            tally.leftBehind += objects
            problems.append("\(objects) objects are kept still")
        }
        let sent = Array(stage.device.scannedPages.dropFirst(first))
        let found = try job.found()
        if sent.count != job.pages || stage.device.sheetsLeft != 0 {
            problems.append("\(sent.count) pages were scanned of \(job.pages), \(stage.device.sheetsLeft) sheets are left")
        }
        if Set(sent.map(\.job)).count > 1 { problems.append("it took more than one of the scanner's jobs") }
        var right = 0
        // A page may come again where the endpoint dies between its last chunk and writing that down: one
        // for each of its deaths, and no more.
        var mayComeAgain = end.endpointKills
        for (index, page) in sent.enumerated() {
            let bytes = try EmulatedScanner.page(sheet: page.sheet, side: page.side, job: page.job, settings: job.sentSettings)
            let copies = found.filter { $0.number == index + 1 }
            let whole = copies.filter { job.isRight($0.bytes, bytes) }
            let wrong = copies.filter { $0.isComplete && !job.isRight($0.bytes, bytes) }
            if !wrong.isEmpty {
                tally.mixed += wrong.count
                problems.append("page \(index + 1) is not what the scanner sent")
            }
            let complete = whole.filter(\.isComplete).count
            let again = min(max(complete - 1, 0), mayComeAgain)
            mayComeAgain -= again
            tally.again += again
            if complete - 1 > again {
                tally.doubled += complete - 1 - again
                problems.append("page \(index + 1) came \(complete) times")
            }
            if complete == 0, !whole.isEmpty { tally.untold += 1 }
            if whole.isEmpty {
                tally.lost += 1
                problems.append("page \(index + 1) (sheet \(page.sheet)) is missing")
            } else {
                right += 1
            }
        }
        let tooMany = Set(found.filter { $0.isComplete && $0.number > sent.count }.map(\.number))
        if !tooMany.isEmpty {
            tally.doubled += tooMany.count
            problems.append("pages \(tooMany.sorted()) belong to no sheet")
        }
        tally.pages += right
        if end.status != .exited(status: 0) {
            tally.failed += 1
            problems.append("its client ended with \(end.status): \(end.words.split(separator: "\n").suffix(2).joined(separator: " "))")
        } else if right != job.pages {
            tally.silent += 1
            problems.append("and nobody said so")
        }
        if !problems.isEmpty { tally.problems.append("Job \(number) (\(job.kind)): \(problems.joined(separator: "; ")).") }
    }
}
