// What a campaign found, for people and as JSON.

import Wire

struct Report {
    let outcome: CampaignOutcome
    let plan: Campaign.Plan
    let cameras: Int
    let end: StageEnd

    var hasFailed: Bool {
        outcome.torn > 0 || outcome.doubled > 0 || !outcome.ended.isEmpty || outcome.stuckCount > 0 || !end.leftBehind.isEmpty
            || end.cameras.isMissing || outcome.controls.hung > 0 || !outcome.supervisorLives
    }

    /// Kinds in their order, as far as there were faults of them, and all together.
    var rows: [(name: String, statistics: KindStatistics)] {
        FaultKind.allCases.compactMap { kind in outcome.kinds[kind].map { (kind.rawValue, $0) } } + [("all", outcome.all)]
    }

    /// Shares of all deaths, as in the tables.
    static let shares: [(name: String, share: Double)] = [
        ("50", 0.5), ("90", 0.9), ("99", 0.99), ("99.9", 0.999), ("99.99", 0.9999), ("most", 1),
    ]

    static func milliseconds(_ microseconds: UInt64?) -> String {
        guard let microseconds else { return "–" }
        if microseconds >= 99_950 { return "\((microseconds + 500) / 1000)" }
        let tenths = (microseconds + 50) / 100
        return "\(tenths / 10).\(tenths % 10)"
    }

    static func number(_ value: UInt64?) -> String { value.map { "\($0)" } ?? "–" }

    private static func line(_ name: String, _ kind: KindStatistics) -> String {
        let missing = [0.5, 0.99, 1].map { number(kind.missing.percentile($0)) }
        let times = [kind.handover, kind.recovery].flatMap { times in [0.5, 0.99, 1].map { milliseconds(times.percentile($0)) } }
        return
            ([name.padded(to: 10)] + ([number(kind.faults), number(kind.deaths + kind.late)] + missing + times).map { $0.padded(to: 8) }
            + [number(kind.altered)]).joined(separator: " ")
    }

    var text: String {
        var lines = [
            "                             frames missed              ms to the next process     ms to the next frame",
            "fault      faults   deaths   median   p99      most     median   p99      most     median   p99      most     altered",
        ]
        lines += rows.map { Self.line($0.name, $0.statistics) }
        let all = outcome.all
        lines.append("")
        lines.append("of all deaths, %    " + Self.shares.map { $0.name.padded(to: 8) }.joined(separator: " "))
        lines.append(
            "missing             " + Self.shares.map { Self.number(all.missing.percentile($0.share)).padded(to: 8) }.joined(separator: " "))
        lines.append(
            "ms to the next frame"
                + Self.shares.map { Self.milliseconds(all.recovery.percentile($0.share)).padded(to: 8) }.joined(separator: " "))
        lines.append("")
        lines.append(
            "\(all.faults) faults in \(Int(outcome.seconds)) s on \(cameras) cameras, \(Self.rate(all.faults, outcome.seconds)) a second; \(all.faults - all.costly) cost no frame."
        )
        lines.append(
            "\(outcome.frames) frames over all clients: \(outcome.missing) missing, \(outcome.torn) torn, \(outcome.doubled) doubled; \(outcome.damaged) marked as damaged, \(outcome.altered) altered by a fault, and caught."
        )
        lines.append(end.cameras.text)
        lines.append(
            "userdriverd\(outcome.supervisorLives ? ", never restarted" : " ENDED"): KiB written to, KiB private in all, descriptors, child processes"
        )
        lines += Self.thinned(outcome.samples, to: 11).map {
            "  after \("\($0.faults)".padded(to: 8)) \("\($0.footprint.writtenKiB)".padded(to: 8)) \("\($0.footprint.privateKiB)".padded(to: 8)) \("\($0.footprint.descriptors)".padded(to: 6)) \($0.children)"
        }
        let controls = outcome.controls
        if controls.calls > 0 {
            let failed = controls.failed.sorted { $0.key < $1.key }.map { ", \($0.value) \($0.key)" }.joined()
            lines.append(
                "Controls were set \(controls.calls) times: \(controls.succeeded) done\(failed); \(controls.hung) hung, \(controls.wrong) with another value."
            )
        }
        lines += outcome.ended.map { "A client was cut off: \($0)" }
        lines += outcome.stuck.map { "Stuck: \($0)" }
        if outcome.stuckCount > outcome.stuck.count { lines.append("Stuck \(outcome.stuckCount) times in all.") }
        lines += end.leftBehind.map { "Left behind: process \($0)" }
        lines.append("Seed \(plan.seed).")
        return lines.joined(separator: "\n")
    }

