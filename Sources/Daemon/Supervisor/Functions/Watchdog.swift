// Whether a driver hangs, told from its counters and heartbeats: a pure value that is shown the time.

import Threads
import Wire

/// What the driver writes of one activity into its progress pages. Nothing of it is trusted beyond: it changes, or it does not.
struct ProgressCounters: Hashable, Sendable {
    /// Which activity it is; 0 for one that is shown to nobody.
    var number: UInt64 = 0
    var turns: UInt64 = 0
    var transfers: UInt64 = 0
    /// Frames, bytes, lines, whatever the activity counts.
    var units: UInt64 = 0
    var unitsBefore: UInt64 = 0
    var deliveries: UInt64 = 0
    var watch = ProgressPage.Watch.nothing
    /// Watched by turns: what a frame takes, 0 if the device does not say. Watched by units: how long one may take. In nanoseconds.
    var unitTime: UInt64 = 0
    /// Nanoseconds of the quiet wait that is declared, 0 for none.
    var waitLimit: UInt64 = 0
    var waitNumber: UInt64 = 0

    var isWaiting: Bool { waitLimit > 0 }
    /// Whether standing still means anything.
    var isWatched: Bool { watch != .nothing || isWaiting }
}

/// Judges one incarnation of a driver: each of its activities by itself, so that one that gets on hides no other's hang.
struct Watchdog: Sendable {
    struct Configuration: Sendable {
        /// From being spawned to `hello`, and from being given the device to `started`.
        var startLimit = Duration.seconds(10)
        /// The latter where it takes over a device that streams, which is a matter of milliseconds.
        var takeoverLimit = Duration.seconds(2)
        /// While streaming: how long the stream's thread may take for one turn. No activity is given less.
        var turnLimit = Duration.milliseconds(500)
        /// How long a device may deliver without a frame coming of it. Slow cameras are given four times their frame interval.
        var frameLimit = Duration.seconds(1)
        /// The same before the first frame: the first ones of a stream may be incomplete.
        var firstFrameLimit = Duration.seconds(3)
        /// What a driver may ask for at most: for one unit, for one quiet wait, and for all of an activity's waits together.
        var longestUnit = Duration.seconds(120)
        var longestWait = Duration.seconds(120)
        var allWaits = Duration.seconds(600)
        var heartbeatLimit = Duration.seconds(3)
        /// How often counters are looked at while streaming.
        var tick = Duration.milliseconds(100)
        /// A look that comes this much too late says more of the machine than of the driver, and starts anew.
        var lateness = Duration.milliseconds(250)
    }

    enum Hang: Hashable, Sendable, CustomStringConvertible {
        case noTurn(Duration)
        case noFrame(Duration)
        case noUnit(Duration)
        /// A quiet wait that has not ended within its limit.
        case longWait(Duration)
        /// Quiet waits that have taken too long together.
        case manyWaits(Duration)
        case noHeartbeat(Duration)
        case notReady(Duration)

        var description: String {
            switch self {
            case .noTurn(let limit): "no progress for \(limit.text) while streaming"
            case .noFrame(let limit): "the device delivered data for \(limit.text) without completing a frame"
            case .noUnit(let limit): "no progress for \(limit.text)"
            case .longWait(let limit): "a declared wait did not end within \(limit.text)"
            case .manyWaits(let limit): "declared waits took longer than \(limit.text) in total"
            case .noHeartbeat(let limit): "no heartbeat for \(limit.text)"
            case .notReady(let limit): "not ready within \(limit.text)"
            }
        }

        /// The layer that is at fault, as `userdriver stack` names it.
        var layer: String {
            switch self {
            // What the device delivers makes no frames.
            case .noFrame: "class"
            case .noTurn, .noUnit, .longWait, .manyWaits, .noHeartbeat, .notReady: "process"
            }
        }
    }

    /// What was found, and of which activity.
    struct Finding: Hashable, Sendable {
        var activity: Int
        var hang: Hang
    }

    let configuration: Configuration
    private var activities: [ActivityWatch] = []
    /// Times the limits before which a frame has to come: more after each death that brought none.
    var patience: UInt64 = 1

    init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

    /// Looks at the counters of a driver's activities, always in the same order. `now` is in ns and only grows.
    mutating func look(_ counters: [ProgressCounters], now: UInt64) -> Finding? {
        while activities.count < counters.count { activities.append(ActivityWatch()) }
        var finding: Finding?
        // Each is looked at, whatever was found of those before.
        for index in counters.indices {
            let hang = activities[index].look(counters[index], now: now, configuration, patience: patience)
            if let hang, finding == nil { finding = Finding(activity: index, hang: hang) }
        }
        return finding
    }

    /// How long the quiet wait of an activity has gone on, in nanoseconds, and what it was granted; `nil` if it does not wait.
    func wait(_ activity: Int, now: UInt64) -> (elapsed: UInt64, limit: UInt64)? {
        guard activities.indices ~= activity, let began = activities[activity].waitBegan else { return nil }
        return (now &- began, min(activities[activity].last.waitLimit, configuration.longestWait.nanoseconds))
    }
}

