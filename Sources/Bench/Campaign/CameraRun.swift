// One camera's share of a campaign: its faults, one after the other, each awaited until the camera's clients have frames again.

import CLinux
import Glibc
import UserDriverClient
import Wire

/// What became of one fault.
struct FaultOutcome: Sendable {
    var kind: FaultKind
    var camera: Int
    /// Nanoseconds of CLOCK_MONOTONIC.
    var time: UInt64
    /// Incarnations that came after it until frames came again; 0 if the driver lived on.
    var restarts: UInt32
    /// Of the clients of that camera, the one that missed most.
    var missing: UInt64
    /// Frames whose bytes the fault itself altered: the stamps caught them.
    var altered: UInt64
    /// From the fault to the first frame of another incarnation, in the hands of the last client. `nil` if the driver lived on.
    var recoveryMicroseconds: UInt64?
    /// From the fault until the next process was given the device, streams and transfers: the supervisor's share. `nil` if there was more than one death.
    var handoverMicroseconds: UInt64?
    /// What an earlier fault did after its own end, before this one.
    var late: LateDeath?
}

/// A death between two faults, counted for the last one that altered something.
struct LateDeath: Sendable {
    var kind: FaultKind
    var missing: UInt64
}

/// A camera and the faults that are done to its drivers. What chance decides comes from a stream of numbers of its own, so that the same seed
/// chooses the same faults however fast any camera is.
struct CameraRun {
    /// How long a camera may take to deliver again before it counts as stuck: longer than every step of the ladder, back-off included.
    static let patience: UInt64 = 120_000_000_000

    let stage: Stage
    let camera: Int
    let kinds: [FaultKind]
    /// The longest pause before a fault, in microseconds.
    let pause: UInt64
    private var random: SplitMix
    /// What was last done to the driver's memory, and what was seen when the last fault was over.
    private var lastAlteration: FaultKind?
    private var last: [Viewer.Tally] = []

    init(stage: Stage, camera: Int, kinds: [FaultKind], seed: UInt64, pause: UInt64) {
        self.stage = stage
        self.camera = camera
        // Hangs come a fourth as often: each takes half a second, and some a processor for as long.
        self.kinds = kinds.flatMap { Array(repeating: $0, count: $0.hangs ? 1 : 4) }
        self.pause = pause
        random = SplitMix(state: seed &+ UInt64(camera))
    }

    private var viewers: [Viewer] { stage.viewers[camera] }
    private var name: String { stage.cameras[camera] }
    private var isHeld: Bool { stage.isHeld }

    /// The next fault, from its pause to its end.
    mutating func next() async throws -> FaultOutcome {
        // All that chance decides of a fault, before anything depends on how fast the machine is.
        let kind = kinds[Int(random.next() % UInt64(kinds.count))]
        let wait = random.next() % max(pause, 1)
        var details = SplitMix(state: random.next())
        // The moment of a fault is chance's.
        try await Task.sleep(for: .microseconds(Int64(wait)))
        let before = viewers.map(\.now)
        var late: LateDeath?
        if let lastAlteration, let first = last.first, first.generation != before[0].generation {
            late = LateDeath(kind: lastAlteration, missing: zip(last, before).map { $1.missing - $0.missing }.max() ?? 0)
        }
        let time = try await inject(kind, &details)
        if kind.alters { lastAlteration = kind }
        let generations = before.map(\.generation)
        switch kind.sequel {
        case .death:
            try await each { [isHeld] viewer, index in { $0.hasRecovered(from: generations[index], isHeld: isHeld) } }
        case .frames(let count):
            // Whatever a flipped bit does shows in the next frames, or later.
            let arrived = before.map { $0.arrived + count }
            try await each { [isHeld] viewer, index in
                { tally in
                    tally.generation == generations[index]
                        ? tally.arrived >= arrived[index] : tally.hasRecovered(from: generations[index], isHeld: isHeld)
                }
            }
        }
        let after = viewers.map(\.now)
        last = after
        let restarts = zip(before, after).map { $1.generation &- $0.generation }.max() ?? 0
        let recovered = restarts > 0 ? after.map(\.firstOfGeneration).max() : nil
        if restarts == 0, kind.leavesDriverSpoilt { try await replaceDriver(generations) }
        let since = restarts == 1 ? try await stage.client.device(name).drivenSince : nil
        return FaultOutcome(
            kind: kind, camera: camera, time: time, restarts: restarts,
            missing: zip(before, after).map { $1.missing - $0.missing }.max() ?? 0,
            altered: zip(before, after).map { $1.altered - $0.altered }.reduce(0, +),
            recoveryMicroseconds: recovered.map { ($0 - min($0, time)) / 1000 },
            handoverMicroseconds: since.map { ($0 - min($0, time)) / 1000 }, late: late)
    }

    /// Ends a driver that lives on and is of no use any more; not counted.
    private mutating func replaceDriver(_ generations: [UInt32]) async throws {
        var random = SplitMix(state: 0)
        _ = try await inject(.kill, &random)
        try await each { [isHeld] viewer, index in { $0.hasRecovered(from: generations[index], isHeld: isHeld) } }
        last = viewers.map(\.now)
    }

    /// Does it to the driver that runs; when that was.
    private func inject(_ kind: FaultKind, _ details: inout SplitMix) async throws -> UInt64 {
        let deadline = clinux_monotonic_ns() + Self.patience
        while clinux_monotonic_ns() < deadline {
            let devices = try await stage.client.devices(kind == .standby ? nil : name)
            let process = devices.first { $0.id.hasSuffix(":" + name) }?.pid ?? 0
            let inUse = Set(devices.map(\.pid))
            if kind.alters { for viewer in viewers { viewer.taint(generation: viewer.now.generation) } }
            let time = clinux_monotonic_ns()
            if process > 0, kind.inject(into: process, inUse: inUse, random: &details) { return time }
            // It has died of something that was done to it earlier, and its successor is on its way: asked for again, as nothing tells
            // when a process that has just been listed can be hit.
            try await Task.sleep(for: .milliseconds(10))
        }
        throw StageError(description: "\(name) has no driver")
    }

    /// Waits for each viewer to have seen what it should.
    private func each(_ condition: (Viewer, Int) -> @Sendable (Viewer.Tally) -> Bool) async throws {
        let deadline = clinux_monotonic_ns() + Self.patience
        for (index, viewer) in viewers.enumerated() where await !viewer.wait(until: deadline, condition(viewer, index)) {
            if let why = viewer.now.ended { throw StageError(description: "a client of \(name) was cut off: \(why)") }
            throw StageError(description: "\(name) does not deliver")
        }
    }

    /// Returns once every client has frames.
    func begin() async throws {
        try await each { _, _ in { $0.arrived >= 30 } }
    }
}
