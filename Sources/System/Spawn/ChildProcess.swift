// A child process: started from a descriptor with exactly the descriptors it should have, watched through a pidfd.

import CLinux
import FileDescriptors
import Glibc
public import Sandbox
import Synchronization

/// A child of this process. Its owner must end and collect it: releasing this object does neither.
public final class ChildProcess: Sendable {
    /// How a process ended.
    public enum End: Hashable, Sendable, CustomStringConvertible {
        case exited(status: Int32)
        case signaled(Int32, dumped: Bool)

        public var description: String {
            switch self {
            case .exited(let status): "exit \(status)"
            case .signaled(let signal, _): ChildProcess.signalName(signal)
            }
        }
    }

    /// What a child is to be.
    public struct Plan: Sendable {
        public var arguments: [String]
        /// The whole environment: nothing is inherited.
        public var environment: [String: String]
        /// Descriptor i of the child is `descriptors[i]` here, `nil` for /dev/null. At most 32. Every other one is closed in the child.
        public var descriptors: [Int32?]
        /// Sent to the child when the *thread* that spawned it ends (PR_SET_PDEATHSIG): spawn only from a thread that lives as long as
        /// this process. Never from the cooperative pool, whose threads come and go.
        public var deathSignal: Int32?
        /// The child leads a session and process group of its own, so that a terminal's Ctrl-C doesn't reach it.
        public var newSession: Bool
        /// What the child gives up before it executes.
        public var sandbox: PreparedSandbox?
        /// Whom the child belongs to; `nil`: whom this process belongs to.
        public var account: Account?

        public init(
            arguments: [String], environment: [String: String] = [:], descriptors: [Int32?], deathSignal: Int32? = nil,
            newSession: Bool = false, sandbox: PreparedSandbox? = nil
        ) {
            self.arguments = arguments
            self.environment = environment
            self.descriptors = descriptors
            self.deathSignal = deathSignal
            self.newSession = newSession
            self.sandbox = sandbox
        }
    }

    public let processID: Int32
    /// Becomes readable (poll, epoll) when the child has ended.
    public var descriptor: Int32 { pidfd.number }
    private let pidfd: OwnedDescriptor
    /// Where forbidden calls of the child are told; `nil` without a sandbox, and where the kernel can't tell.
    public let forbiddenCalls: CallListener?
    private let end = Mutex<End?>(nil)

