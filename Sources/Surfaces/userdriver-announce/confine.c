// The sandbox that this process puts on itself, once it is connected to the bus and before it reads
// a line.
#include "announce.h"
#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static int allow(scmp_filter_ctx filter) {
    // No file is opened, no socket made, nothing connected, nothing executed.
    static const int calls[] = {
        SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(sendmsg),
        SCMP_SYS(sendto), SCMP_SYS(close), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(fcntl), SCMP_SYS(getsockopt), SCMP_SYS(shutdown),
        SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid),
        SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(exit), SCMP_SYS(exit_group),
        SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(restart_syscall),
    };
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        if (result != 0) return -result;
    }
    // Memory, but no code.
    const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_code);
    if (result == 0) result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code);
    return -result;
}

int confine(void) {
    const struct rlimit none = {0, 0};
    const struct rlimit memory = {64ul << 20, 64ul << 20};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_DATA, &memory) != 0) return errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    // Whatever else the bus's library would like to do it can do without, whichever its version is.
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EACCES));
    if (filter == NULL) return ENOMEM;
    int error = allow(filter);
    if (error == 0) error = -seccomp_load(filter);
    seccomp_release(filter);
    return error;
}
