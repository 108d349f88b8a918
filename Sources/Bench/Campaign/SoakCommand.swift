// campaign soak: many cameras, two clients each, for a long time; campaign scale: the same for growing numbers, to see what one more costs.

import ArgumentParser
import CLinux
import FoundationEssentials
import Glibc
import UserDriverClient
import Wire

/// What a soak streams.
struct SoakOptions: ParsableArguments {
    @Option(help: "Clients watching each camera.") var clients = 2
    @Flag(help: "Bulk cameras instead of isochronous ones.") var bulk = false
    @Option(help: "Size of the streams.") var size = "640x480"
    @Option(help: "Format of the streams.") var format = "mjpeg"
    @Option(help: "The folder of userdriver, userdriverd and webcam.driver.") var bin =
        FileManager.default.currentDirectoryPath + "/.build/release"

    func validate() throws {
        guard 1...16 ~= clients else { throw ValidationError("A camera can have 1 to 16 clients.") }
        guard size.split(separator: "x").compactMap({ Int($0) }).count == 2 else { throw ValidationError("A size must be WIDTHxHEIGHT.") }
    }

    /// The cameras' bus waits for a machine that is late: then the rate falls, and what is missing was lost by us.
    func stage(cameras: Int) async throws -> Stage {
        let parts = size.split(separator: "x").compactMap { Int($0) }
        return try await Stage(
            bin: bin, cameras: cameras, clients: clients, emulate: ["--late", "hold"] + (bulk ? ["--bulk"] : []), format: format,
            width: parts[0], height: parts[1])
    }
}

/// `campaign soak`
struct SoakCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "soak", abstract: "Streams from many cameras for a long time: what is lost, and what it costs each process.")

    @Option(help: "Emulated cameras.") var cameras = 16
    @Option(help: "How long to run.") var seconds = 1800
    @OptionGroup var options: SoakOptions
    @Option(help: "A file for the figures, as JSON. Left out: none.") var report: String?

    func validate() throws {
        guard 1...64 ~= cameras, seconds > 0 else { throw ValidationError("A soak needs 1 to 64 cameras and a time above 0.") }
    }

    func run() async throws {
        let soak = try await Soak.run(options, cameras: cameras, seconds: seconds) { second, text in
            if isatty(2) == 1 { complain("\r\u{1b}[K\(second)/\(seconds) s \(text)", end: "") }
        }
        if isatty(2) == 1 { complain("") }
        print(soak.text)
        if let report { try String(decoding: JSON.encode(soak), as: UTF8.self).write(toFile: report, atomically: true, encoding: .utf8) }
        throw ExitCode(soak.hasFailed ? 1 : 0)
    }
}

/// `campaign scale`
struct ScaleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale", abstract: "Streams from growing numbers of cameras: how processor time and memory grow.")

    @Option(help: "Numbers of cameras, separated by commas.") var cameras = "1,2,4,8,16,32,64"
    @Option(help: "How long to run each.") var seconds = 20
    @OptionGroup var options: SoakOptions
    @Option(help: "A file for the figures, as JSON. Left out: none.") var report: String?

    private var numbers: [Int] { cameras.split(separator: ",").compactMap { Int($0) } }

    func validate() throws {
        guard !numbers.isEmpty, numbers.allSatisfy({ 1...64 ~= $0 }), seconds > 0 else {
            throw ValidationError("The numbers of cameras must be from 1 to 64.")
        }
    }

    func run() async throws {
        var soaks: [Soak] = []
        var hasFailed = false
        for number in numbers {
            do {
                let soak = try await Soak.run(options, cameras: number, seconds: seconds) { _, _ in }
                print(soak.text)
                soaks.append(soak)
            } catch {
                complain("\(number) cameras: \(error)")
                hasFailed = true
                break
            }
        }
        if let report { try String(decoding: JSON.encode(soaks), as: UTF8.self).write(toFile: report, atomically: true, encoding: .utf8) }
        if hasFailed { throw ExitCode(1) }
    }
}

/// What a soak came to.
struct Soak: Codable, Sendable {
    /// All processes of one kind.
    struct Group: Codable, Sendable {
        var name: String
        var processes: Int
        /// Of one processor.
        var cpuPercent: Double
        /// Memory that is written to and nobody else's, KiB: when the streams were on, in the middle, at the end.
        var writtenKiB: [Int]
        var descriptors: [Int]
    }
    var cameras: Int
    var clients: Int
    var stream: String
    var seconds: Double
    var frames: UInt64
    /// Frames that the cameras sent and that a client did not get.
    var missing: UInt64
    var torn: UInt64
    var restarts: Int
    var ended: [String]
    var leftBehind: [String]
    /// From the first frame to the last: more than what was measured.
    var sent: CameraTally
    var groups: [Group]

