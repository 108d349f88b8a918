// A lock that can be waited on, with deadlines on the monotonic clock.

import Glibc

/// A mutex of the C library, at a fixed address.
final class Monitor: @unchecked Sendable {
    // Sendable: a pthread mutex is made to be used from any thread.
    fileprivate let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init() {
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func lock() { pthread_mutex_lock(mutex) }
    func unlock() { pthread_mutex_unlock(mutex) }
}

/// What one kind of waiter waits for.
final class MonitorCondition: @unchecked Sendable {
    // Sendable: a pthread condition is made to be used from any thread.
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
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

    /// Waits, with the monitor locked, until somebody calls or the time has come; also returns for no reason.
    func wait(_ monitor: Monitor, until deadline: UInt64) {
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        pthread_cond_timedwait(condition, monitor.mutex, &time)
    }

    func broadcast() { pthread_cond_broadcast(condition) }
}
