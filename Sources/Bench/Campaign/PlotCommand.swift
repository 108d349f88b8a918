// campaign plot: the pictures of Docs/Reliability.md and Docs/Performance.md, out of what campaigns have written down.

import ArgumentParser
import FoundationEssentials
import Wire

/// `campaign plot`
struct PlotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plot", abstract: "Draw the logs of campaigns as SVG.",
        discussion: "From a log: frames-missed.svg and recovery.svg. From a report of campaign scale: scale-cpu.svg and scale-memory.svg.")

    @Option(help: "The log of a campaign of faults.") var log: String?
    @Option(help: "The report of campaign scale.") var scale: String?
    @Option(help: "The folder for the pictures.") var folder = "."

    func validate() throws {
        guard log != nil || scale != nil else { throw ValidationError("There is nothing to draw without --log or --scale.") }
    }

    func run() throws {
        if let log {
            let faults = try LoggedFault.read(log)
            try write(Self.missed(faults).svg, "frames-missed.svg")
            try write(Self.recovery(faults).svg, "recovery.svg")
        }
        if let scale {
            let soaks = try JSON.decode([Soak].self, from: Array(try Data(contentsOf: URL(fileURLWithPath: scale))))
            try write(
                Self.growth(soaks, "Processor time of all processes of a kind, % of one processor", "%") { $0.cpuPercent }.svg,
                "scale-cpu.svg")
            try write(
                Self.growth(soaks, "Memory written to by all processes of a kind, MiB", "MiB") { Double($0.writtenKiB.last ?? 0) / 1024 }
                    .svg,
                "scale-memory.svg")
        }
    }

    private func write(_ svg: String, _ name: String) throws {
        try svg.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
        print(folder + "/" + name)
    }

    private static func missed(_ faults: [LoggedFault]) -> ShareChart {
        let limits: [UInt64] = [0, 1, 5, 20]
        let rows = FaultKind.allCases.compactMap { kind -> (name: String, counts: [Int])? in
            let missing = faults.filter { $0.kind == kind.rawValue }.map(\.missing)
            guard !missing.isEmpty else { return nil }
            var counts = [Int](repeating: 0, count: limits.count + 1)
            for number in missing { counts[limits.firstIndex { number <= $0 } ?? limits.count] += 1 }
            return (kind.rawValue, counts)
        }
        return ShareChart(
            title: "Frames missed by watchers, of \(faults.count) faults", pieces: ["none", "1", "2 to 5", "6 to 20", "more"],
            rows: rows)
    }

    private static func recovery(_ faults: [LoggedFault]) -> LineChart {
        let parts = 50
        let hangs = Set(FaultKind.allCases.filter(\.hangs).map(\.rawValue))
        func course(_ name: String, _ share: Double, _ isWanted: (LoggedFault) -> Bool) -> LineChart.Series {
            var histograms = [Histogram](repeating: Histogram(), count: parts)
            for (index, fault) in faults.enumerated() where isWanted(fault) {
                if let time = fault.microseconds { histograms[index * parts / faults.count].add(time) }
            }
            let points = histograms.enumerated().compactMap { index, histogram in
                histogram.percentile(share).map {
                    (x: (Double(index) + 0.5) / Double(parts) * Double(faults.count), y: Double($0) / 1000)
                }
            }
            return .init(name: name, points: points)
        }
        let series = [
            course("deaths, median", 0.5) { !hangs.contains($0.kind) }, course("deaths, 90 %", 0.9) { !hangs.contains($0.kind) },
            course("deaths, 99 %", 0.99) { !hangs.contains($0.kind) }, course("hangs, median", 0.5) { hangs.contains($0.kind) },
            course("hangs, 99 %", 0.99) { hangs.contains($0.kind) },
        ].filter { !$0.points.isEmpty }
        let highest = series.flatMap(\.points).map(\.y).max() ?? 1
        return LineChart(
            title: "From a fault to the next incarnation's first frame", x: .linear("faults", through: Double(faults.count)),
            y: .logarithmic("ms", from: 5, through: max(highest, 10)), series: series)
    }

    private static func growth(_ soaks: [Soak], _ title: String, _ unit: String, _ value: (Soak.Group) -> Double) -> LineChart {
        let series = Census.names.map { name in
            LineChart.Series(
                name: name,
                points: soaks.compactMap { soak in
                    soak.groups.first { $0.name == name }.map { (x: Double(soak.cameras), y: max(value($0), 0.1)) }
                })
        }
        let highest = series.flatMap(\.points).map(\.y).max() ?? 1
        return LineChart(
            title: title, x: .init(label: "cameras", marks: soaks.map { Double($0.cameras) }, isLogarithmic: true),
            y: .logarithmic(unit, from: 0.1, through: highest), series: series, hasDots: true)
    }
}

/// A line of a campaign's log.
struct LoggedFault {
    var kind: String
    var missing: UInt64
    var microseconds: UInt64?

    static func read(_ path: String) throws -> [LoggedFault] {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        return try data.split(separator: UInt8(ascii: "\n")).map { line in
            let value = try JSON.decode(Line.self, from: Array(line))
            return LoggedFault(kind: value.kind, missing: value.missing, microseconds: value.us)
        }
    }

    private struct Line: Decodable {
        var kind: String
        var missing: UInt64
        var us: UInt64?
    }
}
