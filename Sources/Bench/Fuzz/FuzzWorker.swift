// The process that runs one target's inputs, until its time is over or one of them ends it.

import Glibc

struct FuzzWorker {
    let target: any FuzzTarget.Type
    let options: FuzzOptions
    let current: CurrentInput

    /// Seeds and corpus as they are, then every prefix of the small ones, then mutations.
    func run() {
        limitMemory()
        let seeds = target.seeds + corpus()
        let deadline = now() + options.seconds
        for seed in seeds { run(seed) }
        for seed in seeds where seed.count <= 8192 {
            for length in seed.indices where now() < deadline { run(Array(seed.prefix(length))) }
        }
        var mutator = Mutator(seeds: seeds, seed: options.seed)
        while now() < deadline {
            for _ in 0..<64 { run(mutator.next()) }
        }
    }

    private func run(_ bytes: [UInt8]) {
        current.begin(bytes)
        target.run(bytes)
    }

    /// The files of the target's folder in the corpus.
    private func corpus() -> [[UInt8]] {
        guard let folder = options.corpus else { return [] }
        return Files.list(folder + "/" + target.name).sorted().compactMap { Files.read($0, atMost: Mutator.largestInput) }
    }

    /// A parser that asks for more than a gigabyte fails here, instead of on somebody's machine.
    private func limitMemory() {
        var limit = rlimit(rlim_cur: 1 << 30, rlim_max: 1 << 30)
        setrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit)
    }

    private func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
