// What a campaign found, for people and as JSON.

import Wire

struct Report {
    let outcome: CampaignOutcome
    let seed: UInt64
    let leftovers: [String]

    var hasFailed: Bool {
        outcome.torn > 0 || outcome.doubled > 0 || !outcome.ended.isEmpty || !outcome.stuck.isEmpty || !leftovers.isEmpty
            || !outcome.supervisorLives
    }

    private static func percentile<T: Comparable>(_ values: [T], _ share: Double) -> T? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        return sorted[min(sorted.count - 1, Int((Double(sorted.count) * share).rounded(.up)) - 1)]
    }

    private static func line(_ name: String, _ faults: [FaultOutcome]) -> String {
        let deaths = faults.filter { $0.restarts > 0 }
        let missing = deaths.map(\.missing)
        let recovery = deaths.compactMap(\.recoveryMilliseconds)
        func text(_ value: UInt64?) -> String { value.map { "\($0)" } ?? "–" }
        func time(_ value: Double?) -> String { value.map { "\(Int($0.rounded()))" } ?? "–" }
        return [
            name.padded(to: 10), "\(faults.count)".padded(to: 8), "\(deaths.count)".padded(to: 8),
            text(percentile(missing, 0.5)).padded(to: 8),
            text(percentile(missing, 0.99)).padded(to: 8), text(missing.max()).padded(to: 8), time(percentile(recovery, 0.5)).padded(to: 8),
            time(percentile(recovery, 0.99)).padded(to: 8), time(recovery.max()),
        ].joined(separator: " ")
    }

    var text: String {
        var lines = ["fault      faults   deaths   missing: median, p99, most    ms to the next frame: median, p99, most"]
        for kind in FaultKind.allCases {
            let faults = outcome.faults.filter { $0.kind == kind }
            if !faults.isEmpty { lines.append(Self.line(kind.rawValue, faults)) }
        }
        lines.append(Self.line("all", outcome.faults))
        let free = outcome.faults.count { $0.missing == 0 }
        lines.append("\(free) of \(outcome.faults.count) faults cost no frame.")
        lines.append(
            "\(outcome.frames) frames in \(Int(outcome.seconds)) s over all clients: \(outcome.missing) missing, \(outcome.torn) torn, \(outcome.doubled) doubled; \(outcome.faults.reduce(0) { $0 + $1.altered }) altered by a fault, and caught."
        )
        lines.append(
            "userdriverd: \(outcome.daemonBefore.privateKiB) → \(outcome.daemonAfter.privateKiB) KiB private, \(outcome.daemonBefore.descriptors) → \(outcome.daemonAfter.descriptors) descriptors\(outcome.supervisorLives ? "" : "; it ENDED")."
        )
        lines += outcome.ended.map { "A client was cut off: \($0)" }
        lines += outcome.stuck.map { "Stuck: \($0)" }
        lines += leftovers.map { "Left behind: process \($0)" }
        lines.append("Seed \(seed).")
        return lines.joined(separator: "\n")
    }

    var json: String {
        let value: JSONValue = [
            "seed": .int(Int64(bitPattern: seed)), "seconds": .double(outcome.seconds), "frames": .int(Int64(outcome.frames)),
            "missing": .int(Int64(outcome.missing)), "torn": .int(Int64(outcome.torn)), "doubled": .int(Int64(outcome.doubled)),
            "stuck": .array(outcome.stuck.map { .string($0) }), "ended": .array(outcome.ended.map { .string($0) }),
            "leftBehind": .array(leftovers.map { .string($0) }), "supervisorLives": .bool(outcome.supervisorLives),
            "faults": .array(
                outcome.faults.map { fault in
                    [
                        "kind": .string(fault.kind.rawValue), "camera": .int(Int64(fault.camera)), "restarts": .int(Int64(fault.restarts)),
                        "missing": .int(Int64(fault.missing)), "altered": .int(Int64(fault.altered)),
                        "recoveryMilliseconds": fault.recoveryMilliseconds.map { .double($0) } ?? .null,
                    ]
                }),
        ]
        do {
            return String(decoding: try JSON.encode(value), as: UTF8.self) + "\n"
        } catch {
            return "{}\n"
        }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