/// Judges one activity.
private struct ActivityWatch: Sendable {
    private(set) var last = ProgressCounters()
    private var lastLook: UInt64?
    private var turnChanged: UInt64 = 0
    private var unitChanged: UInt64 = 0
    private var slowestFrame: UInt64 = 0
    /// When the device began to deliver what no frame has come of.
    private var undelivered: UInt64?
    private(set) var waitBegan: UInt64?
    /// Nanoseconds of the activity's quiet waits that have ended.
    private var waited: UInt64 = 0
    /// `units` when an activity had its waits before it last.
    private var refilledAt: UInt64 = 0

    /// What a device is believed of its frames' time.
    private static let longestFrame: UInt64 = 10_000_000_000

    mutating func look(
        _ counters: ProgressCounters, now: UInt64, _ configuration: Watchdog.Configuration, patience: UInt64
    ) -> Watchdog.Hang? {
        defer {
            last = counters
            lastLook = now
        }
        let isAnother = counters.number != last.number
        if isAnother { refill(counters, now) }
        guard counters.isWatched else {
            endWait(now)
            lastLook = nil
            return nil
        }
        let expected = (configuration.tick + configuration.lateness).nanoseconds
        let isLate = lastLook.map { now &- $0 > expected } ?? false
        if isLate, let lastLook, let began = waitBegan {
            // The wait goes on by what was seen of it.
            waitBegan = began &+ (now &- lastLook)
        }
        if counters.isWaiting {
            beginTime(now)
            return judgeWait(counters, now, configuration)
        }
        endWait(now)
        guard lastLook != nil, !isLate, !isAnother, last.watch == counters.watch, !last.isWaiting else {
            beginTime(now)
            return nil
        }
        let units = counters.units != last.units
        if counters.turns != last.turns { turnChanged = now }
        if units {
            // The time between two looks is part of what is measured, so the interval is never underestimated.
            slowestFrame = max(slowestFrame / 2, now &- unitChanged)
            unitChanged = now
        }
        return switch counters.watch {
        case .nothing: nil
        case .turns: judgeTurns(counters, now, configuration, patience)
        case .units: judgeUnits(counters, now, configuration, patience)
        }
    }

    /// What is expected is expected from now on.
    private mutating func beginTime(_ now: UInt64) {
        turnChanged = now
        unitChanged = now
        undelivered = nil
    }

    private mutating func judgeTurns(
        _ counters: ProgressCounters, _ now: UInt64, _ configuration: Watchdog.Configuration, _ patience: UInt64
    ) -> Watchdog.Hang? {
        if counters.units != last.units {
            undelivered = nil
        } else if counters.deliveries != last.deliveries, undelivered == nil {
            undelivered = now
        }
        if now &- turnChanged >= configuration.turnLimit.nanoseconds { return .noTurn(configuration.turnLimit) }
        guard let undelivered, counters.deliveries != last.deliveries else { return nil }
        let limit = counters.units == 0 ? configuration.firstFrameLimit : configuration.frameLimit
        let frame = min(max(counters.unitTime, counters.units == 0 ? 0 : slowestFrame), Self.longestFrame)
        let nanoseconds = max(limit.nanoseconds, frame * 4) * min(max(patience, 1), 64)
        return now &- undelivered >= nanoseconds ? .noFrame(.nanoseconds(Int64(nanoseconds))) : nil
    }

    private func judgeUnits(
        _ counters: ProgressCounters, _ now: UInt64, _ configuration: Watchdog.Configuration, _ patience: UInt64
    ) -> Watchdog.Hang? {
        let longest = configuration.longestUnit.nanoseconds
        let asked = min(max(counters.unitTime, configuration.turnLimit.nanoseconds), longest)
        let nanoseconds = min(asked * min(max(patience, 1), 64), max(asked, longest))
        return now &- unitChanged >= nanoseconds ? .noUnit(.nanoseconds(Int64(nanoseconds))) : nil
    }

    // MARK: Quiet waits

    private mutating func judgeWait(
        _ counters: ProgressCounters, _ now: UInt64, _ configuration: Watchdog.Configuration
    ) -> Watchdog.Hang? {
        if counters.waitNumber != last.waitNumber { endWait(now) }
        let began = waitBegan ?? now
        waitBegan = began
        let limit = min(counters.waitLimit, configuration.longestWait.nanoseconds)
        if now &- began >= limit { return .longWait(.nanoseconds(Int64(limit))) }
        guard waited &+ (now &- began) >= configuration.allWaits.nanoseconds else { return nil }
        return .manyWaits(configuration.allWaits)
    }

    private mutating func endWait(_ now: UInt64) {
        guard let began = waitBegan else { return }
        waited &+= now &- began
        waitBegan = nil
    }

    /// Another activity has its own waits before it, unless nothing was done since the one before was given them: who only waits, under whichever
    /// name, comes to an end.
    private mutating func refill(_ counters: ProgressCounters, _ now: UInt64) {
        endWait(now)
        guard counters.units != refilledAt else { return }
        refilledAt = counters.units
        waited = 0
    }
}

extension Duration {
    /// `"500 ms"`, `"2 s"`
    var text: String {
        let milliseconds = nanoseconds / 1_000_000
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        let tenths = (milliseconds + 50) / 100
        return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
    }
}
