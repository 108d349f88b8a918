// Processes: see process.h.
#define _GNU_SOURCE
#include "process.h"
#include "sockets.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

struct failure {
    int error, step;
};

/// The limit on descriptors that this process had before it was raised, for children that are not to have the raised one.
static rlim_t descriptors_before;
static int descriptors_raised;

long clinux_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    if (limit.rlim_cur < limit.rlim_max) {
        descriptors_before = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
        descriptors_raised = 1;
    }
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (long)limit.rlim_cur;
}

static void restore_descriptor_limit(void) {
    struct rlimit limit;
    if (!descriptors_raised || getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = descriptors_before;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// The listener of a filter goes to the parent over a socket, for which the user may have no more descriptors on their way than this process may have
// open. So the limit on those comes after it, and from the parent, as the filter is on by then. (A child with an account of its own shares the
// count with nobody; and to limit another user's process takes a right that nothing else here takes.)
static int comes_later(const struct clinux_sandbox *sandbox, int i, int has_account) {
    return sandbox->stops && !has_account && sandbox->limits[i].resource == RLIMIT_NOFILE;
}

static int apply_limits(const struct clinux_sandbox *sandbox, int has_account) {
    for (int i = 0; i < sandbox->limit_count; i++) {
        if (comes_later(sandbox, i, has_account)) continue;
        struct rlimit limit, now;
        limit.rlim_cur = limit.rlim_max = sandbox->limits[i].value;
        // One that is tighter already stays so.
        if (getrlimit((__rlimit_resource_t)sandbox->limits[i].resource, &now) == 0 && now.rlim_max < limit.rlim_max)
            limit.rlim_cur = limit.rlim_max = now.rlim_max;
        if (setrlimit((__rlimit_resource_t)sandbox->limits[i].resource, &limit) < 0) return -1;
    }
    return 0;
}

// The filter's memory is the child's own copy since fork, so writing into it is nobody's business but the child's.
static int apply_filter(const struct clinux_sandbox *sandbox, int report) {
    struct sock_filter *filter = (struct sock_filter *)sandbox->filter;
    for (unsigned i = 0; i < sandbox->own_process_count; i++) filter[sandbox->own_process[i]].k = (uint32_t)getpid();
    struct sock_fprog program = {(unsigned short)sandbox->filter_length, filter};
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, sandbox->stops ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0ul, &program);
    if (listener < 0) return -1;
    if (!sandbox->stops) return 0;
    // The filter is on: from here to the execution only calls that it allows.
    int descriptor = (int)listener;
    long sent = clinux_send(report, "", 1, &descriptor, 1, 0);
    if (sent < 0) errno = (int)-sent;
    if (sent < 0) return -1;
    // The parent says when the last limit is on; nothing is executed without.
    char word;
    ssize_t got;
    while ((got = read(report, &word, 1)) < 0 && errno == EINTR) {}
    if (got == 0) errno = EPIPE;
    return got == 1 ? 0 : -1;
}

/// The parent's part of a child's limits.
static int confine(pid_t pid, const struct clinux_sandbox *sandbox, int has_account) {
    for (int i = 0; i < sandbox->limit_count; i++) {
        if (!comes_later(sandbox, i, has_account)) continue;
        struct rlimit limit, now;
        limit.rlim_cur = limit.rlim_max = sandbox->limits[i].value;
        if (prlimit(pid, (__rlimit_resource_t)sandbox->limits[i].resource, NULL, &now) == 0 && now.rlim_max < limit.rlim_max)
            limit.rlim_cur = limit.rlim_max = now.rlim_max;
        if (prlimit(pid, (__rlimit_resource_t)sandbox->limits[i].resource, &limit, NULL) < 0) return -1;
    }
    return 0;
}

static int apply_sandbox(const struct clinux_sandbox *sandbox, int has_account, int ruleset, int report, int *step) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    *step = CLINUX_SPAWN_CAPABILITIES;
    if (syscall(SYS_capset, &header, none) < 0) return -1;
    *step = CLINUX_SPAWN_LIMITS;
    if (apply_limits(sandbox, has_account) < 0) return -1;
    *step = CLINUX_SPAWN_PRIVILEGES;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
    *step = CLINUX_SPAWN_LANDLOCK;
    if (ruleset >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0u) < 0) return -1;
    *step = CLINUX_SPAWN_SECCOMP;
    return sandbox->filter ? apply_filter(sandbox, report) : 0;
}

