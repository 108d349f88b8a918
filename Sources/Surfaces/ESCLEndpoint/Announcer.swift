// Who has Avahi told of scanners and printers: `userdriver-announce`, a process of its own, told anew
// whenever it was started anew.

import CLinux
import FileDescriptors
import Glibc
import Spawn
import Synchronization
import Threads

/// Keeps one `userdriver-announce` while there is something to announce. It ends when Avahi does, and
/// where there is no bus to find Avahi on: then the next one is started, each time a little later.
public final class Announcer: Sendable {
    private let program: String
    private let environment: [String: String]
    private let log: @Sendable (String) -> Void
    private let wanted = Mutex<[Announcement.Key: Announcement]>([:])
    /// Readable when `wanted` was changed.
    private let changes: OwnedDescriptor
    private static let shortestPause = Duration.milliseconds(200)
    private static let longestPause = Duration.seconds(30)
    /// A process that has lived for so long was well.
    private static let longLife = Duration.seconds(10)

    /// - Parameters:
    ///   - program: the path of `userdriver-announce`.
    ///   - environment: whole, of that process. `DBUS_SYSTEM_BUS_ADDRESS` is what it may want.
    /// - Returns: `nil` if the system has no thread or no descriptor to give, which is logged.
    public init?(program: String, environment: [String: String], log: @escaping @Sendable (String) -> Void) {
        self.program = program
        self.environment = environment
        self.log = log
        let made = clinux_eventfd()
        guard let changes = OwnedDescriptor(opened: made) else {
            log("Nothing can be announced by DNS-SD: eventfd: \(String(cString: strerror(-made))).")
            return nil
        }
        self.changes = changes
        do throws(WorkerThread.StartFailure) {
            // It lives as long as this process: children's death signal is tied to it.
            _ = try WorkerThread(name: "announcer") { [self] in run() }
        } catch {
            log("Nothing can be announced by DNS-SD: \(error)")
            return nil
        }
    }

    /// In place of what was announced of the same type at the same port.
    func announce(_ announcement: Announcement) {
        wanted.withLock { $0[announcement.key] = announcement }
        signal()
    }

    func withdraw(_ key: Announcement.Key) {
        wanted.withLock { $0[key] = nil }
        signal()
    }

    // MARK: The thread

    private func run() {
        var pause = Self.shortestPause
        var said: Set<String> = []
        while true {
            // Nothing runs for nothing.
            while wanted.withLock({ $0.isEmpty }) { waitForChange() }
            let begun = ContinuousClock.now
            var lines: [String] = []
            do {
                try runOne { line in
                    lines.append(line)
                    if said.insert(line).inserted { self.log(line) }
                }
            } catch {
                lines = ["Nothing can be announced by DNS-SD: \(error)"]
                if said.insert(lines[0]).inserted { log(lines[0]) }
            }
            if begun.duration(to: .now) > Self.longLife { pause = Self.shortestPause }
            // Words are news again once something else has been said.
            said = Set(lines)
            poll(nil, 0, Int32(clamping: pause.nanoseconds / 1_000_000))
            pause = min(pause * 2, Self.longestPause)
        }
    }

    private func waitForChange() {
        var entry = pollfd(fd: changes.number, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, -1)
        clear()
    }

    private func signal() { eventfd_write(changes.number, 1) }

    private func clear() {
        var count: eventfd_t = 0
        eventfd_read(changes.number, &count)
    }

    /// From a process's start to its end.
    private func runOne(_ say: (String) -> Void) throws {
        guard let executable = OwnedDescriptor(opened: open(program, O_RDONLY | O_CLOEXEC)) else {
            throw AnnouncerFailure("\(program): \(String(cString: strerror(errno)))")
        }
        let process: ChildProcess
        let tells: OwnedDescriptor
        let hears: OwnedDescriptor
        do {
            // Its ends are its own, once it runs.
            let input = try Self.pipe()
            let output = try Self.pipe()
            process = try ChildProcess(
                executing: executable.number,
                .init(
                    arguments: [program], environment: environment,
                    descriptors: [input.reads.number, output.writes.number, output.writes.number], deathSignal: SIGKILL, newSession: true))
            tells = input.writes
            hears = output.reads
        }
        converse(tells.number, hears.number, say)
        let end = try process.wait(timeout: .seconds(5)) ?? process.tearDown()
        if end != .exited(status: 0), end != .exited(status: 3) { throw AnnouncerFailure("\(program) ended (\(end)).") }
    }

    /// Tells it what is to be announced and what no longer is, and hears what it says, until it says
    /// nothing more.
    private func converse(_ input: Int32, _ output: Int32, _ say: (String) -> Void) {
        var told: [Announcement.Key: Announcement] = [:]
        var rest: [UInt8] = []
        while true {
            let now = wanted.withLock { $0 }
            var lines = told.keys.filter { now[$0] == nil }.sorted().map(Announcement.withdrawal)
            lines += now.values.filter { told[$0.key] != $0 }.sorted { $0.key < $1.key }.map(\.line)
            told = now
            // A process that has gone says so below.
            for line in lines { Self.write(line, to: input) }
            var entries = [
                pollfd(fd: output, events: Int16(POLLIN), revents: 0), pollfd(fd: changes.number, events: Int16(POLLIN), revents: 0),
            ]
            poll(&entries, 2, -1)
            if entries[1].revents != 0 { clear() }
            guard entries[0].revents != 0 else { continue }
            var buffer = [UInt8](repeating: 0, count: 1024)
            let count = read(output, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest += buffer[..<count]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                say(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeSubrange(...end)
            }
            // It says nothing that is as long as that.
            if rest.count > 4096 { rest = [] }
        }
    }

    private static func write(_ line: String, to descriptor: Int32) {
        var bytes = Array(line.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    private static func pipe() throws(AnnouncerFailure) -> Pipe {
        guard let pipe = Pipe() else { throw AnnouncerFailure("A pipe can't be created: \(String(cString: strerror(errno))).") }
        return pipe
    }
}

private struct AnnouncerFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
