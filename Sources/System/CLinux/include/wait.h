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

/// Waits until one of the words at `p` and `q` is woken, while they hold `expected_p` and `expected_q`. `deadline_ns` is CLOCK_MONOTONIC,
/// 0 waits for ever. Where futex_waitv is missing (kernels before 5.16) or forbidden, it returns after 20 ms at most.
/// 0 woken (or spuriously so), -EAGAIN a word differs, -ETIMEDOUT, -EINTR.
static inline int clinux_futex_wait_either(
    const void *p, uint32_t expected_p, const void *q, uint32_t expected_q, uint64_t deadline_ns) {
    struct timespec end = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};
    struct futex_waitv words[2] = {
        {.val = expected_p, .uaddr = (uint64_t)(uintptr_t)p, .flags = FUTEX_32},
        {.val = expected_q, .uaddr = (uint64_t)(uintptr_t)q, .flags = FUTEX_32},
    };
    long r = syscall(SYS_futex_waitv, words, 2, 0, deadline_ns ? &end : NULL, CLOCK_MONOTONIC);
    if (r >= 0) return 0;
    if (errno != ENOSYS && errno != EPERM) return -errno;
    uint64_t now = clinux_monotonic_ns();
    uint64_t wait = deadline_ns == 0 || deadline_ns > now + 20000000 ? 20000000 : deadline_ns > now ? deadline_ns - now : 0;
    return clinux_futex_wait(p, expected_p, (int64_t)wait);
}