/// A process in a sandbox can be replaced: where memory runs out it goes before its parent does. As well as it can be.
static void volunteer(void) {
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    (void)!write(file, "500", 3);
    close(file);
}

struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

long clinux_take_short_turns(void) {
    struct scheduling turns;
    memset(&turns, 0, sizeof turns);
    if (syscall(SYS_sched_getattr, 0, &turns, sizeof turns, 0) < 0) return -errno;
    turns.size = sizeof turns;
    turns.runtime = 100000;
    return syscall(SYS_sched_setattr, 0, &turns, 0) < 0 ? -errno : 0;
}

long clinux_turn_length(int pid) {
    struct scheduling turns;
    memset(&turns, 0, sizeof turns);
    return syscall(SYS_sched_getattr, pid, &turns, sizeof turns, 0) < 0 ? -errno : (long)turns.runtime;
}

static _Noreturn void be_child(const struct clinux_spawn_request *request, pid_t parent, int report) {
    int moved[32], ruleset = -1, step = CLINUX_SPAWN_SETUP;
    const int past = CLINUX_EXECUTABLE_DESCRIPTOR + 1;
    if (request->death_signal && prctl(PR_SET_PDEATHSIG, request->death_signal) < 0) goto failed;
    if (request->death_signal && getppid() != parent) _exit(127);
    if (request->new_session && setsid() < 0) goto failed;
    for (int i = 1; i < 65; i++) if (i != SIGKILL && i != SIGSTOP) signal(i, SIG_DFL);
    // Everything to high numbers first, so that no target is overwritten before it has been read.
    for (int i = 0; i < request->descriptor_count; i++) {
        int from = request->descriptors[i] < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : request->descriptors[i];
        if (from < 0 || (moved[i] = fcntl(from, F_DUPFD_CLOEXEC, past)) < 0) goto failed;
    }
    int executable = fcntl(request->executable, F_DUPFD_CLOEXEC, past);
    int reporting = fcntl(report, F_DUPFD_CLOEXEC, past);
    if (executable < 0 || reporting < 0) goto failed;
    if (request->sandbox && request->sandbox->ruleset >= 0 && (ruleset = fcntl(request->sandbox->ruleset, F_DUPFD_CLOEXEC, past)) < 0)
        goto failed;
    for (int i = 0; i < request->descriptor_count; i++) if (dup2(moved[i], i) < 0) goto failed;
    // Behind the child's own: the way to tell the parent, and Landlock's ruleset. Both close with the execution, and so does what is executed.
    int next = request->descriptor_count;
    if ((report = dup3(reporting, next++, O_CLOEXEC)) < 0) goto failed;
    if (ruleset >= 0 && (ruleset = dup3(ruleset, next++, O_CLOEXEC)) < 0) goto failed;
    if (dup3(executable, CLINUX_EXECUTABLE_DESCRIPTOR, O_CLOEXEC) < 0) goto failed;
    // Closed now and not by the execution: a filter's listener needs a number below the limit.
    if (syscall(SYS_close_range, (unsigned)next, (unsigned)CLINUX_EXECUTABLE_DESCRIPTOR - 1, 0) < 0) goto failed;
    if (syscall(SYS_close_range, (unsigned)past, ~0u, 0) < 0) goto failed;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (request->sandbox) {
        volunteer();
        (void)clinux_take_short_turns();
    } else {
        restore_descriptor_limit();
    }
    step = CLINUX_SPAWN_ACCOUNT;
    if (request->has_account) {
        // The calls themselves: glibc's functions would look for the threads that the parent had.
        if (syscall(SYS_setgroups, (long)request->group_count, request->groups) < 0) goto failed;
        if (syscall(SYS_setresgid, request->group, request->group, request->group) < 0) goto failed;
        if (syscall(SYS_setresuid, request->user, request->user, request->user) < 0) goto failed;
        // Another user's process forgets whose end is its own.
        if (request->death_signal && prctl(PR_SET_PDEATHSIG, request->death_signal) < 0) goto failed;
        if (request->death_signal && getppid() != parent) _exit(127);
    }
    if (request->sandbox && apply_sandbox(request->sandbox, request->has_account, ruleset, report, &step) < 0) goto failed;
    step = CLINUX_SPAWN_EXECUTION;
    syscall(
        SYS_execveat, CLINUX_EXECUTABLE_DESCRIPTOR, "", request->arguments, request->environment, 0x1000 /* AT_EMPTY_PATH */);
failed:;
    struct failure failure = {errno, step};
    (void)!write(report, &failure, sizeof failure);
    _exit(127);
}

