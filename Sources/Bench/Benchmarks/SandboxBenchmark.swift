// What a sandbox adds to the start of a process: the same program with and without, one after the other, from fork to exit.
import Glibc
import Sandbox
import Spawn

enum SandboxBenchmark {
    private static let rounds = 200

    static func run(json: Bool) {
        do {
            let clock = ContinuousClock()
            let began = clock.now
            let sandbox = try PreparedSandbox(.driver(kind: "webcam"))
            let preparing = began.duration(to: clock.now)
            let executable = try SealedExecutable(path: resolved("/bin/true"))
            var plain: [Duration] = []
            var held: [Duration] = []
            // Alternating, so that both see the same machine.
            for _ in 0..<rounds {
                plain.append(try clock.measure { try start(executable, nil) })
                held.append(try clock.measure { try start(executable, sandbox) })
            }
            let (without, with) = (median(plain), median(held))
            if json {
                print(
                    "{\"withoutMicroseconds\":\(micro(without)),\"withMicroseconds\":\(micro(with)),\"preparingMicroseconds\":\(micro(preparing))}"
                )
            } else {
                print(
                    "sandbox: a process starts and ends in \(micro(without)) µs without and \(micro(with)) µs with it (medians of \(rounds)); "
                        + "made ready once in \(micro(preparing)) µs")
            }
        } catch {
            print("sandbox: \(error)")
            exit(1)
        }
    }

    private static func start(_ executable: SealedExecutable, _ sandbox: PreparedSandbox?) throws {
        let child = try ChildProcess(
            executing: executable.descriptor, ChildProcess.Plan(arguments: ["true"], descriptors: [nil, nil, nil], sandbox: sandbox))
        let end = try child.wait()
        guard end == .exited(status: 0) else { throw SpawnFailure(description: "/bin/true: \(end.map { "\($0)" } ?? "")") }
    }

    private struct SpawnFailure: Error, CustomStringConvertible { var description: String }

    private static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }
    private static func median(_ values: [Duration]) -> Duration { values.sorted()[values.count / 2] }
    private static func micro(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
    }
}
