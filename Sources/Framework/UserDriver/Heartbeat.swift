// What tells the supervisor at intervals that this process is alive.

import CLinux
import Synchronization
import Threads

/// A thread that has a task say it each time: a process that can run no task any more falls silent.
/// It is the thread that sleeps and not the task, since a task's sleep costs five switches of
/// threads each time it ends.
final class Heartbeat: Sendable {
    /// From beat to beat, while something streams and its figures are looked at.
    private let interval: Duration
    private let isBusy = Atomic(true)
    private let isBeating = Atomic(false)
    private let beat: @Sendable () -> Bool

    /// - Parameters:
    ///   - interval: from beat to beat while something streams; twice that otherwise.
    ///   - beat: says it, and tells whether something streams.
    init(interval: Duration = .milliseconds(500), _ beat: @escaping @Sendable () -> Bool) {
        self.interval = interval
        self.beat = beat
    }

    /// Begins, for as long as this object lives.
    func start() throws(WorkerThread.StartFailure) {
        _ = try WorkerThread(name: "heartbeat", takesSignals: false) { [weak self, interval] in
            let never = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
            never.initialize(to: 0)
            defer { never.deallocate() }
            let nanoseconds = Int64(clamping: interval.nanoseconds)
            while let isBusy = self?.beatOnce() {
                _ = clinux_futex_wait(never, 0, isBusy ? nanoseconds : 2 * nanoseconds)
            }
        }
    }

    /// Has a task beat, unless the one before does still. Whether something streams.
    private func beatOnce() -> Bool {
        if !isBeating.exchange(true, ordering: .acquiringAndReleasing) {
            Task.detached { [self] in
                isBusy.store(beat(), ordering: .relaxed)
                isBeating.store(false, ordering: .releasing)
            }
        }
        return isBusy.load(ordering: .relaxed)
    }
}
