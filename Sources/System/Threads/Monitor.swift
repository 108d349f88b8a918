// A lock that can be waited on, with deadlines on the monotonic clock.

import Glibc

/// A mutex at a fixed address, with a condition to wait for under it. Not recursive.
public final class Monitor: @unchecked Sendable {
    // Sendable: a pthread mutex is made to be used from any thread.
    fileprivate let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    public init() {
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    public func lock() { pthread_mutex_lock(mutex) }
    public func unlock() { pthread_mutex_unlock(mutex) }

    public func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        lock()
        defer { unlock() }
        return try body()
    }
}

/// What one kind of waiter waits for. Always used with the same monitor.
public final class MonitorCondition: @unchecked Sendable {
    // Sendable: a pthread condition is made to be used from any thread.
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    public init() {
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        condition.initialize(to: pthread_cond_t())
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
    }

    /// Waits, with the monitor locked, until somebody calls `broadcast` or CLOCK_MONOTONIC reaches `deadline` (ns). It may also return for
    /// no reason: check the condition again.
    public func wait(_ monitor: Monitor, until deadline: UInt64? = nil) {
        guard let deadline else {
            pthread_cond_wait(condition, monitor.mutex)
            return
        }
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        pthread_cond_timedwait(condition, monitor.mutex, &time)
    }

    /// Wakes everybody who waits. Call it with the monitor locked, or after a change that was made under it.
    public func broadcast() { pthread_cond_broadcast(condition) }
}
