// What a process gives up for good: Landlock's rulesets, seccomp's listener. Debian 12's headers are older than the kernels this runs on, so the
// numbers are here.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/// The kernel's version of Landlock's interface, from 1 on; -errno where it has none or it is off.
static inline int clinux_landlock_abi(void) {
    long r = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* LANDLOCK_CREATE_RULESET_VERSION */);
    return r < 0 ? -errno : (int)r;
}

/// A ruleset that handles, and so forbids, the rights in the masks (`LANDLOCK_ACCESS_FS_*`, `LANDLOCK_ACCESS_NET_*`, `LANDLOCK_SCOPE_*`).
/// Masks that are 0 need not be known to the kernel. The descriptor (closed on exec), or -errno.
static inline int clinux_landlock_ruleset(uint64_t files, uint64_t network, uint64_t scopes) {
    uint64_t masks[3] = {files, network, scopes};
    unsigned long size = scopes ? 24 : network ? 16 : 8;
    long r = syscall(SYS_landlock_create_ruleset, masks, size, 0u);
    return r < 0 ? -errno : (int)r;
}

/// Allows the rights in `files` below a folder. -ENOENT where it is not there.
static inline int clinux_landlock_allow(int ruleset, const char *folder, uint64_t files) {
    int parent = open(folder, 010000000 /* O_PATH */ | O_CLOEXEC);
    if (parent < 0) return -errno;
    struct { uint64_t files; int32_t parent; } __attribute__((packed)) beneath = {files, parent};
    long r = syscall(SYS_landlock_add_rule, ruleset, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &beneath, 0u);
    int error = errno;
    close(parent);
    return r < 0 ? -error : 0;
}

/// Whether the kernel's seccomp knows this action of a filter (SECCOMP_RET_*).
static inline int clinux_seccomp_knows(uint32_t action) {
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0u, &action) == 0;
}

/// A call that a filter has stopped; the thread that made it waits in the kernel.
struct clinux_stopped_call {
    uint64_t id; // of the stop, for `clinux_refuse_stopped_call`
    uint32_t thread;
    uint32_t architecture; // AUDIT_ARCH_*
    int32_t number;
    uint64_t arguments[6];
};

/// Takes a stopped call from a listener that is readable. -ENOENT where the thread has ended meanwhile.
static inline int clinux_take_stopped_call(int listener, struct clinux_stopped_call *call) {
    struct seccomp_notif notification;
    memset(&notification, 0, sizeof notification);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0) return -errno;
    call->id = notification.id;
    call->thread = notification.pid;
    call->architecture = notification.data.arch;
    call->number = notification.data.nr;
    for (int i = 0; i < 6; i++) call->arguments[i] = notification.data.args[i];
    return 0;
}

/// Has a stopped call fail with this errno, without being made. -ENOENT where the thread has ended meanwhile.
static inline int clinux_refuse_stopped_call(int listener, uint64_t id, int error) {
    struct seccomp_notif_resp response;
    memset(&response, 0, sizeof response);
    response.id = id;
    response.error = -error;
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 ? -errno : 0;
}
