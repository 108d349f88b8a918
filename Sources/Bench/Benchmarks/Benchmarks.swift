// Figures, measured against a yardstick in the same run.
import Glibc

@main
struct Benchmarks {
    private static let usage = """
        usage: benchmarks [frame|paced|sandbox] [CASE…] [--in-turn] [--seconds S] [--json]
               benchmarks frame --list
               benchmarks frame CASE --once driver|floor|kernel --turns N

        frame      what a frame costs all the way through the driver's process, compared with a minimal assembler in C and memcpy
        paced      cameras at their own pace: what a frame costs then, when a program gets it, and how much comes too late
        sandbox    what the sandbox adds to the start of a process

        --in-turn  frame: a watcher that does not report, so that frames take all slots of the ring in turn
        --seconds  paced: how long each case runs (5)
        --list     prints the cases, and how many frames one turn through the transfers of each has
        --once     runs one part of a case N times through its transfers and prints nothing: for Scripts/frame-instructions

        """

    static func main() {
        var names: [String] = []
        var json = false
        var part: String?
        var turns = 1
        var seconds = 5.0
        var (lists, inTurn) = (false, false)
        var rest = CommandLine.arguments.dropFirst()
        while let argument = rest.popFirst() {
            switch argument {
            case "--json": json = true
            case "--list": lists = true
            case "--in-turn": inTurn = true
            case "--seconds": seconds = rest.popFirst().flatMap(Double.init) ?? 0
            case "--once": part = rest.popFirst()
            case "--turns": turns = rest.popFirst().flatMap { Int($0) } ?? 0
            default: names.append(argument)
            }
        }
        let subject = ["frame", "paced", "sandbox"].contains(names.first ?? "") ? names.removeFirst() : nil
        let known = Set((subject == "paced" ? PacedCase.all.map(\.stream) : FrameCase.all).map(\.name))
        guard names.allSatisfy(known.contains), turns > 0, (0.1...3600).contains(seconds), subject != "sandbox" || names.isEmpty,
            part == nil || names.count == 1
        else {
            _ = write(STDERR_FILENO, usage, usage.utf8.count)
            exit(2)
        }
        do {
            if lists { return FrameCase.all.forEach { print("\($0.name) \($0.frameLengths.count)") } }
            if let part, let stream = FrameCase.all.first(where: { $0.name == names[0] }) {
                return try FrameBenchmark.runOnce(part, of: stream, turns: turns)
            }
            if subject == nil || subject == "frame" { try FrameBenchmark.run(names: names, json: json, inTurn: inTurn) }
            if subject == nil || subject == "paced" {
                try PacedBenchmark.run(names: subject == nil ? [] : names, seconds: seconds, json: json)
            }
            if subject == nil || subject == "sandbox", names.isEmpty { SandboxBenchmark.run(json: json) }
        } catch {
            print("benchmarks: \(error)")
            exit(1)
        }
    }
}
