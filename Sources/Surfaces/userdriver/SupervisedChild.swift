// A child of `userdriver up`: started, listened to, started again, stopped.

import CLinux
import FileDescriptors
import Glibc
import Spawn

/// A child process that is to run until it is stopped. All calls come from the process's main thread.
struct SupervisedChild {
    let name: String
    private let path: String
    var arguments: [String]
    private let verbose: Bool
    private var process: ChildProcess?
    private var output: LineReader?
    private var errors: LineReader?
    /// The last lines that it logged.
    private var lastWords: [String] = []
    /// Lines on its standard output.
    private(set) var announced: [String] = []
    private var startedAt: UInt64 = 0
    private var delay: UInt64 = 0
    /// When it is to be started again (CLOCK_MONOTONIC ns), while it is down.
    private(set) var startsAt: UInt64?
    private var everReady = false

    init(name: String, path: String, arguments: [String], verbose: Bool) {
        self.name = name
        self.path = path
        self.arguments = arguments
        self.verbose = verbose
    }

    var processID: Int32 { process?.processID ?? 0 }

    var pollEntries: [pollfd] {
        let readers = [output, errors].compactMap { $0 }.filter { !$0.isAtEnd }
        return ([process?.descriptor].compactMap { $0 } + readers.map(\.descriptor)).map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
    }

    mutating func start() throws {
        startsAt = nil
        guard let executable = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else {
            throw CommandFailure(
                "The \(name)'s program can't be started: \(path): \(String(cString: strerror(errno))). It must be in the same folder as userdriver."
            )
        }
        let outputPipe = try Pipe.forChild()
        let errorPipe = try Pipe.forChild()
        output = LineReader(outputPipe.reads)
        errors = LineReader(errorPipe.reads)
        startedAt = clinux_monotonic_ns()
        do {
            // SIGKILL: however this process ends, nothing of it stays. A session of its own: Ctrl-C is ours to see to, in order.
            process = try ChildProcess(
                executing: executable.number,
                .init(
                    arguments: [path] + arguments, environment: ProcessEnvironment.all,
                    descriptors: [nil, outputPipe.writes.number, errorPipe.writes.number],
                    deathSignal: SIGKILL, newSession: true))
        } catch {
            throw CommandFailure("The \(name) can't be started: \(error).")
        }
    }

    /// Takes what it has said, and sees whether it has ended or is to be started again.
    mutating func turn() throws {
        announced += output?.lines() ?? []
        listen()
        if let end = try process?.collect() {
            listen()
            process = nil
            try ended(end)
        }
        if let startsAt, clinux_monotonic_ns() >= startsAt {
            try start()
            UpText.line("\(name) started again (process \(processID))")
        }
    }

    private mutating func listen() {
        for line in errors?.lines() ?? [] {
            if verbose { UpText.line("\(name): \(line)") }
            lastWords = (lastWords + [line]).suffix(20)
        }
    }

    private mutating func ended(_ end: ChildProcess.End) throws {
        output = nil
        errors = nil
        let lived = clinux_monotonic_ns() - startedAt
        let words = verbose ? [] : lastWords
        lastWords = []
        // One that ends by itself at once, at its very first start, would do so again: what it said is the reason.
        if !everReady, lived < 2_000_000_000, case .exited = end {
            throw CommandFailure((["The \(name) could not start (\(end))."] + words.map { "  " + $0 }).joined(separator: "\n"))
        }
        everReady = true
        delay = lived > 10_000_000_000 ? 0 : min(max(delay * 2, 100_000_000), 5_000_000_000)
        startsAt = clinux_monotonic_ns() + delay
        UpText.line("\(name) died (\(end)) and will be started again")
        for word in words.suffix(5) { UpText.line("  \(word)") }
    }

    /// Ends it, gently first. Nothing is left when this returns.
    mutating func stop() {
        startsAt = nil
        guard let process else { return }
        self.process = nil
        do {
            try process.tearDown([TeardownStep(signal: SIGTERM, patience: .seconds(5))])
        } catch {
            Terminal.note("userdriver: \(error)")
        }
    }
}

/// What children are given that is this process's own.
enum ProcessEnvironment {
    static var all: [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text)
            if let equals = pair.firstIndex(of: "=") { variables[String(pair[..<equals])] = String(pair[pair.index(after: equals)...]) }
            entry += 1
        }
        return variables
    }

    /// Set, and not to nothing.
    static func has(_ name: String) -> Bool { getenv(name).map { $0.pointee != 0 } ?? false }
}

extension Pipe {
    /// Between this process and a child.
    static func forChild() throws(CommandFailure) -> Pipe {
        guard let pipe = Pipe() else { throw CommandFailure("A pipe can't be created: \(String(cString: strerror(errno))).") }
        return pipe
    }
}

/// Lines from a pipe, whose end it makes one that never blocks.
final class LineReader {
    var descriptor: Int32 { pipe.number }
    private let pipe: OwnedDescriptor
    private(set) var isAtEnd = false
    private var rest: [UInt8] = []
    /// Longer lines are cut there.
    private static let longest = 4096

    init(_ pipe: consuming OwnedDescriptor) {
        clinux_set_nonblocking(pipe.number, 1)
        self.pipe = pipe
    }

    /// The lines that are complete by now.
    func lines() -> [String] {
        var lines: [String] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count == 0 { isAtEnd = true }
            guard count > 0 else { break }
            for byte in buffer[..<count] {
                if byte == UInt8(ascii: "\n") {
                    lines.append(String(decoding: rest, as: UTF8.self))
                    rest = []
                } else if rest.count < Self.longest {
                    rest.append(byte)
                }
            }
        }
        return lines
    }
}
