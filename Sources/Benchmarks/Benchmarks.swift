// Figures, measured against a yardstick in the same run: `benchmarks [assembly] [--json]`; without a name, all of them.
import Glibc

@main
struct Benchmarks {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        let names = arguments.filter { $0 != "--json" }
        guard names.allSatisfy({ $0 == "assembly" }), names.count <= 1 else {
            let usage = Array("usage: benchmarks [assembly] [--json]\n".utf8)
            _ = write(STDERR_FILENO, usage, usage.count)
            exit(2)
        }
        AssemblyBenchmark.run(json: arguments.contains("--json"))
    }
}
