// See keeper.h. A keeper shares its driver's memory and nothing else: no descriptors, no signals, no thread-local storage of its own. So it calls
// nothing of the C library's that could touch `errno`, a lock or a thread's memory.
#define _GNU_SOURCE
#include "keeper.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Who is about to share memory with its driver is its sibling, whose parent the supervisor is: it survives the driver, and is collected.
_Static_assert(CLINUX_KEEPER_FLAGS == (CLONE_VM | CLONE_PARENT), "what the filter allows");
/// From the driver's death: how long a successor may take to come, and how long one that came may ask.
static const uint64_t FIRST_NS = 2000000000, LAST_NS = 60000000000;

static struct {
    struct clinux_kept_ring ring;
    uint32_t keeps; // whether there is a ring
    int watched, confined;
    uint32_t state; // a futex
} kept;

enum { STARTING, READY, REFUSED };

#if defined(__x86_64__)
static inline long call(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long call(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#define NO_KEEPER
#endif

#ifndef NO_KEEPER

#define WITHOUT_CANARY __attribute__((no_stack_protector, noinline))

WITHOUT_CANARY static uint64_t now(void) {
    struct timespec time;
    call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&time, 0, 0, 0, 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint32_t load(const void *word) { return __atomic_load_n((const uint32_t *)word, __ATOMIC_ACQUIRE); }

/// Not memcpy, which the loader may have to look for first.
WITHOUT_CANARY static void copy(uint8_t *to, const uint8_t *from, uint64_t length) {
    uint64_t i = 0;
    for (; i + 8 <= length; i += 8) {
        *(uint64_t *)(to + i) = *(const uint64_t *)(from + i);
        __asm__ volatile("" ::: "memory"); // Or the compiler makes a call of it.
    }
    for (; i < length; i++) ((volatile uint8_t *)to)[i] = from[i];
}

/// Changes the word, unless somebody else has.
WITHOUT_CANARY static int change(uint32_t *word, uint32_t from, uint32_t to) {
    return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/// Copies what is wanted and gives back what nobody can want any more. Whether anything is left.
WITHOUT_CANARY static int serve(const struct clinux_kept_ring *ring) {
    int left = 0, answered = 0;
    for (uint32_t i = 0; i < ring->count; i++) {
        if (!load(&ring->is_mapped[i])) continue;
        uint8_t *record = ring->records + i * ring->record_size, *bytes = ring->mapped + i * ring->mapped_stride;
        uint32_t *place = (uint32_t *)(record + ring->place_offset), *fetch = (uint32_t *)(record + ring->fetch_offset);
        if (load(place) == ring->owner) {
            if (!change(fetch, CLINUX_FETCH_WANTED, CLINUX_FETCH_COPYING)) {
                left = 1;
                continue;
            }
            uint64_t came = ring->actual_offset ? load(record + ring->actual_offset) : ring->length;
            copy(ring->buffers + i * ring->buffer_stride, bytes, came < ring->length ? came : ring->length);
            // A successor that has waited for too long has submitted the record again.
            change(place, ring->owner, 0);
            change(fetch, CLINUX_FETCH_COPYING, CLINUX_FETCH_NONE);
        }
        // Before the answer: the successor's own mapping may need the room.
        call(SYS_munmap, (long)bytes, (long)ring->mapped_stride, 0, 0, 0, 0);
        ring->is_mapped[i] = 0;
        answered = 1;
    }
    if (answered) {
        __atomic_add_fetch(ring->answers, 1, __ATOMIC_ACQ_REL);
        call(SYS_futex, (long)ring->answers, FUTEX_WAKE, 0x7fffffff, 0, 0, 0);
    }
    return left;
}

/// Tells whoever has started it.
WITHOUT_CANARY static void tell(uint32_t state) {
    __atomic_store_n(&kept.state, state, __ATOMIC_RELEASE);
    call(SYS_futex, (long)&kept.state, FUTEX_WAKE, 1, 0, 0, 0);
}

WITHOUT_CANARY static void confine(void) {
    static const int calls[] = {SYS_ppoll, SYS_futex, SYS_munmap, SYS_clock_gettime, SYS_exit, SYS_exit_group, SYS_restart_syscall};
    enum { COUNT = sizeof calls / sizeof *calls };
    struct sock_filter filter[COUNT + 3];
    filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++)
        filter[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], (uint8_t)(COUNT - i), 0);
    filter[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {COUNT + 3, filter};
    long result = call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program, 0, 0, 0);
    // Who may gain privileges still is in no sandbox, and is not confined.
    if (result < 0 && result != -EACCES) {
        tell(REFUSED);
        call(SYS_exit_group, 1, 0, 0, 0, 0, 0);
    }
}

WITHOUT_CANARY static int keep(void *unused) {
    (void)unused;
    call(SYS_prctl, PR_SET_NAME, (long)"keeper", 0, 0, 0, 0);
    // Descriptors are its own copies, and 0 stays what it is.
    if (kept.watched > 1) call(SYS_close_range, 1, kept.watched - 1, 0, 0, 0, 0);
    call(SYS_close_range, kept.watched + 1, ~0u, 0, 0, 0, 0);
    if (kept.confined) confine();
    tell(READY);
    struct pollfd entry = {kept.watched, POLLIN, 0};
    long ready;
    while ((ready = call(SYS_ppoll, (long)&entry, 1, 0, 0, 8, 0)) <= 0) {
        if (ready != -EINTR && ready != 0) return 1;
    }
    if (!load(&kept.keeps)) return 0;
    const struct clinux_kept_ring *ring = &kept.ring;
    uint64_t death = now();
    while (1) {
        uint32_t seen = load(ring->bell);
        uint64_t time = now(), deadline = death + (load(ring->heir) == ring->owner ? FIRST_NS : LAST_NS);
        if (!serve(ring) || time >= deadline) return 0;
        struct timespec wait = {(time_t)((deadline - time) / 1000000000u), (long)((deadline - time) % 1000000000u)};
        call(SYS_futex, (long)ring->bell, FUTEX_WAIT, seen, (long)&wait, 0, 0);
    }
}

int clinux_keeper_start(int watched, int confined) {
    enum { STACK = 64 << 10 };
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) return -errno;
    kept.watched = watched;
    kept.confined = confined;
    sigset_t all, old;
    sigfillset(&all);
    // A handler of this process's would run in the keeper as well.
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int keeper = clone(keep, stack + STACK, CLINUX_KEEPER_FLAGS, NULL);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (keeper < 0) munmap(stack, STACK);
    if (keeper < 0) return -error;
    // Until it is confined nothing of the device's may reach this process, whose memory it shares. One that never gets there: the supervisor gives
    // up this process, which is not ready in time.
    uint32_t state;
    while ((state = load(&kept.state)) == STARTING) call(SYS_futex, (long)&kept.state, FUTEX_WAIT, STARTING, 0, 0, 0);
    return state == READY ? keeper : -EPERM;
}

#else

int clinux_keeper_start(int watched, int confined) { (void)watched, (void)confined; return -ENOSYS; }

#endif

int clinux_keeper_forbid(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLINUX_KEEPER_FLAGS, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    // Who may gain privileges still is in no sandbox.
    return result == 0 || (result < 0 && errno == EACCES) ? 0 : result < 0 ? -errno : -ESRCH;
}

void clinux_keeper_keep(const struct clinux_kept_ring *ring) {
    __atomic_store_n(&kept.keeps, 0, __ATOMIC_SEQ_CST);
    if (!ring) return;
    kept.ring = *ring;
    __atomic_store_n(&kept.keeps, 1, __ATOMIC_SEQ_CST);
}

uint64_t clinux_reading_time(const void *bytes, uint64_t length) {
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < 3; round++) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (uint64_t i = 0; i + 8 <= length; i += 8) (void)*(const volatile uint64_t *)((const uint8_t *)bytes + i);
        clock_gettime(CLOCK_MONOTONIC, &to);
        uint64_t time = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u + (uint64_t)(to.tv_nsec - from.tv_nsec);
        if (time < least) least = time;
    }
    return least;
}