    static func rate(_ faults: UInt64, _ seconds: Double) -> String {
        guard seconds > 0 else { return "–" }
        let tenths = Int((Double(faults) / seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    /// The first, the last, and some between.
    static func thinned<T>(_ values: [T], to count: Int) -> [T] {
        guard values.count > count else { return values }
        return (0..<count).map { values[$0 * (values.count - 1) / (count - 1)] }
    }

    // MARK: JSON

    private static func json(_ histogram: Histogram) -> JSONValue {
        var members: [String: JSONValue] = ["count": .int(Int64(histogram.count))]
        for (name, share) in shares { members[name] = histogram.percentile(share).map { .int(Int64(clamping: $0)) } ?? .null }
        return .object(members)
    }

    private static func json(_ kind: KindStatistics) -> JSONValue {
        [
            "faults": .int(Int64(kind.faults)), "deaths": .int(Int64(kind.deaths)), "costly": .int(Int64(kind.costly)),
            "altered": .int(Int64(kind.altered)), "late": .int(Int64(kind.late)), "missing": json(kind.missing),
            "handoverMicroseconds": json(kind.handover), "recoveryMicroseconds": json(kind.recovery),
        ]
    }

    var json: String {
        let value: JSONValue = [
            "seed": .int(Int64(bitPattern: plan.seed)), "cameras": .int(Int64(cameras)), "seconds": .double(outcome.seconds),
            "frames": .int(Int64(outcome.frames)), "missing": .int(Int64(outcome.missing)), "torn": .int(Int64(outcome.torn)),
            "doubled": .int(Int64(outcome.doubled)), "altered": .int(Int64(outcome.altered)), "damaged": .int(Int64(outcome.damaged)),
            "sent": .int(Int64(end.cameras.sent)), "undrawn": .int(Int64(end.cameras.undrawn)),
            "unfetched": .int(Int64(end.cameras.unfetched)),
            "stuck": .array(outcome.stuck.map { .string($0) }), "stuckCount": .int(Int64(outcome.stuckCount)),
            "ended": .array(outcome.ended.map { .string($0) }), "leftBehind": .array(end.leftBehind.map { .string($0) }),
            "supervisorLives": .bool(outcome.supervisorLives), "supervisorRestarts": .int(0),
            "supervisor": .array(
                outcome.samples.map {
                    [
                        "faults": .int(Int64($0.faults)), "seconds": .double($0.seconds),
                        "writtenKiB": .int(Int64($0.footprint.writtenKiB)),
                        "privateKiB": .int(Int64($0.footprint.privateKiB)), "descriptors": .int(Int64($0.footprint.descriptors)),
                        "children": .int(Int64($0.children)),
                    ]
                }),
            "controls": [
                "calls": .int(Int64(outcome.controls.calls)), "succeeded": .int(Int64(outcome.controls.succeeded)),
                "failed": .object(outcome.controls.failed.mapValues { .int(Int64($0)) }), "hung": .int(Int64(outcome.controls.hung)),
                "wrong": .int(Int64(outcome.controls.wrong)),
            ],
            "all": Self.json(outcome.all),
            "kinds": .object(
                Dictionary(uniqueKeysWithValues: outcome.kinds.map { ($0.key.rawValue, Self.json($0.value)) })),
        ]
        do {
            return String(decoding: try JSON.encode(value), as: UTF8.self) + "\n"
        } catch {
            return "{}\n"
        }
    }
}

extension String {
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