    /// Starts a child and returns once it executes, or throws why it could not. Takes a few milliseconds at most.
    public init(executing executable: Int32, _ plan: Plan) throws(SpawnError) {
        let arguments = plan.arguments.map { strdup($0) } + [nil]
        let environment = plan.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for string in arguments + environment { free(string) } }
        var born = clinux_spawn_result()
        let result = arguments.withUnsafeBufferPointer { arguments in
            environment.withUnsafeBufferPointer { environment in
                plan.descriptors.map { $0 ?? -1 }.withUnsafeBufferPointer { descriptors in
                    var request = clinux_spawn_request(
                        executable: executable, arguments: arguments.baseAddress, environment: environment.baseAddress,
                        descriptors: descriptors.baseAddress, descriptor_count: Int32(descriptors.count),
                        death_signal: plan.deathSignal ?? 0, new_session: plan.newSession ? 1 : 0, sandbox: nil,
                        has_account: plan.account == nil ? 0 : 1, user: plan.account?.user ?? 0, group: plan.account?.group ?? 0,
                        groups: nil, group_count: Int32(plan.account?.groups.count ?? 0))
                    return (plan.account?.groups ?? []).withUnsafeBufferPointer { groups in
                        request.groups = groups.baseAddress
                        guard let sandbox = plan.sandbox else { return clinux_spawn(&request, &born) }
                        return sandbox.withDescription {
                            request.sandbox = $0
                            return clinux_spawn(&request, &born)
                        }
                    }
                }
            }
        }
        guard result > 0 else {
            throw SpawnError(
                errno: -result, operation: "spawning \(plan.arguments.first ?? "a process")", detail: Self.step(born.step, errno: -result))
        }
        processID = result
        pidfd = OwnedDescriptor(born.pidfd)
        forbiddenCalls = if let listener = OwnedDescriptor(opened: born.listener) { CallListener(listener) } else { nil }
    }

    /// What the child was at, where that is not plain from the error; and who forbids it, where it is forbidden.
    private static func step(_ number: Int32, errno: Int32) -> String? {
        let isForbidden = [EPERM, EACCES, ENOSYS, EINVAL].contains(errno)
        return switch clinux_spawn_step(rawValue: UInt32(number)) {
        case CLINUX_SPAWN_ACCOUNT: "becoming another user: setgroups, setresgid, setresuid"
        case CLINUX_SPAWN_CAPABILITIES: "its sandbox: capset"
        case CLINUX_SPAWN_LIMITS: "its sandbox: setrlimit"
        case CLINUX_SPAWN_PRIVILEGES: "its sandbox: prctl(PR_SET_NO_NEW_PRIVS)"
        case CLINUX_SPAWN_LANDLOCK:
            "its sandbox: landlock_restrict_self" + (isForbidden ? "; a service's SystemCallFilter= must allow the landlock calls" : "")
        case CLINUX_SPAWN_SECCOMP: "its sandbox: seccomp" + (isForbidden ? "; a service's SystemCallFilter= must allow it" : "")
        default: nil
        }
    }

    /// Reads, seals and executes the file at `path`.
    public convenience init(path: String, _ plan: Plan) throws(SpawnError) {
        let executable = try SealedExecutable(path: path)
        try self.init(executing: executable.descriptor, plan)
    }

    /// Sends a signal. False when the child has ended already.
    @discardableResult
    public func kill(_ signal: Int32) throws(SpawnError) -> Bool {
        let result = clinux_pidfd_kill(descriptor, signal)
        if result == -ESRCH { return false }
        guard result >= 0 else {
            throw SpawnError(errno: -result, operation: "pidfd_send_signal(\(processID), \(Self.signalName(signal)))")
        }
        return true
    }

    /// Sends a signal to one thread of the child, which has not been collected. False when the thread has ended already.
    @discardableResult
    public func kill(_ signal: Int32, thread: Int32) throws(SpawnError) -> Bool {
        let result = clinux_thread_kill(processID, thread, signal)
        if result == -ESRCH { return false }
        guard result >= 0 else {
            throw SpawnError(errno: -result, operation: "tgkill(\(processID), \(thread), \(Self.signalName(signal)))")
        }
        return true
    }

    /// How the child ended, `nil` while it lives. The first call after its end collects it (so that
    /// it is not a zombie).
    public func collect() throws(SpawnError) -> End? {
        try end.withLock { end throws(SpawnError) in
            if let end { return end }
            var status: Int32 = 0
            var signal: Int32 = 0
            var dumped: Int32 = 0
            let result = clinux_pidfd_collect(descriptor, &status, &signal, &dumped)
            guard result >= 0 else { throw SpawnError(errno: -result, operation: "waitid(\(processID))") }
            if result > 0 { end = signal == 0 ? .exited(status: status) : .signaled(signal, dumped: dumped != 0) }
            return end
        }
    }

    /// Waits for the end, `nil` after the time-out. Blocks the thread.
    public func wait(timeout: Duration? = nil) throws(SpawnError) -> End? {
        let clock = ContinuousClock()
        let deadline = timeout.map { clock.now + $0 }
        while true {
            if let end = try collect() { return end }
            let left = deadline.map { clock.now.duration(to: $0) }
            if let left, left <= .zero { return nil }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            // Whole milliseconds, rounded up, so that the last round does not spin.
            let milliseconds = left.map {
                Int32(clamping: $0.components.seconds * 1000 + $0.components.attoseconds / 1_000_000_000_000_000 + 1)
            }
            guard poll(&entry, 1, milliseconds ?? -1) >= 0 || errno == EINTR else {
                throw SpawnError(errno: errno, operation: "poll(pidfd \(processID))")
            }
        }
    }

    /// Ends the child step by step, and collects it. Always returns: the last step is SIGKILL. Blocks the thread.
    @discardableResult
    public func tearDown(_ steps: [TeardownStep] = TeardownStep.gentle) throws(SpawnError) -> End {
        for step in steps {
            try kill(step.signal)
            if let end = try wait(timeout: step.patience) { return end }
        }
        try kill(SIGKILL)
        guard let end = try wait() else { preconditionFailure("a wait without a time-out has an end") }
        return end
    }

    /// `"SIGSEGV"`
    public static func signalName(_ signal: Int32) -> String {
        let names: [Int32: String] = [
            SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP", SIGABRT: "SIGABRT",
            SIGBUS: "SIGBUS",
            SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1", SIGSEGV: "SIGSEGV", SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE",
            SIGALRM: "SIGALRM", SIGTERM: "SIGTERM", SIGCHLD: "SIGCHLD", SIGSTOP: "SIGSTOP", SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ",
            SIGSYS: "SIGSYS",
        ]
        return names[signal] ?? "signal \(signal)"
    }
}

/// A user with their groups.
public struct Account: Hashable, Sendable {
    public var user: UInt32
    public var group: UInt32
    /// Supplementary groups: these and no other.
    public var groups: [UInt32]

    public init(user: UInt32, group: UInt32, groups: [UInt32]) {
        self.user = user
        self.group = group
        self.groups = groups
    }

    /// By name, as the system knows it; `nil` if there is none of that name.
    public init?(named name: String) {
        guard let entry = getpwnam(name)?.pointee else { return nil }
        var groups = [gid_t](repeating: 0, count: 64)
        var count = Int32(groups.count)
        guard getgrouplist(name, entry.pw_gid, &groups, &count) >= 0 else { return nil }
        self.init(user: entry.pw_uid, group: entry.pw_gid, groups: Array(groups.prefix(Int(count))))
    }
}

/// How a process is asked to end, and how long it may take before the next step. After the last comes SIGKILL.
public struct TeardownStep: Hashable, Sendable {
    public var signal: Int32
    public var patience: Duration

    public init(signal: Int32, patience: Duration) {
        self.signal = signal
        self.patience = patience
    }

    /// SIGTERM, two seconds.
    public static let gentle = [TeardownStep(signal: SIGTERM, patience: .seconds(2))]
    /// SIGABRT, which leaves last words, then 100 ms: for a process that hangs.
    public static let hung = [TeardownStep(signal: SIGABRT, patience: .milliseconds(100))]
    /// SIGSYS, which leaves last words and which even libdispatch's threads take, then 100 ms: for the thread of a call that a sandbox has stopped.
    public static let stoppedCall = [TeardownStep(signal: SIGSYS, patience: .milliseconds(100))]
}
