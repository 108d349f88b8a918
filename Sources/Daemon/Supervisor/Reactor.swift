// The supervisor's one thread: one epoll, timers, and the executor of everything that the supervisor does.

import CLinux
import Glibc
import Synchronization
import Threads

/// Everything that the supervisor does runs on the reactor's thread, and nothing there ever blocks.
@globalActor
public actor SupervisorActor {
    public static let shared = SupervisorActor()
    public nonisolated var unownedExecutor: UnownedSerialExecutor { Reactor.shared.asUnownedSerialExecutor() }
}

/// A thread around epoll that lives as long as the process, which is why it may spawn children that die with their parent's thread.
final class Reactor: SerialExecutor, @unchecked Sendable {
    // Sendable: what is not behind the mutex is touched by the reactor's thread only.
    struct Readiness: OptionSet {
        let rawValue: UInt32
        static let readable = Readiness(rawValue: EPOLLIN.rawValue)
        static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
        /// The peer has shut down its sending side.
        static let peerClosed = Readiness(rawValue: EPOLLRDHUP.rawValue)
        /// Always reported.
        static let hungUp = Readiness(rawValue: EPOLLHUP.rawValue)
        static let failed = Readiness(rawValue: EPOLLERR.rawValue)
    }
    typealias Handler = @SupervisorActor (Readiness) -> Void
    typealias Work = @SupervisorActor () -> Void

    private struct Inbox {
        var jobs: [UnownedJob] = []
        var isAwake = true
    }
    private struct Alarm {
        var deadline: UInt64
        var token: UInt64
        var work: Work
    }

    static let shared = Reactor()

    private let inbox = Mutex(Inbox())
    private let epoll: Int32
    private let wake: Int32
    private let timer: Int32
    private var handlers: [UInt64: Handler] = [:]
    /// Sorted, the next one last.
    private var alarms: [Alarm] = []
    /// Those of this round that have not run yet, the next one last.
    private var due: [Alarm] = []
    private var armedFor: UInt64 = 0
    private var nextToken: UInt64 = 2
    private let thread = Mutex<pthread_t?>(nil)
    private static let wakeToken: UInt64 = 0
    private static let timerToken: UInt64 = 1

