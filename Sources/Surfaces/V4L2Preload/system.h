// System calls as the kernel has them, for the library's own use: libc's names are the ones that it
// answers to itself.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(hidden)

#define EXPORT __attribute__((visibility("default")))

#define NANOSECONDS 1000000000ull

static inline void system_close(int fd) {
    int kept = errno;
    if (fd >= 0) syscall(SYS_close, fd);
    errno = kept;
}

static inline void *system_mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset) {
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

static inline int system_fcntl(int fd, int command, long argument) { return (int)syscall(SYS_fcntl, fd, command, argument); }

/// CLOCK_MONOTONIC.
static inline uint64_t system_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

#pragma GCC visibility pop
