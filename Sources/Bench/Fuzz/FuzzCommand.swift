// Fuzzes the parsers: `fuzz TARGET|all --seconds N [--seed S] [--corpus DIR]`. Exit status 0 when every input was handled, 1 when one was
// not, 2 for a command line that makes no sense. Built for libFuzzer (see LibFuzzer.swift) the same targets run under its guidance.

import Dispatch
import Glibc
import Synchronization

#if !LIBFUZZER
    @main
    enum FuzzCommand {
        static func main() { exit(run(Array(CommandLine.arguments.dropFirst()))) }

        private static func run(_ arguments: [String]) -> Int32 {
            guard let options = FuzzOptions(arguments) else {
                complain(FuzzOptions.usage)
                return 2
            }
            if let path = options.input {
                guard let bytes = Files.read(path, atMost: 1 << 20) else { return 1 }
                for target in options.targets { target.run(bytes) }
                print("\(path): \(bytes.count) bytes, handled")
                return 0
            }
            if let path = options.worker {
                guard let current = CurrentInput(path: path) else { return 1 }
                for target in options.targets { FuzzWorker(target: target, options: options, current: current).run() }
                return 0
            }
            // As many at a time as there are processors: each has a process of its own.
            let findings = Atomic(0)
            DispatchQueue.concurrentPerform(iterations: options.targets.count) { index in
                if !FuzzWatcher(target: options.targets[index], options: options).run() { findings.add(1, ordering: .relaxed) }
            }
            return findings.load(ordering: .relaxed) == 0 ? 0 : 1
        }
    }
#endif
