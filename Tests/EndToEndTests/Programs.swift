// Runs the project's release executables as a user would.

import CLinux
import Foundation
import Spawn
import Testing

/// Where the executables are: `USERDRIVER_BIN`, else `.build/release` of this package.
enum Programs {
    static let folder: String =
        ProcessInfo.processInfo.environment["USERDRIVER_BIN"]
        ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent(".build/release").path

    static var areBuilt: Bool {
        ["userdriver", "userdriverd", "webcam.driver/webcam-driver"].allSatisfy {
            FileManager.default.isExecutableFile(atPath: "\(folder)/\($0)")
        }
    }

    struct Result: Sendable {
        var status: ChildProcess.End
        var output: Data
        var errors: String
        var text: String { String(decoding: output, as: UTF8.self) }
        /// The last line of standard output as JSON.
        func lastLine<T: Decodable>(as type: T.Type) throws -> T {
            let line = try #require(text.split(separator: "\n").last, "no output; errors: \(errors)")
            return try JSONDecoder().decode(type, from: Data(line.utf8))
        }
    }

    /// Starts a program; its output goes to files, so that it never waits for a reader.
    static func start(_ name: String, _ arguments: [String], environment: [String: String] = [:]) throws -> Running {
        try Running(path: "\(folder)/\(name)", name: name, arguments: arguments, environment: environment)
    }

    /// Runs a program to its end.
    static func run(
        _ name: String, _ arguments: [String], environment: [String: String] = [:], timeout: Duration = .seconds(120)
    ) async throws -> Result {
        try await start(name, arguments, environment: environment).finish(timeout: timeout)
    }
}

/// A program that runs.
final class Running: Sendable {
    let child: ChildProcess
    private let outputPath: String
    private let errorPath: String
    private let name: String

    /// - Parameter input: a descriptor that is its standard input; `nil`: it has none.
    init(path: String, name: String, arguments: [String], environment: [String: String], input: Int32? = nil) throws {
        let base = "\(NSTemporaryDirectory())/userdriver-test-\(UUID().uuidString)"
        self.name = name
        outputPath = base + ".out"
        errorPath = base + ".err"
        let output = open(outputPath, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        let errors = open(errorPath, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        defer {
            close(output)
            close(errors)
        }
        var variables = environment
        variables["PATH"] = "/usr/bin:/bin"
        // Executed by its path, as a shell does: the programs look for their companions beside themselves.
        let executable = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(executable) }
        child = try ChildProcess(
            executing: executable,
            ChildProcess.Plan(arguments: [name] + arguments, environment: variables, descriptors: [input, output, errors]))
    }

    /// A test that fails half-way leaves nothing behind either.
    deinit { _ = try? child.kill(SIGKILL) }  // nobody is left to be told that it ended by itself

    var pid: Int32 { child.processID }
    var output: Data { FileManager.default.contents(atPath: outputPath) ?? Data() }
    var errors: String { String(decoding: FileManager.default.contents(atPath: errorPath) ?? Data(), as: UTF8.self) }

    /// Waits for the end; a program that takes longer is killed, which fails the test.
    func finish(timeout: Duration = .seconds(120)) async throws -> Programs.Result {
        let end = try await offPool { [child] in try child.wait(timeout: timeout) }
        if end == nil {
            try child.kill(SIGKILL)
            _ = try await offPool { [child] in try child.wait() }
            Issue.record("\(name) did not end within \(timeout); output: \(String(decoding: output, as: UTF8.self)) errors: \(errors)")
        }
        defer { remove() }
        return Programs.Result(status: end ?? .signaled(SIGKILL, dumped: false), output: output, errors: errors)
    }

    /// Waits until its output, or what it writes to standard error, satisfies `condition`; woken by each write.
    @discardableResult
    func waitForOutput(
        errors: Bool = false, timeout: Duration = .seconds(30), _ condition: @escaping @Sendable (String) -> Bool
    ) async throws -> String {
        let path = errors ? errorPath : outputPath
        return try await offPool { [child] in
            let watcher = inotify_init1(Int32(IN_CLOEXEC))
            defer { close(watcher) }
            inotify_add_watch(watcher, path, UInt32(IN_MODIFY))
            let deadline = ContinuousClock.now + timeout
            while true {
                let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
                if condition(text) { return text }
                guard ContinuousClock.now < deadline else { throw Timeout(what: "output", seen: text) }
                var files = [
                    pollfd(fd: watcher, events: Int16(POLLIN), revents: 0), pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0),
                ]
                poll(&files, 2, 1000)
                if files[1].revents != 0 { throw Timeout(what: "output of a program that has ended", seen: text) }
                if files[0].revents != 0 {
                    var buffer = [UInt8](repeating: 0, count: 4096)
                    _ = read(watcher, &buffer, buffer.count)
                }
            }
        }
    }

    /// Asks it to end, and waits.
    func stop(_ signal: Int32 = SIGTERM) async throws -> Programs.Result {
        try child.kill(signal)
        return try await finish(timeout: .seconds(20))
    }

    private func remove() {
        unlink(outputPath)
        unlink(errorPath)
    }
}

/// Sees a process end that is nobody's child here.
final class Witness: Sendable {
    let pid: Int32
    private let descriptor: Int32

    /// `pid` is alive now.
    init(of pid: Int32) {
        self.pid = pid
        descriptor = clinux_pidfd_open(pid)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func ended(timeout: Duration = .seconds(10)) async throws {
        try await offPool { [self] in
            // A process that had ended before it could be watched has ended.
            guard descriptor >= 0 else { return }
            var file = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&file, 1, Int32(timeout.components.seconds) * 1000) == 1 else {
                throw Timeout(what: "the end of process \(pid)", seen: "it lives")
            }
        }
    }
}

struct Timeout: Error, CustomStringConvertible {
    var what: String
    var seen: String
    var description: String { "waited in vain for \(what); seen: \(seen)" }
}

/// Runs blocking work on a thread of its own.
func offPool<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result { try work() }) }
    }
}
