// What a scanner campaign found, for people and as JSON.

import Wire

struct ScannerTally: Codable, Sendable {
    var jobs = 0
    var pages = 0
    /// Kills, by whom, and by what the scanner had said just before.
    var victims: [String: Int] = [:]
    var moments: [String: Int] = [:]
    /// Jobs, by how they were scanned: `"escl, duplex, png"`.
    var kinds: [String: Int] = [:]
    /// Sheets that the scanner fed and of which a page is missing.
    var lost = 0
    /// Pages that came twice as two.
    var doubled = 0
    /// Pages that are not what the scanner sent, and those of another job.
    var mixed = 0
    /// Jobs that were said to be well and were not.
    var silent = 0
    /// Jobs that ended with an error, with its words.
    var failed = 0
    var leftOpen = 0
    /// Objects that stayed behind.
    var leftBehind = 0
    /// Pages that the endpoint sent once more after its own death, under the same number.
    var again = 0
    /// Pages whose client died between their last byte and being told of their end.
    var untold = 0
    var problems: [String] = []

    var kills: Int { victims.values.reduce(0, +) }
    var hasFailed: Bool { lost + doubled + mixed + silent + failed + leftOpen + leftBehind > 0 || !problems.isEmpty }

    mutating func add(_ other: ScannerTally) {
        jobs += other.jobs
        pages += other.pages
        victims.merge(other.victims, uniquingKeysWith: +)
        moments.merge(other.moments, uniquingKeysWith: +)
        kinds.merge(other.kinds, uniquingKeysWith: +)
        lost += other.lost
        doubled += other.doubled
        mixed += other.mixed
        silent += other.silent
        failed += other.failed
        leftOpen += other.leftOpen
        leftBehind += other.leftBehind
        again += other.again
        untold += other.untold
        problems += other.problems
    }

    private static func list(_ counts: [String: Int]) -> String {
        counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }

    func text(seed: UInt64, lanes: Int, seconds: Duration) -> String {
        var lines = [
            "kills     \(Self.list(victims))",
            "at        \(Self.list(moments))",
            "jobs      \(Self.list(kinds))",
            "\(kills) kills over \(jobs) jobs of \(pages) pages on \(lanes == 1 ? "1 scanner" : "\(lanes) scanners"), seed \(seed), in "
                + "\(seconds.components.seconds) s: \(lost) lost, \(doubled) doubled, \(mixed) mixed, \(silent) silent, \(failed) failed, "
                + "\(leftOpen) jobs left open, \(leftBehind) objects left behind.",
            "After the endpoint's own death \(again) pages came again, under the same number. Of \(untold) pages the client had every byte when it "
                + "died, and had not been told of their end.",
        ]
        lines += problems.prefix(20)
        if problems.count > 20 { lines.append("And \(problems.count - 20) more.") }
        return lines.joined(separator: "\n")
    }
}

struct ScannerSummary: Codable, Sendable {
    var seed: UInt64
    var lanes: Int
    var seconds: Double
    var hasFailed: Bool
    var tally: ScannerTally
}
