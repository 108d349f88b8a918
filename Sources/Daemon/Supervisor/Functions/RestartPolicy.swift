// When a driver that died is started again: a pure value, whose time and chance are given from outside.

/// What to do after a driver's death.
///
/// The first restarts are at once: each takes the device up a step further down the ladder of recovery. A driver that made progress keeps that right, however often it dies. Without progress the delay doubles from
/// `firstDelay` to `longestDelay`, with jitter; after `deathsToOpen` such deaths in a row the circuit opens.
struct RestartPolicy: Sendable {
    struct Configuration: Sendable {
        var firstDelay = Duration.milliseconds(100)
        var longestDelay = Duration.seconds(30)
        /// A delay is chosen between (1 − jitter) and (1 + jitter) times its nominal value, so that several drivers do not start in step.
        var jitter = 0.2
        var deathsToOpen = 10
        /// Deaths in a row without progress that are answered at once.
        var immediateRestarts = 4
        /// A driver that lived this long without a frame being asked of it has done its work: that is progress too.
        var longLife = Duration.seconds(60)
    }

    enum Decision: Hashable, Sendable {
        case restart(after: Duration)
        /// The circuit is open: nothing is started until `reset`.
        case giveUp(deaths: Int)
    }

    let configuration: Configuration
    /// Deaths in a row without progress.
    private(set) var deaths = 0

    /// Times the limits of the next driver: once the first steps have not helped, a limit may be what it died of.
    var patience: Int { deaths <= 2 ? 1 : 1 << min(deaths - 2, 5) }

    init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

    /// `progress`: a frame, a page, an answer since it was started. `chance` is between 0 and 1.
    mutating func died(progress: Bool, lifetime: Duration, chance: Double) -> Decision {
        if progress || lifetime >= configuration.longLife {
            deaths = 0
            return .restart(after: .zero)
        }
        deaths += 1
        if deaths >= configuration.deathsToOpen { return .giveUp(deaths: deaths) }
        if deaths <= configuration.immediateRestarts { return .restart(after: .zero) }
        // 2^20 times 100 ms is past any longest delay.
        let nominal = min(
            configuration.firstDelay * (1 << min(deaths - configuration.immediateRestarts - 1, 20)), configuration.longestDelay)
        let factor = 1 - configuration.jitter + 2 * configuration.jitter * min(max(chance, 0), 1)
        return .restart(after: min(nominal * factor, configuration.longestDelay))
    }

    /// The device was plugged in anew, or a person asked for a restart.
    mutating func reset() { deaths = 0 }
}
