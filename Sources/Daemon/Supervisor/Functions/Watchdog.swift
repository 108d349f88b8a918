// Whether a driver hangs, told from its counters and heartbeats: a pure value that is shown the time.

import Threads

/// What the driver writes of one activity into its progress page. Nothing of it is trusted beyond: it changes, or it does not.
struct ProgressCounters: Hashable, Sendable {
    var streamTurns: UInt64 = 0
    var transfers: UInt64 = 0
    var frames: UInt64 = 0
    var deliveries: UInt64 = 0
    var isStreaming = false
    /// What a frame takes, in nanoseconds; 0 where the device does not say.
    var frameTime: UInt64 = 0
}

/// Judges one incarnation of a driver: each of its activities by itself, so that one that gets on hides no other's hang.
struct Watchdog: Sendable {
    struct Configuration: Sendable {
        /// From being spawned to `hello`, and from being given the device to `started`.
        var startLimit = Duration.seconds(10)
        /// The latter where it takes over a device that streams, which is a matter of milliseconds.
        var takeoverLimit = Duration.seconds(2)
        /// While streaming: how long the stream's thread may take for one turn.
        var turnLimit = Duration.milliseconds(500)
        /// How long a device may deliver without a frame coming of it. Slow cameras are given four times their frame interval.
        var frameLimit = Duration.seconds(1)
        /// The same before the first frame: the first ones of a stream may be incomplete.
        var firstFrameLimit = Duration.seconds(3)
        var heartbeatLimit = Duration.seconds(2)
        /// How often counters are looked at while streaming.
        var tick = Duration.milliseconds(100)
        /// A look that comes this much too late says more of the machine than of the driver, and starts anew.
        var lateness = Duration.milliseconds(250)
    }

    enum Hang: Hashable, Sendable, CustomStringConvertible {
        case noTurn(Duration)
        case noFrame(Duration)
        case noHeartbeat(Duration)
        case notReady(Duration)

        var description: String {
            switch self {
            case .noTurn(let limit): "no progress for \(limit.text) while streaming"
            case .noFrame(let limit): "the device delivered for \(limit.text) and no frame came of it"
            case .noHeartbeat(let limit): "no heartbeat for \(limit.text)"
            case .notReady(let limit): "not ready within \(limit.text)"
            }
        }
    }

    let configuration: Configuration
    private var activities: [ActivityWatch] = []
    /// Times the limits before which a frame has to come: more after each death that brought none.
    var patience: UInt64 = 1

    init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

    /// Looks at the counters of a driver's activities, always in the same order. `now` is in ns and only grows.
    mutating func look(_ counters: [ProgressCounters], now: UInt64) -> Hang? {
        while activities.count < counters.count { activities.append(ActivityWatch()) }
        var hang: Hang?
        // Each is looked at, whatever was found of those before.
        for index in counters.indices {
            let found = activities[index].look(counters[index], now: now, configuration, patience: patience)
            hang = hang ?? found
        }
        return hang
    }
}

/// Judges one activity.
private struct ActivityWatch: Sendable {
    private var last = ProgressCounters()
    private var lastLook: UInt64?
    private var turnChanged: UInt64 = 0
    private var frameChanged: UInt64 = 0
    private var slowestFrame: UInt64 = 0
    /// When the device began to deliver what no frame has come of.
    private var undelivered: UInt64?

    /// What a device is believed of its frames' time.
    private static let longestFrame: UInt64 = 10_000_000_000

    mutating func look(
        _ counters: ProgressCounters, now: UInt64, _ configuration: Watchdog.Configuration, patience: UInt64
    ) -> Watchdog.Hang? {
        defer {
            last = counters
            lastLook = now
        }
        guard counters.isStreaming else {
            lastLook = nil
            return nil
        }
        let expected = (configuration.tick + configuration.lateness).nanoseconds
        guard let lastLook, last.isStreaming, now &- lastLook <= expected else {
            turnChanged = now
            frameChanged = now
            undelivered = nil
            return nil
        }
        if counters.streamTurns != last.streamTurns { turnChanged = now }
        if counters.frames != last.frames {
            // The time between two looks is part of what is measured, so the interval is never underestimated.
            slowestFrame = max(slowestFrame / 2, now &- frameChanged)
            frameChanged = now
            undelivered = nil
        } else if counters.deliveries != last.deliveries, undelivered == nil {
            undelivered = now
        }
        if now &- turnChanged >= configuration.turnLimit.nanoseconds { return .noTurn(configuration.turnLimit) }
        if let undelivered, counters.deliveries != last.deliveries {
            let limit = counters.frames == 0 ? configuration.firstFrameLimit : configuration.frameLimit
            let frame = min(max(counters.frameTime, counters.frames == 0 ? 0 : slowestFrame), Self.longestFrame)
            let nanoseconds = max(limit.nanoseconds, frame * 4) * min(max(patience, 1), 64)
            if now &- undelivered >= nanoseconds { return .noFrame(.nanoseconds(Int64(nanoseconds))) }
        }
        return nil
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
