// The attacher's process: starts the server, which has no rights, does what that may ask for, and starts it again when it dies.

import CLinux
import FileDescriptors
import Glibc
import Sandbox
public import Spawn
import Wire

/// The root's part of `userdriver-video`: one thread, one poll, no byte of a device's or a daemon's.
public struct Attacher {
    public struct Options {
        /// What the server is told.
        public var environment: [String: String]
        /// The account that the server runs as.
        public var account: Account
        public var program: String

        public init(environment: [String: String], account: Account, program: String) {
            self.environment = environment
            self.account = account
            self.program = program
        }
    }

    private let options: Options
    private let log: (String) -> Void
    private static let shortestPause: UInt64 = 200_000_000
    private static let longestPause: UInt64 = 30_000_000_000
    /// As many calls of a driver that loads are refused before it is ended.
    private static let mostRefused = 64

    public init(_ options: Options, log: @escaping (String) -> Void) {
        self.options = options
        self.log = log
    }

    /// Until SIGTERM or SIGINT. Throws where no server can be started at all.
    public func run() throws {
        let made = clinux_stop_signals()
        guard let signals = OwnedDescriptor(opened: made) else {
            throw AttacherFailure(description: "signalfd: \(String(cString: strerror(-made)))")
        }
        let executable = try SealedExecutable(path: options.program, isExecutableByAll: true)
        let sandbox = try PreparedSandbox(.video)
        for missing in sandbox.protections.missing { log("The server runs without \(missing): this kernel lacks it.") }
        let folder = VideoNodeRecord.folder
        _ = mkdir(folder, 0o755)
        let desk = AttacherDesk(controller: VirtualController(), recordPath: VideoNodeRecord.path, log: log)
        guard desk.record() == 0 else {
            throw AttacherFailure(description: "\(VideoNodeRecord.path) can't be written: \(String(cString: strerror(errno))).")
        }
        defer { unlink(VideoNodeRecord.path) }
        var pause = Self.shortestPause
        while true {
            let began = clinux_monotonic_ns()
            guard try serve(executable, sandbox, desk, signals.number) else { return }
            if clinux_monotonic_ns() - began > 60_000_000_000 { pause = Self.shortestPause }
            // The kernel lets go of the ports meanwhile.
            var entry = pollfd(fd: signals.number, events: Int16(POLLIN), revents: 0)
            if clinux_poll(&entry, 1, Int64(pause)) > 0 { return }
            pause = min(pause * 2, Self.longestPause)
            desk.forget()
        }
    }

    /// One server's life. False when this process is to end.
    private func serve(_ executable: SealedExecutable, _ sandbox: PreparedSandbox, _ desk: AttacherDesk, _ signals: Int32) throws -> Bool {
        let ours: OwnedDescriptor
        let server: ChildProcess
        do {
            guard let pair = SocketPair(.packets) else {
                throw AttacherFailure(description: "socketpair: \(String(cString: strerror(errno)))")
            }
            var plan = ChildProcess.Plan(
                arguments: ["userdriver-video"], environment: options.environment,
                descriptors: [nil, STDERR_FILENO, STDERR_FILENO, pair.theirs.number], deathSignal: SIGKILL, newSession: true,
                sandbox: sandbox)
            plan.account = options.account
            server = try ChildProcess(executing: executable.descriptor, plan)
            ours = pair.ours
        }
        var (channel, hasAsked, refused) = (ours.number, false, 0)
        while true {
            var polled = [
                pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
                pollfd(fd: server.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: channel, events: Int16(POLLIN), revents: 0),
                pollfd(fd: server.forbiddenCalls?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            // Ports are looked at now and then, so that the record does not name what is gone.
            _ = clinux_poll(&polled, 4, desk.isEmpty ? -1 : 10_000_000_000)
            if polled[0].revents != 0 {
                try server.tearDown()
                return false
            }
            if polled[3].revents & Int16(POLLIN) != 0, let listener = server.forbiddenCalls, let call = listener.next() {
                // Until it has asked for something it may still be loading: libraries of newer systems ask this and that, and can do without.
                if !hasAsked, refused < Self.mostRefused {
                    refused += 1
                    listener.refuse(call)
                } else {
                    log("The server tried a forbidden call and is being ended: \(call).")
                    try server.kill(SIGKILL)
                }
            }
            if polled[2].revents & Int16(POLLIN) != 0 {
                hasAsked = true
                if !desk.answer(on: channel) {
                    // Who has closed its end has ended, or is about to.
                    if polled[2].revents & Int16(POLLHUP) == 0 {
                        log("The server sent something that is not a request, and is being ended.")
                    }
                    try server.kill(SIGKILL)
                    channel = -1
                }
            }
            if polled[1].revents != 0, let end = try server.collect() {
                log("The server ended (\(end)); it is being restarted, and its nodes will come back.")
                desk.forget()
                return true
            }
            if polled.allSatisfy({ $0.revents == 0 }) { desk.forget() }
        }
    }
}

/// Why the attacher can't do its work, in a sentence.
public struct AttacherFailure: Error, CustomStringConvertible {
    public var description: String
}
