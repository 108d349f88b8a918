// GadgetFS: the kernel's file system through which a USB device controller of this machine is served from user mode.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0x40000000
#endif

/// Mounts GadgetFS where nobody sees it: a descriptor of its root, whose end takes the mount away, however it comes. -errno else.
/// `has_file_system` is 0 where the kernel knows no GadgetFS.
static inline int clinux_gadgetfs(int *has_file_system) {
    *has_file_system = 0;
    int context = fsopen("gadgetfs", FSOPEN_CLOEXEC);
    if (context < 0) return -errno;
    *has_file_system = 1;
    int result = fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    if (result == 0) result = fsmount(context, FSMOUNT_CLOEXEC, 0);
    int number = errno;
    close(context);
    return result < 0 ? -number : result;
}

/// Opens a file of a folder that is open. -errno else.
static inline int clinux_open_at(int folder, const char *name, int flags) {
    int r = openat(folder, name, flags | O_CLOEXEC);
    return r < 0 ? -errno : r;
}

static inline void clinux_ignore_interruption(int number) { (void)number; }

/// From now on a thread can be brought out of a system call by `clinux_interrupt_thread`. Takes SIGURG, which nobody minds otherwise.
static inline int clinux_allow_interruption(void) {
    struct sigaction action = {0};
    action.sa_handler = clinux_ignore_interruption;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGURG, &action, NULL) < 0 ? -errno : 0;
}

static inline int clinux_thread_id(void) { return (int)syscall(SYS_gettid); }

/// A system call that waits ends with EINTR. One that begins a moment later does not: repeat it until the thread has come out.
static inline int clinux_interrupt_thread(int thread) { return syscall(SYS_tgkill, getpid(), thread, SIGURG) < 0 ? -errno : 0; }

/// This thread, and none that it starts, goes before all that are not of real time. -EPERM without the right to it.
static inline int clinux_take_priority(void) {
    struct sched_param parameters = {.sched_priority = 1};
    return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) < 0 ? -errno : 0;
}
