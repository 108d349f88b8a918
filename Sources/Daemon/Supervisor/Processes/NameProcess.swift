// The supervisor's side of looking up names: a child that gets files and addresses, and returns a few lines or is ended.

import CLinux
import FileDescriptors
import Glibc
import Sandbox
import Spawn

/// Starts the program that looks up names. Nothing that a driver supplies is interpreted in this process.
struct NameService: Sendable {
    /// `userdriverd`, or what else calls `NameLookup.runIfAsked`.
    let executable: String
    /// Below these libraries are found.
    let libraryFolders: [String]
    let sandbox: @SupervisorActor @Sendable () throws(SandboxError) -> PreparedSandbox
    /// How long the process may take.
    var patience: Duration

    /// `nil` if there is no such program.
    @SupervisorActor
    init?(_ configuration: SupervisorConfiguration, sandboxes: DriverSandboxes) {
        guard let executable = configuration.namesExecutable else { return nil }
        self.executable = executable
        libraryFolders = SandboxPolicy.systemLibraryFolders + configuration.libraryFolders
        sandbox = { () throws(SandboxError) in try sandboxes.names(executable: executable) }
        patience = configuration.timing.namesLimit
    }

    /// Names by the index of a place, as far as they can be had in time.
    func names(for backtrace: Backtrace, executable driver: SealedExecutable?) async -> [Int: String] {
        var files: [Int32?] = []
        defer { for case let file? in files { close(file) } }
        for file in backtrace.files.prefix(Int(CLINUX_CRASH_OBJECTS) + 1) {
            switch file {
            case .executable: files.append(driver.flatMap { Self.duplicate($0.descriptor) })
            case .library(let path): files.append(LibraryFile.open(path, below: libraryFolders))
            }
        }
        let words = backtrace.places.map { "\($0.file):\(String($0.address, radix: 16))" }
        guard files.contains(where: { $0 != nil }) else { return [:] }
        return await NameProcess.run(self, words: words, files: files)
    }

    private static func duplicate(_ descriptor: Int32) -> Int32? {
        let file = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
        return file < 0 ? nil : file
    }
}

/// Shared objects of the system's, named by a driver.
enum LibraryFile {
    /// O_PATH, which Glibc's module does not have: nothing of a file is touched by opening it so.
    private static let pathOnly: Int32 = 0o10_000_000

