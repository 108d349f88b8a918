// Which driver a device has, and whether a new version of it may stay: a pure value, whose time is given from outside.

import Bundles

/// The driver of one device. A version that has just replaced another one is on probation: if it dies again and again, it gives way to that one.
struct DriverChoice: Sendable {
    struct Configuration: Sendable {
        var deaths = 3
        var window = Duration.seconds(60)
        /// A version that has lived so long without failing is no new one any more.
        var length = Duration.seconds(600)
    }

    enum Change: Sendable {
        case none
        case found(DriverBundle)
        case replaced(old: DriverBundle, new: DriverBundle)
        case lost(DriverBundle)

        var old: DriverBundle? {
            switch self {
            case .none, .found: nil
            case .replaced(let old, _), .lost(let old): old
            }
        }
    }

    private struct Probation {
        var predecessor: DriverBundle
        var began: ContinuousClock.Instant
        var deaths: [ContinuousClock.Instant] = []
    }

    private(set) var bundle: DriverBundle?
    /// What there is to say of a driver that runs.
    private(set) var remark: String?
    private var probation: Probation?
    /// A version that was given up here; it is not taken again.
    private var putAside: DriverBundle.Contents?

    init(_ bundle: DriverBundle?) { self.bundle = bundle }

    /// This driver suits the device best from now on.
    mutating func offer(_ offered: DriverBundle?, configuration: Configuration, now: ContinuousClock.Instant) -> Change {
        let old = bundle
        // It has failed here, and the one that runs instead is the same driver's.
        if let offered, let old, offered.contents == putAside, offered.manifest.id == old.manifest.id { return .none }
        bundle = offered
        guard offered?.contents != old?.contents else { return .none }
        (probation, putAside, remark) = (nil, nil, nil)
        guard let offered else { return old.map { .lost($0) } ?? .none }
        guard let old else { return .found(offered) }
        if old.manifest.id == offered.manifest.id {
            old.freeze()
            probation = Probation(predecessor: old, began: now)
        }
        return .replaced(old: old, new: offered)
    }

    /// After a death. Returns the version that failed when it was one death too many; its predecessor has taken its place then.
    mutating func died(_ cause: String, configuration: Configuration, now: ContinuousClock.Instant) -> DriverBundle? {
        guard let failed = bundle, var trial = probation else { return nil }
        guard trial.began.duration(to: now) <= configuration.length else {
            probation = nil
            return nil
        }
        trial.deaths = trial.deaths.filter { $0.duration(to: now) < configuration.window } + [now]
        probation = trial
        guard trial.deaths.count >= configuration.deaths else { return nil }
        probation = nil
        putAside = failed.contents
        bundle = trial.predecessor
        remark = "\(failed.title) died \(configuration.deaths) times in a minute (\(cause)), so \(trial.predecessor.title) drives it again."
        return failed
    }
}
