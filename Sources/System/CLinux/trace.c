// Stops a thread with PTRACE_SEIZE, which leaves no trace of itself, and alters its registers.
#define _GNU_SOURCE
#include "trace.h"
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#if defined(__x86_64__)
#define REGISTERS struct user_regs_struct
#define POINTER(r) ((r)->rip)
// General registers and the two pointers; not the flags, the segments and what the kernel keeps there for itself.
static unsigned long long *general(REGISTERS *r, unsigned index) {
    unsigned long long *all[] = {&r->rax, &r->rbx, &r->rcx, &r->rdx, &r->rsi, &r->rdi, &r->rbp, &r->rsp, &r->r8,
                                 &r->r9,  &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15, &r->rip};
    return all[index % (sizeof all / sizeof all[0])];
}
#elif defined(__aarch64__)
#define REGISTERS struct user_regs_struct
#define POINTER(r) ((r)->pc)
static unsigned long long *general(REGISTERS *r, unsigned index) {
    index %= 33;
    return index < 31 ? &r->regs[index] : index == 31 ? &r->sp : &r->pc;
}
#endif

#ifdef POINTER
/// A stopped thread, or -errno. `signal_number`: what it was about to be told, to be passed on when it is let go; 0 for nothing.
static int seize(int thread, int *signal_number) {
    *signal_number = 0;
    if (ptrace(PTRACE_SEIZE, thread, 0, 0) < 0) return -errno;
    if (ptrace(PTRACE_INTERRUPT, thread, 0, 0) < 0) return -errno;
    // A thread that does not come to a stop within two seconds sits in a call that can't be interrupted: tracing ends when the thread does.
    for (int i = 0; i < 20000; i++) {
        int status = 0;
        int r = waitpid(thread, &status, __WALL | WNOHANG);
        if (r < 0 && errno != EINTR) return -errno;
        if (r == thread) {
            if (!WIFSTOPPED(status)) return -ESRCH;
            if (status >> 16 == 0) *signal_number = WSTOPSIG(status);
            return 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    ptrace(PTRACE_DETACH, thread, 0, 0);
    return -EBUSY;
}

static int get(int thread, REGISTERS *registers) {
    struct iovec piece = {registers, sizeof *registers};
    return ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &piece) < 0 ? -errno : 0;
}

static int set(int thread, REGISTERS *registers) {
    struct iovec piece = {registers, sizeof *registers};
    return ptrace(PTRACE_SETREGSET, thread, (void *)NT_PRSTATUS, &piece) < 0 ? -errno : 0;
}

/// A thread that was stopped in a system call would begin it again, before its new place.
static void forget_call(REGISTERS *registers) {
#if defined(__x86_64__)
    registers->orig_rax = -1;
#else
    (void)registers;
#endif
}

/// Has it call exit_group(0) by the instruction that it stands behind.
static int leave(int thread, REGISTERS *registers) {
    errno = 0;
#if defined(__x86_64__)
    long word = ptrace(PTRACE_PEEKTEXT, thread, (void *)(registers->rip - 2), 0);
    if (errno || (word & 0xffff) != 0x050f) return -ENOEXEC;  // syscall
    registers->rip -= 2;
    registers->rax = SYS_exit_group;
    registers->rdi = 0;
#else
    long word = ptrace(PTRACE_PEEKTEXT, thread, (void *)(registers->pc - 4), 0);
    if (errno || (word & 0xffffffff) != 0xd4000001) return -ENOEXEC;  // svc #0
    registers->pc -= 4;
    registers->regs[8] = SYS_exit_group;
    registers->regs[0] = 0;
#endif
    return 0;
}

int clinux_tamper(int thread, enum clinux_tampering what, unsigned index, unsigned bit) {
    int signal_number;
    int result = seize(thread, &signal_number);
    if (result < 0) return result;
    REGISTERS registers;
    result = get(thread, &registers);
    if (result == 0) {
        switch (what) {
        case CLINUX_FLIP_REGISTER: *general(&registers, index) ^= 1ULL << (bit % 64); break;
        case CLINUX_EXIT:
            result = leave(thread, &registers);
            forget_call(&registers);
            break;
        }
    }
    if (result == 0) result = set(thread, &registers);
    ptrace(PTRACE_DETACH, thread, 0, (void *)(long)signal_number);
    return result;
}

int clinux_instruction_pointer(int thread, uint64_t *address) {
    int signal_number;
    int result = seize(thread, &signal_number);
    if (result < 0) return result;
    REGISTERS registers;
    result = get(thread, &registers);
    if (result == 0) *address = POINTER(&registers);
    ptrace(PTRACE_DETACH, thread, 0, (void *)(long)signal_number);
    return result;
}
#else
int clinux_tamper(int thread, enum clinux_tampering what, unsigned index, unsigned bit) {
    (void)thread, (void)what, (void)index, (void)bit;
    return -ENOSYS;
}
int clinux_instruction_pointer(int thread, uint64_t *address) {
    (void)thread, (void)address;
    return -ENOSYS;
}
#endif
