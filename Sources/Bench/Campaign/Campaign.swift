// The campaign itself: cameras side by side, each with its own share of the faults, and what they cost added up.

import CLinux
import Glibc
import UserDriverClient
import Wire

actor Campaign {
    struct Plan: Sendable {
        var faults: Int
        var kinds: [FaultKind]
        var seed: UInt64
        /// The longest pause before a fault.
        var pause: Duration
        /// Whether somebody sets controls of each camera all along.
        var setsControls: Bool
        /// Faults between two looks at the supervisor.
        var sampleEvery: Int
    }

    private let stage: Stage
    private let plan: Plan
    private var log: FaultLog?
    private var outcome = CampaignOutcome()
    private var done = 0
    private var start: UInt64 = 0

    init(stage: Stage, plan: Plan, logPath: String?) throws {
        self.stage = stage
        self.plan = plan
        log = try logPath.map { try FaultLog(path: $0) }
    }

    func run(progress: @escaping @Sendable (_ done: Int, _ seconds: Double) -> Void) async throws -> CampaignOutcome {
        let (stage, plan) = (stage, plan)
        let pause = UInt64(plan.pause.components.seconds) * 1_000_000 + UInt64(plan.pause.components.attoseconds / 1_000_000_000_000)
        let runs = stage.cameras.indices.map {
            CameraRun(stage: stage, camera: $0, kinds: plan.kinds, seed: plan.seed, pause: pause)
        }
        let clock = Task { [weak self] in
            while !Task.isCancelled {
                // A clock: what expires, and how far it has come, is looked at by the second.
                try await Task.sleep(for: .seconds(1))
                for viewer in stage.viewers.flatMap({ $0 }) { viewer.expire() }
                if let self { await self.tell(progress) }
            }
        }
        defer { clock.cancel() }
        for run in runs { try await run.begin() }
        try await checkPermission()
        start = clinux_monotonic_ns()
        sample()
        let (cameras, client) = (stage.cameras, stage.client)
        let loads =
            !plan.setsControls
            ? []
            : cameras.enumerated().map { index, name in
                Task { await ControlLoad.run(client.camera(name), seed: plan.seed &+ UInt64(index)) }
            }
        await withTaskGroup(of: Void.self) { group in
            for (index, run) in runs.enumerated() {
                // Shared out evenly; the first cameras take what is left over.
                let share = plan.faults / runs.count + (index < plan.faults % runs.count ? 1 : 0)
                group.addTask { await self.work(run, share) }
            }
        }
        for load in loads { load.cancel() }
        for load in loads { outcome.controls.add(await load.value) }
        try log?.flush()
        await tell(progress)
        return finish()
    }

    /// Drivers are not dumpable: only root, or who has CAP_SYS_PTRACE, gets at their memory and threads.
    private func checkPermission() async throws {
        let wanting = plan.kinds.filter { $0.traces || $0.alters }
        guard !wanting.isEmpty else { return }
        let process = try await stage.client.device(stage.cameras[0]).pid
        guard let why = Tracing.obstacle(process) ?? ProcessMemory.obstacle(process) else { return }
        throw StageError(
            description:
                "\(wanting.map(\.rawValue).joined(separator: ", ")) need to trace the drivers, which is not permitted here (\(why)). "
                + "Run the campaign as root, or name other faults with --kinds.")
    }

    private func work(_ run: CameraRun, _ share: Int) async {
        var run = run
        for number in 0..<share {
            do {
                let one = try await run.next()
                try note(one)
            } catch {
                outcome.addStuck("camera \(run.camera), fault \(number): \(error)")
                if kill(stage.daemon, 0) != 0 { break }
            }
        }
    }

    private var seconds: Double { start == 0 ? 0 : Double(clinux_monotonic_ns() - start) / 1e9 }

    private func note(_ one: FaultOutcome) throws {
        done += 1
        outcome.add(one, number: done, of: plan.faults)
        try log?.add(one, seconds: Double(one.time - min(one.time, start)) / 1e9)
        if done % plan.sampleEvery == 0 { sample() }
    }

    private func sample() {
        outcome.samples.append(
            DaemonSample(
                faults: done, seconds: seconds, footprint: Processes.footprint(of: stage.daemon),
                children: Processes.children(of: stage.daemon).count))
    }

    private func tell(_ progress: @Sendable (Int, Double) -> Void) async { progress(done, seconds) }

    private func finish() -> CampaignOutcome {
        outcome.seconds = seconds
        if outcome.samples.last?.faults != done { sample() }
        outcome.supervisorLives = kill(stage.daemon, 0) == 0
        for tally in stage.viewers.flatMap({ $0 }).map(\.now) {
            outcome.frames += tally.frames
            outcome.missing += tally.missing
            outcome.torn += tally.torn
            outcome.doubled += tally.doubled
            outcome.altered += tally.altered
            outcome.damaged += tally.damaged
            if let why = tally.ended { outcome.ended.append(why) }
        }
        return outcome
    }
}
