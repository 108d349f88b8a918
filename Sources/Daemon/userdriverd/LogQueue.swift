// Log lines on standard error, from a thread of their own: a reader that stalls must not stall the supervisor.

import Dispatch
import Glibc
import Logging
import Synchronization
import Threads
import Wire

/// Lines on their way to standard error. When nobody reads them, the oldest go, and how many is said.
final class LogQueue: Sendable {
    private struct State {
        var lines: [String] = []
        var bytes = 0
        var dropped = 0
        var isWriting = false
    }
    private static let maximumLines = 2000
    private static let maximumBytes = 1 << 20

    private let state = Mutex(State())
    private let work = DispatchSemaphore(value: 0)
    private let idle = DispatchSemaphore(value: 0)

    init() {
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "log") { [self] in run() }
        } catch {
            preconditionFailure("a process that can't have a thread can't serve: \(error)")
        }
    }

    func append(_ line: String) {
        state.withLock { state in
            state.lines.append(line)
            state.bytes += line.utf8.count
            while state.lines.count > Self.maximumLines || state.bytes > Self.maximumBytes, let first = state.lines.first {
                state.bytes -= first.utf8.count
                state.lines.removeFirst()
                state.dropped += 1
            }
        }
        work.signal()
    }

    /// Waits until everything is written, but not for ever.
    func flush() {
        for _ in 0..<100 {
            if state.withLock({ $0.lines.isEmpty && !$0.isWriting }) { return }
            // Woken after each write; the time-out is for a reader that stalls.
            if idle.wait(timeout: .now() + .milliseconds(50)) == .timedOut { return }
        }
    }

    private func run() {
        while true {
            work.wait()
            let text = state.withLock { state in
                var text = state.lines.map { $0 + "\n" }.joined()
                if state.dropped > 0 { text = "(\(state.dropped) lines were lost: nobody read them)\n" + text }
                state.lines = []
                state.bytes = 0
                state.dropped = 0
                state.isWriting = !text.isEmpty
                return text
            }
            var bytes = Array(text.utf8)[...]
            while !bytes.isEmpty {
                let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
                if count < 0 && errno == EINTR { continue }
                // Standard error is closed: there is nobody to tell.
                guard count > 0 else { break }
                bytes = bytes.dropFirst(count)
            }
            state.withLock { $0.isWriting = false }
            idle.signal()
        }
    }
}

/// swift-log's lines: time, level, message, metadata.
struct QueuedLogHandler: LogHandler {
    let queue: LogQueue
    var logLevel: Logger.Level = .info
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let facts = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        // What devices, drivers and clients said is part of it.
        queue.append("\(Self.time()) " + "\(event.level): \(event.message)\(facts)".printable)
    }

    /// Local time of day with milliseconds: the day is known by whoever reads.
    private static func time() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var seconds = time.tv_sec
        var parts = tm()
        localtime_r(&seconds, &parts)
        func digits(_ value: Int, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        return
            "\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2)).\(digits(time.tv_nsec / 1_000_000, 3))"
    }
}
