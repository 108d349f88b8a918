// What tells the supervisor at intervals that this process is alive.

import CLinux
import Synchronization
import Threads

/// A thread that has a task say it each time: a process that can run no task any more falls silent.
/// The thread sleeps and not the task, since the runtime wakes up for one that sleeps, each second.
final class Heartbeat: Sendable {
    /// While something streams, and its figures are looked at; and otherwise.
    private static let interval: Int64 = 500_000_000
    private static let idleInterval: Int64 = 1_000_000_000

    private let isBusy = Atomic(true)
    private let isBeating = Atomic(false)
    private let beat: @Sendable () -> Bool

    /// - Parameter beat: says it, and tells whether something streams.
    init(_ beat: @escaping @Sendable () -> Bool) { self.beat = beat }

    /// Begins, for as long as the process lives.
    func start() throws(WorkerThread.StartFailure) {
        _ = try WorkerThread(name: "heartbeat", takesSignals: false) { [self] in
            let never = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
            never.initialize(to: 0)
            while true {
                if !isBeating.exchange(true, ordering: .acquiringAndReleasing) {
                    Task.detached { [self] in
                        isBusy.store(beat(), ordering: .relaxed)
                        isBeating.store(false, ordering: .releasing)
                    }
                }
                _ = clinux_futex_wait(never, 0, isBusy.load(ordering: .relaxed) ? Self.interval : Self.idleInterval)
            }
        }
    }
}