    /// Frames a second, of each client.
    var rate: Double { Double(frames) / seconds / Double(cameras * clients) }
    var hasFailed: Bool { missing > 0 || torn > 0 || !ended.isEmpty || !leftBehind.isEmpty || restarts > 0 || sent.isMissing }

    static func run(_ options: SoakOptions, cameras: Int, seconds: Int, progress: (Int, String) -> Void) async throws -> Soak {
        let stage = try await options.stage(cameras: cameras)
        let (measured, end) = try await stage.ending {
            try await stage.untilAllWatch()
            var censuses = [Census(stage)]
            let first = stage.total
            let start = clinux_monotonic_ns()
            for second in 1...seconds {
                try await Task.sleep(for: .seconds(1))
                if second == (seconds + 1) / 2 { censuses.append(Census(stage)) }
                let now = stage.total
                progress(second, "\(now.frames - first.frames) frames, \(now.missing - first.missing) missing")
            }
            censuses.append(Census(stage))
            let elapsed = Double(clinux_monotonic_ns() - start) / 1e9
            let last = stage.total
            let restarts = try await stage.client.devices().reduce(0) { $0 + $1.restarts }
            return (
                censuses, elapsed, restarts, frames: last.frames - first.frames, missing: last.missing - first.missing, torn: last.torn
            )
        }
        let (censuses, elapsed, restarts, frames, missing, torn) = measured
        return Soak(
            cameras: cameras, clients: options.clients, stream: "\(options.format) \(options.size)\(options.bulk ? ", bulk" : "")",
            seconds: elapsed, frames: frames, missing: missing, torn: torn,
            restarts: restarts,
            ended: stage.viewers.flatMap { $0 }.compactMap(\.now.ended), leftBehind: end.leftBehind, sent: end.cameras,
            groups: Census.names.map { name in
                let all = censuses.map { $0.groups[name] ?? .init() }
                return Group(
                    name: name, processes: all[2].processes,
                    cpuPercent: Double(all[2].ticks - all[0].ticks) / Double(sysconf(Int32(_SC_CLK_TCK))) / elapsed * 100,
                    writtenKiB: all.map(\.writtenKiB), descriptors: all.map(\.descriptors))
            })
    }

    var text: String {
        func column(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
        var lines = [
            "\(cameras) cameras, \(stream), \(clients) clients each, \(Int(seconds.rounded())) s: \(frames) frames (\((rate * 100).rounded() / 100) a second for each), \(missing) missing, \(torn) torn, \(restarts) restarts.",
            "process        number   CPU %   each   KiB written: start, middle, end      each   descriptors: start, end",
        ]
        for group in groups {
            let percent = (group.cpuPercent * 10).rounded() / 10
            let each = (group.cpuPercent / Double(max(1, group.processes)) * 100).rounded() / 100
            lines.append(
                [
                    group.name + String(repeating: " ", count: max(0, 14 - group.name.count)), column("\(group.processes)", 6),
                    column("\(percent)", 7), column("\(each)", 6), column("\(group.writtenKiB[0])", 10),
                    column("\(group.writtenKiB[1])", 10),
                    column("\(group.writtenKiB[2])", 10), column("\(group.writtenKiB[2] / max(1, group.processes))", 9),
                    column("\(group.descriptors[0])", 8), column("\(group.descriptors[2])", 6),
                ].joined(separator: " "))
        }
        lines.append(sent.text)
        lines += ended.map { "A client was cut off: \($0)" }
        lines += leftBehind.map { "Left behind: process \($0)" }
        return lines.joined(separator: "\n")
    }
}

/// Every process of a stage, by kind, at one moment.
struct Census {
    struct Group {
        var processes = 0
        var ticks: UInt64 = 0
        var writtenKiB = 0
        var descriptors = 0
    }
    static let names = ["webcam-driver", "usbip-proxy", "userdriverd", "clients", "cameras"]
    private(set) var groups: [String: Group] = [:]

    init(_ stage: Stage) {
        add(getpid(), to: "clients")
        add(stage.daemon, to: "userdriverd")
        for process in stage.emulators { add(process, to: "cameras") }
        for process in Processes.children(of: stage.daemon) { add(process, to: Processes.name(of: process)) }
    }

    private mutating func add(_ process: Int32, to name: String) {
        let footprint = Processes.footprint(of: process)
        var group = groups[name] ?? Group()
        group.processes += 1
        group.ticks += Processes.ticks(of: process)
        group.writtenKiB += footprint.writtenKiB
        group.descriptors += footprint.descriptors
        groups[name] = group
    }
}