    private init() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wake = clinux_eventfd()
        timer = clinux_timerfd()
        precondition(epoll >= 0 && wake >= 0 && timer >= 0, "a process that can't have three descriptors can't supervise")
        control(EPOLL_CTL_ADD, wake, .readable, Self.wakeToken)
        control(EPOLL_CTL_ADD, timer, .readable, Self.timerToken)
        do throws(WorkerThread.StartFailure) {
            // Signals are for other threads.
            _ = try WorkerThread(name: "supervisor", takesSignals: false) { [self] in
                thread.withLock { $0 = pthread_self() }
                loop()
            }
        } catch {
            preconditionFailure("a process that can't have a thread can't supervise: \(error)")
        }
    }

    // MARK: The executor

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let mustWake = inbox.withLock { inbox in
            inbox.jobs.append(job)
            defer { inbox.isAwake = true }
            return !inbox.isAwake
        }
        if mustWake { eventfd_write(wake, 1) }
    }

    var isCurrent: Bool { thread.withLock { $0.map { pthread_equal($0, pthread_self()) != 0 } ?? false } }

    func checkIsolated() { precondition(isCurrent, "this runs on the supervisor's thread only") }
    func isIsolatingCurrentContext() -> Bool? { isCurrent }

    // MARK: Descriptors

    /// Calls `handler` whenever the descriptor is ready (level-triggered). The token is for `change` and `forget`.
    @SupervisorActor
    func watch(_ descriptor: Int32, for readiness: Readiness, _ handler: @escaping Handler) -> UInt64 {
        let token = nextToken
        nextToken += 1
        handlers[token] = handler
        control(EPOLL_CTL_ADD, descriptor, readiness, token)
        return token
    }

    @SupervisorActor
    func change(_ token: UInt64, _ descriptor: Int32, to readiness: Readiness) {
        control(EPOLL_CTL_MOD, descriptor, readiness, token)
    }

    /// To be called before the descriptor is closed.
    @SupervisorActor
    func forget(_ token: UInt64, _ descriptor: Int32) {
        guard handlers.removeValue(forKey: token) != nil else { return }
        control(EPOLL_CTL_DEL, descriptor, [], token)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ readiness: Readiness, _ token: UInt64) {
        var event = epoll_event(events: readiness.rawValue, data: epoll_data_t(u64: token))
        let result = epoll_ctl(epoll, operation, descriptor, &event)
        precondition(
            result == 0 || errno == ENOMEM || errno == ENOSPC, "epoll_ctl(\(operation)) on descriptor \(descriptor): errno \(errno)")
    }

    // MARK: Timers

    /// Calls `work` once, at that time of CLOCK_MONOTONIC (ns) or after it. The token is for `cancel`.
    @SupervisorActor
    func schedule(at deadline: UInt64, _ work: @escaping Work) -> UInt64 {
        let token = nextToken
        nextToken += 1
        let index = alarms.firstIndex { $0.deadline <= deadline } ?? alarms.count
        alarms.insert(Alarm(deadline: deadline, token: token, work: work), at: index)
        return token
    }

    @SupervisorActor
    func cancel(_ token: UInt64) {
        alarms.removeAll { $0.token == token }
        due.removeAll { $0.token == token }
    }

    /// Those that are due now. What they set for now is for the next round: in between everybody else has his turn.
    private func runAlarms() {
        let now = clinux_monotonic_ns()
        let first = alarms.firstIndex { $0.deadline <= now } ?? alarms.count
        due = Array(alarms[first...])
        alarms.removeSubrange(first...)
        while let next = due.popLast() { isolated(next.work) }
    }

    private func armTimer() {
        let deadline = alarms.last.map { max(1, $0.deadline) } ?? 0
        guard deadline != armedFor else { return }
        armedFor = deadline
        clinux_timerfd_arm(timer, deadline)
    }

    // MARK: The loop

    private func loop() -> Never {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            armTimer()
            let mayWait = inbox.withLock { inbox in
                inbox.isAwake = !inbox.jobs.isEmpty
                return inbox.jobs.isEmpty
            }
            let count = epoll_wait(epoll, &events, Int32(events.count), mayWait ? -1 : 0)
            inbox.withLock { $0.isAwake = true }
            for event in events.prefix(Int(max(0, count))) {
                switch event.data.u64 {
                case Self.wakeToken:
                    var value: UInt64 = 0
                    eventfd_read(wake, &value)
                case Self.timerToken:
                    // Its count is of no interest; the alarms are looked at in every round.
                    var value: UInt64 = 0
                    _ = read(timer, &value, 8)
                    armedFor = 0
                case let token:
                    // One that was forgotten in this round has no handler any more.
                    guard let handler = handlers[token] else { continue }
                    isolated { handler(Readiness(rawValue: event.events)) }
                }
            }
            runAlarms()
            let jobs = inbox.withLock { inbox in
                defer { inbox.jobs = [] }
                return inbox.jobs
            }
            for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
        }
    }

    private func isolated(_ work: @SupervisorActor () -> Void) {
        // The cast drops the isolation from the type only: this is the thread that the isolation stands for.
        withoutActuallyEscaping(work) { work in
            unsafeBitCast(work, to: (() -> Void).self)()
        }
    }
}

/// One deadline that is set, moved and lifted.
@SupervisorActor
final class ReactorTimer {
    private var token: UInt64?
    private(set) var deadline: UInt64?

    var isSet: Bool { token != nil }

    /// Replaces a deadline that is set already. `work` should not keep the timer's owner alive.
    func set(after delay: Duration, _ work: @escaping Reactor.Work) {
        lift()
        let deadline = clinux_monotonic_ns() &+ delay.nanoseconds
        self.deadline = deadline
        token = Reactor.shared.schedule(at: deadline) { [weak self] in
            self?.token = nil
            self?.deadline = nil
            work()
        }
    }

    func lift() {
        if let token { Reactor.shared.cancel(token) }
        token = nil
        deadline = nil
    }
}
