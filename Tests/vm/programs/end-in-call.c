// Ends a process within a call of usbfs: end-in-call PID submit|reap entered|returned N. At the N-th such call of any of its threads, the
// thread is stopped where the kernel has not begun it (entered), or has done it and the process does not know yet (returned), and SIGKILL comes.
// Prints nothing; 0 once the process has ended so, 1 if it ended or could not be followed, SIGALRM after a minute, 2 for wrong usage.
#include <dirent.h>
#include <linux/usbdevice_fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int is_wanted(const struct __ptrace_syscall_info *call, int reaps) {
    if (call->entry.nr != SYS_ioctl) return 0;
    unsigned request = (unsigned)call->entry.args[1];
    return reaps ? request == USBDEVFS_REAPURB || request == USBDEVFS_REAPURBNDELAY : request == USBDEVFS_SUBMITURB;
}

int main(int count, char **arguments) {
    if (count != 5) return 2;
    pid_t process = atoi(arguments[1]);
    alarm(60);
    int reaps = strcmp(arguments[2], "reap") == 0, returned = strcmp(arguments[3], "returned") == 0, left = atoi(arguments[4]);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    if (!tasks) return 1;
    for (struct dirent *task; (task = readdir(tasks));) {
        pid_t thread = atoi(task->d_name);
        if (thread <= 0) continue;
        // Threads that they start later are followed, too.
        if (ptrace(PTRACE_SEIZE, thread, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE) < 0 || ptrace(PTRACE_INTERRUPT, thread, 0, 0) < 0) return 1;
    }
    closedir(tasks);

    // The thread whose wanted call was seen to begin: its next stop is where that returns. Others' calls come in between.
    static char within[1 << 22];
    int status, is_ended = 0;
    pid_t thread;
    while ((thread = waitpid(-1, &status, __WALL)) > 0) {
        if (!WIFSTOPPED(status)) continue;
        int signal = WSTOPSIG(status);
        if (signal == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info call;
            memset(&call, 0, sizeof call);
            if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof call, &call) > 0) {
                int reached = 0;
                if (call.op == PTRACE_SYSCALL_INFO_ENTRY) {
                    within[thread] = (char)is_wanted(&call, reaps);
                    reached = within[thread] && !returned;
                } else if (call.op == PTRACE_SYSCALL_INFO_EXIT) {
                    reached = within[thread] && returned && call.exit.rval == 0;
                    within[thread] = 0;
                }
                if (reached && --left == 0) {
                    is_ended = 1;
                    kill(process, SIGKILL);
                    continue;
                }
            }
            signal = 0;
        } else if (status >> 16) {
            signal = 0;
        }
        ptrace(PTRACE_SYSCALL, thread, 0, signal);
    }
    return is_ended ? 0 : 1;
}
