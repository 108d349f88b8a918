// What faults cost, added up: memory does not grow with their number.

/// Of the faults of one kind, or of all.
struct KindStatistics: Sendable {
    var faults: UInt64 = 0
    /// Faults after which another incarnation delivered.
    var deaths: UInt64 = 0
    /// Faults that cost a frame.
    var costly: UInt64 = 0
    var altered: UInt64 = 0
    /// Deaths that came after the fault was over, before the next one.
    var late: UInt64 = 0
    /// Frames missed at a death; microseconds until the next process had the device, and to the next frame.
    var missing = Histogram()
    var handover = Histogram()
    var recovery = Histogram()

    mutating func add(_ outcome: FaultOutcome) {
        faults += 1
        altered += outcome.altered
        if outcome.missing > 0 { costly += 1 }
        guard outcome.restarts > 0 else { return }
        deaths += 1
        missing.add(outcome.missing)
        if let time = outcome.handoverMicroseconds { handover.add(time) }
        if let time = outcome.recoveryMicroseconds { recovery.add(time) }
    }

    mutating func add(_ other: KindStatistics) {
        faults += other.faults
        deaths += other.deaths
        costly += other.costly
        late += other.late
        altered += other.altered
        missing.add(other.missing)
        handover.add(other.handover)
        recovery.add(other.recovery)
    }
}

/// The supervisor at one moment.
struct DaemonSample: Sendable {
    /// How many faults were behind it.
    var faults: Int
    var seconds: Double
    var footprint: Processes.Footprint
    var children: Int
}

struct CampaignOutcome: Sendable {
    var kinds: [FaultKind: KindStatistics] = [:]
    /// Recovery times over the campaign: each entry is an equal share of its faults.
    var course: [Histogram]
    var frames: UInt64 = 0
    var missing: UInt64 = 0
    var torn: UInt64 = 0
    var doubled: UInt64 = 0
    var altered: UInt64 = 0
    var damaged: UInt64 = 0
    /// Clients whose handle was closed, and why.
    var ended: [String] = []
    /// Cameras that did not deliver again, the first few.
    var stuck: [String] = []
    var stuckCount = 0
    var seconds = 0.0
    var samples: [DaemonSample] = []
    var supervisorLives = true
    var controls = ControlTally()

    static let stuckLimit = 20
    static let courseLength = 100

    init() { course = [Histogram](repeating: Histogram(), count: Self.courseLength) }

    var all: KindStatistics { kinds.values.reduce(into: KindStatistics()) { $0.add($1) } }

    /// `number` of `total` faults are over with this one.
    mutating func add(_ outcome: FaultOutcome, number: Int, of total: Int) {
        kinds[outcome.kind, default: KindStatistics()].add(outcome)
        if let time = outcome.recoveryMicroseconds {
            course[min(Self.courseLength - 1, (number - 1) * Self.courseLength / total)].add(time)
        }
    }

    mutating func addStuck(_ text: String) {
        stuckCount += 1
        if stuck.count < Self.stuckLimit { stuck.append(text) }
    }
}