    /// Opened for reading where the file, once every link is followed, is a regular one of root's or our own below one of `folders`, which nobody
    /// else may write to. Anything else, as a device or a file in /proc, is not even opened.
    static func open(_ path: String, below folders: [String]) -> Int32? {
        guard folders.contains(where: { path.hasPrefix($0 + "/") }) else { return nil }
        guard let found = OwnedDescriptor(opened: Glibc.open(path, pathOnly | O_CLOEXEC)) else { return nil }
        var status = stat()
        guard fstat(found.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == 0 || status.st_uid == geteuid(),
            status.st_mode & (S_IWGRP | S_IWOTH) == 0, let place = place(of: found.number),
            folders.contains(where: { place.hasPrefix(($0.realPath ?? $0) + "/") })
        else { return nil }
        let file = Glibc.open("/proc/self/fd/\(found.number)", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        return file < 0 ? nil : file
    }

    /// The path of an open file, as the kernel has it.
    private static func place(of file: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/fd/\(file)", $0.baseAddress!, $0.count) }
        return count > 0 && count < buffer.count ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}

extension String {
    fileprivate var realPath: String? {
        guard let path = realpath(self, nil) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }
}

/// One process that looks up names, from its birth to its end.
@SupervisorActor
final class NameProcess {
    private let child: ChildProcess
    /// `nil` once it is read to its end.
    private var output: OwnedDescriptor?
    private var outputToken: UInt64?
    private var childToken: UInt64?
    private var callsToken: UInt64?
    private let deadline = ReactorTimer()
    private var text: [UInt8] = []
    private var waiter: CheckedContinuation<[UInt8], Never>?
    private static let maximumOutput = 128 << 10

    static func run(_ service: NameService, words: [String], files: [Int32?]) async -> [Int: String] {
        let process: NameProcess
        do {
            process = try NameProcess(service, words: words, files: files)
        } catch {
            // Reports have addresses then, from which names can be had by hand.
            return [:]
        }
        return names(in: await process.text(within: service.patience), count: words.count)
    }

    private init(_ service: NameService, words: [String], files: [Int32?]) throws {
        guard let program = OwnedDescriptor(opened: open(service.executable, O_RDONLY | O_CLOEXEC)) else {
            throw SystemFailure(operation: "open(\(service.executable))", errno: errno)
        }
        guard let pipe = Pipe() else { throw SystemFailure(operation: "pipe", errno: errno) }
        child = try ChildProcess(
            executing: program.number,
            ChildProcess.Plan(
                arguments: [NameLookup.programName], environment: [NameLookup.variable: words.joined(separator: " ")],
                descriptors: [nil, pipe.writes.number, nil] + files,
                // This thread lives as long as the process, so the signal means: the supervisor is gone.
                deathSignal: SIGKILL, newSession: true, sandbox: try service.sandbox()))
        let reads = pipe.reads.number
        output = consume pipe.reads
        clinux_set_nonblocking(reads, 1)
        // Watchers keep the object, until the child has ended and is collected.
        outputToken = Reactor.shared.watch(reads, for: .readable) { _ in self.read() }
        childToken = Reactor.shared.watch(child.descriptor, for: .readable) { _ in self.childEnded() }
        if let calls = child.forbiddenCalls {
            callsToken = Reactor.shared.watch(calls.descriptor, for: .readable) { _ in self.kill() }
        }
    }

    /// What it has written when it has ended, or by then.
    private func text(within patience: Duration) async -> [UInt8] {
        await withCheckedContinuation { continuation in
            waiter = continuation
            deadline.set(after: patience) { [weak self] in self?.kill() }
        }
    }

    /// Ends it and waits no longer: the kernel takes the time that it takes.
    private func kill() {
        do throws(SpawnError) { try child.kill(SIGKILL) } catch {
            // It has ended by itself.
        }
        forgetCalls()
        answer()
    }

    private func answer() {
        deadline.lift()
        waiter?.resume(returning: text)
        waiter = nil
    }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while let output = output.number {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(output, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return }
            guard count > 0 else { return closeOutput() }
            text += buffer[..<count]
            guard text.count <= Self.maximumOutput else {
                closeOutput()
                return kill()
            }
        }
    }

    private func closeOutput() {
        guard let outputToken, let number = output.number else { return }
        Reactor.shared.forget(outputToken, number)
        self.outputToken = nil
        output = nil
    }

    private func forgetCalls() {
        if let callsToken, let calls = child.forbiddenCalls { Reactor.shared.forget(callsToken, calls.descriptor) }
        callsToken = nil
    }

    private func childEnded() {
        do throws(SpawnError) {
            guard try child.collect() != nil else { return }
        } catch {
            // Collected by somebody else: it has ended all the same.
        }
        read()
        closeOutput()
        forgetCalls()
        if let childToken { Reactor.shared.forget(childToken, child.descriptor) }
        childToken = nil
        answer()
    }

    /// The last line of each index counts.
    nonisolated static func names(in text: [UInt8], count: Int) -> [Int: String] {
        var names: [Int: String] = [:]
        // What stands behind the last line's end was cut off.
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast() {
            guard let space = line.firstIndex(of: UInt8(ascii: " ")), let index = Int(String(decoding: line[..<space], as: UTF8.self)),
                (0..<count).contains(index)
            else { continue }
            names[index] = String(decoding: line[line.index(after: space)...], as: UTF8.self)
        }
        return names
    }
}
