// The campaign itself: one fault after the other, each awaited until its camera delivers again.

import CLinux
import Glibc
import UserDriverClient
import Wire

/// What became of one fault.
struct FaultOutcome: Codable, Sendable {
    var kind: FaultKind
    var camera: Int
    /// Incarnations that came after it until frames came again; 0 where the driver lived on.
    var restarts: UInt32
    /// Of the clients of that camera, the one that missed most.
    var missing: UInt64
    /// Frames whose bytes the fault itself altered: the stamps caught them.
    var altered: UInt64
    /// From the fault to the first frame of another incarnation, in a client's hands. `nil` where the driver lived on.
    var recoveryMilliseconds: Double?
}

struct CampaignOutcome: Sendable {
    var faults: [FaultOutcome] = []
    var frames: UInt64 = 0
    var missing: UInt64 = 0
    var torn: UInt64 = 0
    var doubled: UInt64 = 0
    /// Clients whose handle was closed, and why.
    var ended: [String] = []
    /// Cameras that did not deliver again.
    var stuck: [String] = []
    var seconds = 0.0
    var daemonBefore = (privateKiB: 0, descriptors: 0)
    var daemonAfter = (privateKiB: 0, descriptors: 0)
    var supervisorLives = true
}

struct Campaign {
    /// How long a camera may take to deliver again before it counts as stuck: longer than every step of the ladder, back-off included.
    static let patience = Duration.seconds(120)

    let stage: Stage
    let kinds: [FaultKind]
    private var random: SplitMix

    init(stage: Stage, kinds: [FaultKind], seed: UInt64) {
        self.stage = stage
        self.kinds = kinds
        random = SplitMix(state: seed)
    }

    mutating func run(faults: Int, progress: (Int, String) -> Void) async throws -> CampaignOutcome {
        var outcome = CampaignOutcome()
        for camera in stage.viewers.indices { try await frames(30, of: camera) }
        outcome.daemonBefore = ProcessMemory.footprint(of: stage.daemon)
        let start = clinux_monotonic_ns()
        for number in 0..<faults {
            // All that chance decides of a fault, before anything depends on how fast the machine is.
            let kind = kinds[Int(random.next() % UInt64(kinds.count))]
            let camera = Int(random.next() % UInt64(stage.cameras.count))
            let wait = Int64(random.next() % 200_000)
            do {
                let one = try await inject(kind, into: camera, after: .microseconds(wait))
                outcome.faults.append(one)
                progress(number + 1, "\(kind.rawValue): \(one.missing) missing")
            } catch let error as StageError {
                outcome.stuck.append("fault \(number), \(kind.rawValue): \(error.description)")
                if kill(stage.daemon, 0) != 0 { break }
            }
        }
        outcome.seconds = Double(clinux_monotonic_ns() - start) / 1e9
        outcome.daemonAfter = ProcessMemory.footprint(of: stage.daemon)
        outcome.supervisorLives = kill(stage.daemon, 0) == 0
        let altered = outcome.faults.reduce(0) { $0 + $1.altered }
        for tally in stage.viewers.flatMap({ $0 }).map(\.now) {
            outcome.frames += tally.frames
            outcome.missing += tally.missing
            outcome.torn += tally.torn
            outcome.doubled += tally.doubled
            if let why = tally.ended { outcome.ended.append(why) }
        }
        outcome.torn -= min(outcome.torn, altered)
        return outcome
    }

    private mutating func inject(_ kind: FaultKind, into camera: Int, after wait: Duration) async throws -> FaultOutcome {
        try await Task.sleep(for: wait)
        let viewers = stage.viewers[camera]
        let before = viewers.map(\.now)
        let device = try await stage.client.device(stage.cameras[camera])
        let time = clinux_monotonic_ns()
        let wasInjected = device.pid > 0 && kind.inject(into: device.pid, random: &random)
        if wasInjected, kind.ends { try await anotherGeneration(than: before.map(\.generation), of: camera) }
        // Whatever a flipped bit does shows in the next frames, or later: then it counts for the fault that comes then.
        try await frames(5, of: camera)
        let after = viewers.map(\.now)
        let restarts = zip(before, after).map { $1.generation &- $0.generation }.max() ?? 0
        let recovered = restarts > 0 ? after.map(\.firstOfGeneration).max() : nil
        return FaultOutcome(
            kind: kind, camera: camera, restarts: restarts, missing: zip(before, after).map { $1.missing - $0.missing }.max() ?? 0,
            altered: kind.alters ? zip(before, after).map { $1.torn - $0.torn }.reduce(0, +) : 0,
            recoveryMilliseconds: recovered.map { Double($0 - min($0, time)) / 1e6 })
    }

    private func anotherGeneration(than before: [UInt32], of camera: Int) async throws {
        for (viewer, generation) in zip(stage.viewers[camera], before) {
            try await wait(viewer, camera) { $0.generation != generation }
        }
    }

    private func frames(_ count: UInt64, of camera: Int) async throws {
        for viewer in stage.viewers[camera] {
            let now = viewer.now
            try await wait(viewer, camera) { $0.frames + $0.torn >= now.frames + now.torn + count }
        }
    }

    private func wait(_ viewer: Viewer, _ camera: Int, until condition: @escaping @Sendable (Viewer.Tally) -> Bool) async throws {
        let name = stage.cameras[camera]
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                if condition(viewer.now) { return }
                for await _ in viewer.arrivals {
                    if condition(viewer.now) { return }
                    if let why = viewer.now.ended { throw StageError(description: "a client of \(name) was cut off: \(why)") }
                }
            }
            group.addTask {
                try await Task.sleep(for: Self.patience)
                throw StageError(description: "\(name) does not deliver")
            }
            try await group.next()
            group.cancelAll()
        }
    }
}
