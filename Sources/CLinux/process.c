// Processes: see process.h.
#define _GNU_SOURCE
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int clinux_spawn(const struct clinux_spawn_request *request, int *pidfd) {
    if (request->descriptor_count > 32) return -EINVAL;
    int failure[2];
    if (pipe2(failure, O_CLOEXEC) < 0) return -errno;
    pid_t parent = getpid();
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid < 0) {
        int error = errno;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        close(failure[0]);
        close(failure[1]);
        return -error;
    }
    if (pid == 0) {
        int error = 0, moved[34];
        if (request->death_signal && prctl(PR_SET_PDEATHSIG, request->death_signal) < 0) goto failed;
        if (request->death_signal && getppid() != parent) _exit(127);
        if (request->new_session && setsid() < 0) goto failed;
        for (int i = 1; i < 65; i++) if (i != SIGKILL && i != SIGSTOP) signal(i, SIG_DFL);
        // Everything to high numbers first, so that no target is overwritten before it has been read.
        for (int i = 0; i < request->descriptor_count; i++) {
            int from = request->descriptors[i] < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : request->descriptors[i];
            if (from < 0 || (moved[i] = fcntl(from, F_DUPFD_CLOEXEC, 64)) < 0) goto failed;
        }
        int executable = fcntl(request->executable, F_DUPFD_CLOEXEC, 64);
        int report = fcntl(failure[1], F_DUPFD_CLOEXEC, 64);
        if (executable < 0 || report < 0) goto failed;
        for (int i = 0; i < request->descriptor_count; i++) if (dup2(moved[i], i) < 0) goto failed;
        // What is past the child's own is closed by exec: marked here, as the report and the executable are needed until then.
        if (syscall(SYS_close_range, (unsigned)request->descriptor_count, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */) < 0) goto failed;
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        syscall(SYS_execveat, executable, "", request->arguments, request->environment, 0x1000 /* AT_EMPTY_PATH */);
        error = errno;
        (void)!write(report, &error, sizeof error);
        _exit(127);
    failed:
        error = errno;
        (void)!write(failure[1], &error, sizeof error);
        _exit(127);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(failure[1]);
    int error = 0;
    long got;
    do got = read(failure[0], &error, sizeof error);
    while (got < 0 && errno == EINTR);
    close(failure[0]);
    if (got == sizeof error) {
        waitpid(pid, NULL, 0);
        return -error;
    }
    long fd = syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        error = errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return -error;
    }
    *pidfd = (int)fd;
    return pid;
}

int clinux_pidfd_kill(int pidfd, int signal_number) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) < 0 ? -errno : 0;
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

void clinux_set_dumpable(int on) { prctl(PR_SET_DUMPABLE, on); }

int clinux_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

int clinux_pidfd_open(int pid) {
    long r = syscall(SYS_pidfd_open, pid, 0);
    return r < 0 ? -errno : (int)r;
}
