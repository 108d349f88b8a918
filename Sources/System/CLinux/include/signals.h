// Signals as something that can be polled.
#pragma once
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
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