/// Milliseconds that a child may take from one word to the next. There are a few system calls in between; who has spawned it waits meanwhile, so a
/// child that never says anything must not take it along.
enum { CHILD_PATIENCE = 10000 };

/// Hears what the child has to tell until it executes: the listener of its filter, or why it failed.
static struct failure hear(int report, pid_t pid, const struct clinux_spawn_request *request, int *listener) {
    struct failure failure;
    while (1) {
        int descriptors[CLINUX_MAX_DESCRIPTORS], count, truncated;
        struct pollfd entry = {report, POLLIN, 0};
        int ready = poll(&entry, 1, CHILD_PATIENCE);
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return (struct failure){ready < 0 ? errno : ETIMEDOUT, CLINUX_SPAWN_PARENT};
        long got = clinux_receive(report, &failure, sizeof failure, descriptors, &count, &truncated, 0);
        if (count > 0) {
            *listener = descriptors[0];
            if (confine(pid, request->sandbox, request->has_account) < 0) return (struct failure){errno, CLINUX_SPAWN_LIMITS};
            // One that has ended meanwhile is told by the end of the socket.
            (void)clinux_send(report, "", 1, NULL, 0, 0);
            continue;
        }
        if (got == sizeof failure) return failure;
        if (got == 0) return (struct failure){0, 0};
        // The word that comes with the listener, without it: there was no number for it. The child would wait for its answer for ever.
        if (got > 0) return (struct failure){EMFILE, CLINUX_SPAWN_PARENT};
        if (got < 0 && got != -EINTR) return (struct failure){(int)-got, CLINUX_SPAWN_PARENT};
    }
}

int clinux_spawn(const struct clinux_spawn_request *request, struct clinux_spawn_result *result) {
    *result = (struct clinux_spawn_result){-1, -1, CLINUX_SPAWN_PARENT};
    if (request->descriptor_count > 32) return -EINVAL;
    int report[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) < 0) return -errno;
    pid_t parent = getpid();
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid == 0) be_child(request, parent, report[1]);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(report[1]);
    struct failure failure = pid < 0 ? (struct failure){error, CLINUX_SPAWN_PARENT} : hear(report[0], pid, request, &result->listener);
    close(report[0]);
    long fd = -1;
    if (!failure.error && (fd = syscall(SYS_pidfd_open, pid, 0)) < 0) failure.error = errno;
    if (!failure.error) {
        result->pidfd = (int)fd;
        return pid;
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (result->listener >= 0) close(result->listener);
    result->listener = -1;
    result->step = failure.step;
    return -failure.error;
}

int clinux_pidfd_kill(int pidfd, int signal_number) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) < 0 ? -errno : 0;
}

int clinux_thread_kill(int pid, int thread, int signal_number) {
    return syscall(SYS_tgkill, pid, thread, signal_number) < 0 ? -errno : 0;
}

int clinux_pidfd_collect(int pidfd, int *exit_status, int *signal_number, int *dumped) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *exit_status = info.si_code == CLD_EXITED ? info.si_status : -1;
    *signal_number = info.si_code == CLD_EXITED ? 0 : info.si_status;
    *dumped = info.si_code == CLD_DUMPED;
    return 1;
}

void clinux_set_name(const char *name) { prctl(PR_SET_NAME, name); }

int clinux_survive_parent(unsigned seconds) {
    const struct itimerval timer = {{0, 0}, {(time_t)seconds, 0}};
    // What is on in between is the timer as well as the signal, never neither.
    if (seconds && setitimer(ITIMER_REAL, &timer, NULL) < 0) return -errno;
    if (prctl(PR_SET_PDEATHSIG, seconds ? 0 : SIGKILL, 0, 0, 0) < 0) return -errno;
    if (!seconds && setitimer(ITIMER_REAL, &timer, NULL) < 0) return -errno;
    return 0;
}

void clinux_set_dumpable(int on) { prctl(PR_SET_DUMPABLE, on); }

int clinux_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

int clinux_pidfd_open(int pid) {
    long r = syscall(SYS_pidfd_open, pid, 0);
    return r < 0 ? -errno : (int)r;
}
