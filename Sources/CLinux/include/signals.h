// Signals as something that can be polled, and pipes.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Blocks SIGINT, SIGTERM and SIGHUP in this thread and those it starts from now on. A descriptor that is readable when one has come, or -errno.
static inline int clinux_stop_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    int r = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (r != 0) return -r;
    r = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return r < 0 ? -errno : r;
}

/// Takes a signal that has come: its number, 0 where there is none.
static inline int clinux_take_signal(int fd) {
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

/// A pipe whose ends are closed on exec; only the reading one does not block.
static inline int clinux_pipe(int ends[2]) {
    if (syscall(SYS_pipe2, ends, O_CLOEXEC) < 0) return -errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}
