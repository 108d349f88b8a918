// Whether a new version of a driver may stay: a pure value, whose time is given from outside.

import Bundles

/// A version that has just taken over, and the one that it has to be worth.
struct Probation: Sendable {
    struct Configuration: Sendable {
        var deaths = 3
        var window = Duration.seconds(60)
        /// A version that has lived so long without failing is no new one any more.
        var length = Duration.seconds(600)
    }

    let predecessor: DriverBundle
    private let configuration: Configuration
    private let began: ContinuousClock.Instant
    private var deaths: [ContinuousClock.Instant] = []

    init(predecessor: DriverBundle, configuration: Configuration, now: ContinuousClock.Instant) {
        self.predecessor = predecessor
        predecessor.freeze()
        self.configuration = configuration
        began = now
    }

    func isOver(_ now: ContinuousClock.Instant) -> Bool { began.duration(to: now) > configuration.length }

    /// Whether this death was one too many.
    mutating func died(_ now: ContinuousClock.Instant) -> Bool {
        deaths = deaths.filter { $0.duration(to: now) < configuration.window } + [now]
        return deaths.count >= configuration.deaths
    }
}
