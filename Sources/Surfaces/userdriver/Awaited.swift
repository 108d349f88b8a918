// Asynchronous work that the main thread waits for, and signals that end long work.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import Threads

enum Awaited {
    private final class Outcome: Sendable {
        let error = Mutex<(any Error)?>(nil)
    }

    /// Runs `work` on Swift's threads and waits for it on this one, which is none of them.
    static func run(_ work: @escaping @Sendable () async throws -> Void) throws {
        let outcome = Outcome()
        let made = clinux_eventfd()
        guard let signal = OwnedDescriptor(opened: made) else {
            throw CommandFailure("No file descriptor is free: \(String(cString: strerror(-made))).")
        }
        let done = signal.number
        Task.detached {
            do {
                try await work()
            } catch {
                outcome.error.withLock { $0 = error }
            }
            var one: UInt64 = 1
            _ = write(done, &one, 8)
        }
        var entry = pollfd(fd: done, events: Int16(POLLIN), revents: 0)
        while poll(&entry, 1, -1) < 0, errno == EINTR {}
        if let error = outcome.error.withLock({ $0 }) { throw error }
    }
}

/// The signals by which a person or a service manager ends long work.
enum Interrupt {
    /// Asked for before other threads were started, by `prepare`.
    private static let prepared = Mutex<Int32?>(nil)

    /// For a command that runs on another thread than the main one: keeps such signals for it.
    static func prepare() throws(CommandFailure) {
        let descriptor = try descriptor().handOver()
        prepared.withLock { $0 = descriptor }
    }

    /// A descriptor that is readable when SIGINT, SIGTERM or SIGHUP has come, which from now on do nothing else. Call it before other threads
    /// are started: they inherit the mask.
    static func descriptor() throws(CommandFailure) -> OwnedDescriptor {
        if let kept = prepared.withLock({ $0.take() }) { return OwnedDescriptor(kept) }
        let made = clinux_stop_signals()
        guard let signals = OwnedDescriptor(opened: made) else {
            throw CommandFailure("signalfd failed: \(String(cString: strerror(-made))).")
        }
        return signals
    }

    /// The number of a signal that has come.
    static func take(_ descriptor: Int32) -> Int32? {
        let number = clinux_take_signal(descriptor)
        return number > 0 ? number : nil
    }

    /// Calls `stop` at the first such signal; the second ends the process at once. Call it before other threads are started.
    static func onFirst(_ stop: @escaping @Sendable () -> Void) throws(CommandFailure) {
        let descriptor = try descriptor()
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "interrupts") { pass(descriptor.number, on: stop) }
        } catch {
            throw CommandFailure("Signals can't be received: \(error)")
        }
    }

    private static func pass(_ descriptor: Int32, on stop: () -> Void) {
        var count = 0
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, -1) >= 0 || errno == EINTR else { return }
            guard take(descriptor) != nil else { continue }
            count += 1
            if count > 1 { _exit(ExitStatus.failed) }
            stop()
        }
    }
}
