// Starts a worker, watches it, and keeps the input that ended or hung it.

import Glibc

struct FuzzWatcher {
    /// An input that takes longer than this is a finding, too.
    static let hangSeconds = 10

    let target: any FuzzTarget.Type
    let options: FuzzOptions

    /// Whether the target lived through it.
    func run() -> Bool {
        let path = "\(options.output)/.fuzz-\(target.name)-\(getpid())"
        defer { unlink(path) }
        guard let current = CurrentInput(path: path) else {
            complain("\(path): \(String(cString: strerror(errno)))")
            return false
        }
        guard let worker = Worker(target: target.name, current: path, options: options) else { return false }
        let outcome = worker.wait { current.inputs }
        guard outcome == .finished else {
            let bytes = current.bytes
            let file = "\(options.output)/crash-\(target.name)-\(fingerprint(bytes))"
            let kept = Files.write(bytes, to: file)
            complain("\(target.name): \(outcome.sentence) by input \(current.inputs) (seed \(options.seed))")
            complain(kept ? "  kept in \(file); run it again with: fuzz \(target.name) --input \(file)" : "  and \(file) can't be written")
            return false
        }
        print("\(target.name): \(current.inputs) inputs, all handled (seed \(options.seed))")
        return true
    }

    /// FNV-1a, enough to name a file.
    private func fingerprint(_ bytes: [UInt8]) -> String {
        String(bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, radix: 16)
    }
}

enum WorkerOutcome: Equatable {
    case finished
    case exited(Int32)
    case killed(signal: Int32)
    case hung

    var sentence: String {
        switch self {
        case .finished: "finished"
        case .exited(let status): "ended with exit status \(status)"
        case .killed(let signal): "ended with signal \(signal) (\(String(cString: strsignal(signal))))"
        case .hung: "stuck for \(FuzzWatcher.hangSeconds) s"
        }
    }
}

/// The child process; its end closes a pipe, which is what we wait for.
private struct Worker {
    private let process: pid_t
    private let lifeline: Int32

    init?(target: String, current: String, options: FuzzOptions) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            complain("pipe: \(String(cString: strerror(errno)))")
            return nil
        }
        defer { close(ends[1]) }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        var arguments = ["fuzz", target, "--worker", current, "--seconds", "\(options.seconds)", "--seed", "\(options.seed)"]
        if let corpus = options.corpus { arguments += ["--corpus", corpus] }
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { pointers.forEach { free($0) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, "/proc/self/exe", nil, nil, &pointers, environ)
        guard result == 0 else {
            complain("posix_spawn: \(String(cString: strerror(result)))")
            close(ends[0])
            return nil
        }
        self.process = process
        lifeline = ends[0]
    }

    func wait(progress: () -> UInt64) -> WorkerOutcome {
        defer { close(lifeline) }
        var last = progress()
        var hung = false
        while true {
            var poller = pollfd(fd: lifeline, events: Int16(POLLIN), revents: 0)
            let ready = poll(&poller, 1, Int32(FuzzWatcher.hangSeconds * 1000))
            if ready > 0 { break }
            let reached = progress()
            if ready == 0, reached == last {
                hung = true
                kill(process, SIGKILL)
            }
            last = reached
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        if hung { return .hung }
        if status & 0x7f != 0 { return .killed(signal: status & 0x7f) }
        let code = status >> 8 & 0xff
        return code == 0 ? .finished : .exited(code)
    }
}
