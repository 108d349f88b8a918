// Waiting: futexes in shared memory (a waiter needs read access only), eventfd, timerfd, the monotonic clock.
#pragma once
#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/// CLOCK_MONOTONIC in nanoseconds.
static inline uint64_t clinux_monotonic_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/// Waits until the word at `p` is woken, while it holds `expected`. A negative time-out waits for ever.
/// 0 woken (or spuriously so), -EAGAIN the word differs, -ETIMEDOUT, -EINTR.
static inline int clinux_futex_wait(const void *p, uint32_t expected, int64_t timeout_ns) {
    struct timespec t = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    long r = syscall(SYS_futex, p, FUTEX_WAIT, expected, timeout_ns < 0 ? NULL : &t, NULL, 0);
    return r < 0 ? -errno : 0;
}

/// Wakes everybody who waits on the word at `p`.
static inline int clinux_futex_wake(const void *p) {
    long r = syscall(SYS_futex, p, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0);
    return r < 0 ? -errno : (int)r;
}

static inline int clinux_eventfd(void) {
    int r = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return r < 0 ? -errno : r;
}

static inline int clinux_timerfd(void) {
    int r = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return r < 0 ? -errno : r;
}

/// Arms the timer for the absolute CLOCK_MONOTONIC time `at_ns`; 0 disarms it.
static inline int clinux_timerfd_arm(int fd, uint64_t at_ns) {
    struct itimerspec s = {{0, 0}, {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)}};
    return timerfd_settime(fd, TFD_TIMER_ABSTIME, &s, NULL) < 0 ? -errno : 0;
}
