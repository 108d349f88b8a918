// The sandbox that the muxer puts on itself, once its libraries are loaded and before it reads a
// byte.
#include "mux.h"
#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static int allow(scmp_filter_ctx filter) {
    static const int calls[] = {
        SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(close),
        SCMP_SYS(fstat), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
        SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(exit), SCMP_SYS(exit_group),
        SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall),
    };
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        if (result != 0) return -result;
    }
    // Memory, but no code.
    const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_code);
    if (result == 0) result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code);
    // libavutil looks for randomness in files first, and asks what standard error is; newer C
    // libraries ask what they can do without.
    static const int refused[] = {
        SCMP_SYS(openat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(ioctl), SCMP_SYS(prctl), SCMP_SYS(sched_getaffinity), SCMP_SYS(sysinfo),
    };
    for (unsigned i = 0; i < sizeof refused / sizeof *refused && result == 0; i++) {
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
    }
    return -result;
}

int confine(void) {
    const struct rlimit none = {0, 0};
    // A frame that waits, a cluster in the making, a fragment's worth of them: a few frames'
    // memory.
    const struct rlimit memory = {2ul << 30, 2ul << 30};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_DATA, &memory) != 0) return errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL) return ENOMEM;
    int error = allow(filter);
    if (error == 0) error = -seccomp_load(filter);
    seccomp_release(filter);
    return error;
}
