// Figures, measured against a yardstick in the same run: `benchmarks [assembly|sandbox] [--json]`; without a name, all of them.
import Glibc

@main
struct Benchmarks {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        let names = arguments.filter { $0 != "--json" }
        guard names.allSatisfy({ $0 == "assembly" || $0 == "sandbox" }), names.count <= 1 else {
            let usage = Array("usage: benchmarks [assembly|sandbox] [--json]\n".utf8)
            _ = write(STDERR_FILENO, usage, usage.count)
            exit(2)
        }
        let json = arguments.contains("--json")
        if names.first != "sandbox" { AssemblyBenchmark.run(json: json) }
        if names.first != "assembly" { SandboxBenchmark.run(json: json) }
    }
}
