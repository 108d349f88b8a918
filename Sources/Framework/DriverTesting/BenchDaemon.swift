// `userdriverd` as a bench's own child, and the connections to it.

import FileDescriptors
import Glibc
import Spawn
import Synchronization
import Threads
import Wire

/// Starts the daemon, speaks to it, ends it.
final class BenchDaemon: Sendable {
    private let executable: String
    private let arguments: [String]
    private let folder: String
    private let child = Mutex<ChildProcess?>(nil)

    private var log: String { folder + "/log" }

    init(executable: String, arguments: [String], folder: String) {
        self.executable = executable
        self.arguments = [executable, "--runtime-dir", folder, "--state-dir", folder + "/state"] + arguments
        self.folder = folder
    }

    deinit {
        do { try child.withLock { $0 }?.kill(SIGKILL) } catch { print("userdriverd could not be stopped: \(error)") }
    }

    /// Where `userdriverd` is.
    static func find(_ variable: (String) -> String? = { getenv($0).map { String(cString: $0) } }) throws -> String {
        func folder(_ name: String) -> String? { variable(name).flatMap { $0.isEmpty ? nil : $0 } }
        var folders = (folder("PATH") ?? "/usr/bin:/bin").split(separator: ":").map(String.init)
        if let checkout = folder("USERDRIVER_CHECKOUT") { folders = [checkout + "/.build/release"] }
        if let programs = folder("USERDRIVER_BIN") { folders = [programs] }
        guard let found = folders.map({ $0 + "/userdriverd" }).first(where: { access($0, X_OK) == 0 }) else {
            throw DriverBenchFailure(
                "userdriverd is not in \(folders.joined(separator: ", ")). Install it, or set USERDRIVER_BIN to the folder that it is in.")
        }
        return found
    }

    /// Returns when the daemon can be spoken to.
    func start(patience: Duration) async throws {
        let (born, continuation) = AsyncStream.makeStream(of: Result<ChildProcess, any Error>.self)
        // The daemon is to end with this process: the kernel takes the thread that started it for
        // that, so it waits beside it.
        _ = try WorkerThread(name: "userdriverd") { [executable, arguments, log] in
            do {
                guard let file = OwnedDescriptor(opened: open(executable, O_RDONLY | O_CLOEXEC)) else {
                    throw BenchFiles.failure("read", executable)
                }
                guard let output = OwnedDescriptor(opened: open(log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0o600)) else {
                    throw BenchFiles.failure("write", log)
                }
                let child = try ChildProcess(
                    executing: file.number,
                    ChildProcess.Plan(
                        arguments: arguments, environment: ["PATH": "/usr/bin:/bin"], descriptors: [nil, output.number, output.number],
                        deathSignal: SIGKILL, newSession: true))
                continuation.yield(.success(child))
                continuation.finish()
                _ = try child.wait()
            } catch {
                continuation.yield(.failure(error))
                continuation.finish()
            }
        }
        for await result in born {
            let started = try result.get()
            child.withLock { $0 = started }
        }
        let end = ContinuousClock.now + patience
        while !isListening {
            if let end = try child.withLock({ $0 })?.collect() { throw DriverBenchFailure("userdriverd has ended: \(end).") }
            guard ContinuousClock.now < end else { throw DriverBenchFailure("userdriverd is not listening after \(patience).") }
            // A socket that appears tells nobody.
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// A socket's file is there a moment before it can be connected to.
    private var isListening: Bool {
        do throws(WireError) {
            _ = try VarlinkSocket.connect(path: folder + "/io.userdriver")
            return true
        } catch {
            return false
        }
    }

    func stop() async {
        guard let child = child.withLock({ $0 }) else { return }
        let (ended, continuation) = AsyncStream.makeStream(of: Void.self)
        do {
            _ = try WorkerThread(name: "teardown") {
                do {
                    try child.tearDown([TeardownStep(signal: SIGTERM, patience: .seconds(10))])
                } catch {
                    print("userdriverd: \(error)")
                }
                continuation.finish()
            }
        } catch {
            print("userdriverd could not be stopped: \(error)")
            continuation.finish()
        }
        for await _ in ended {}
    }

    func lastLines(_ count: Int) -> [String] {
        // A log that can't be read has no lines.
        let text = (try? BenchFiles.text(log)) ?? ""
        return text.split(separator: "\n").suffix(count).map(String.init)
    }

    /// A call on a connection of its own; its replies end with the last one. A consumer that goes
    /// away ends the connection, and with it the call.
    func exchange(_ method: String, _ parameters: JSONValue, more: Bool) -> AsyncThrowingStream<JSONValue, any Error> {
        AsyncThrowingStream { continuation in
            do {
                let socket = try VarlinkSocket.connect(path: folder + "/io.userdriver")
                continuation.onTermination = { _ in socket.shutdown() }
                _ = try WorkerThread(name: "call") {
                    do {
                        try socket.send(VarlinkCall(method: method, parameters: parameters, more: more))
                        while let (reply, descriptors) = try socket.receive(VarlinkReply.self) {
                            _ = OwnedDescriptors(descriptors)
                            if let error = reply.error { throw CallError(error, of: reply.parameters) }
                            continuation.yield(reply.parameters)
                            if !reply.continues { break }
                        }
                        continuation.finish()
                    } catch {
                        continuation.finish(throwing: error)
                    }
                }
            } catch {
                continuation.finish(throwing: error)
            }
        }
    }
}

extension CallError {
    /// A Varlink error as it came.
    fileprivate init(_ name: String, of parameters: JSONValue) {
        let code = name.split(separator: ".").last.map(String.init) ?? name
        self.init(
            code, parameters["message"]?.stringValue ?? name, layer: parameters["layer"]?.stringValue,
            remedy: parameters["remedy"]?.stringValue, detail: parameters)
    }
}
