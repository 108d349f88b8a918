// Processes: spawned from a descriptor with just the descriptors it should have, watched by pidfd, gone when their parent goes.
#pragma once
#include <stdint.h>

/// The number under which a child holds what it executes. No child with a sandbox can have a descriptor of that number afterwards, as its limit on
/// descriptors is no higher: a filter that allows `execveat` of this number only allows the one execution.
#define CLINUX_EXECUTABLE_DESCRIPTOR 128

struct clinux_limit {
    int resource;  // RLIMIT_*
    uint64_t value; // soft and hard
};

/// What a child gives up right before it executes, and can't take back. Made by the parent: the child only hands it to the kernel.
struct clinux_sandbox {
    int ruleset;                        // of Landlock, -1 for none
    void *filter;                       // seccomp's program (struct sock_filter[]), NULL for none
    unsigned filter_length;             // in instructions
    const unsigned *own_process;        // instructions whose constant becomes the child's own process number
    unsigned own_process_count;
    int stops;                          // the filter stops forbidden calls and tells a listener
    const struct clinux_limit *limits;
    int limit_count;
};

struct clinux_spawn_request {
    int executable;            // open file (or memfd) to execute
    char *const *arguments;    // NULL-terminated
    char *const *environment;  // NULL-terminated
    const int *descriptors;    // descriptor i of the child is descriptors[i] of the parent (-1: /dev/null)
    int descriptor_count;      // at most 32; every other descriptor is closed
    int death_signal;          // sent to the child when the *thread* that spawned it ends; 0 for none
    int new_session;           // the child leads its own session and process group
    const struct clinux_sandbox *sandbox; // NULL for none
    int has_account;           // the child becomes another user, before its sandbox; takes the right to (CAP_SETUID, CAP_SETGID)
    unsigned user, group;
    const unsigned *groups;    // supplementary ones, no other is kept
    int group_count;
};

/// What the child was at when spawning failed.
enum clinux_spawn_step {
    CLINUX_SPAWN_PARENT, CLINUX_SPAWN_SETUP, CLINUX_SPAWN_ACCOUNT, CLINUX_SPAWN_CAPABILITIES, CLINUX_SPAWN_LIMITS, CLINUX_SPAWN_PRIVILEGES, CLINUX_SPAWN_LANDLOCK,
    CLINUX_SPAWN_SECCOMP, CLINUX_SPAWN_EXECUTION,
};

struct clinux_spawn_result {
    int pidfd;
    int listener;  // of the sandbox's filter, closed on exec; -1 for none
    int step;      // enum clinux_spawn_step, of a failure
};

/// Spawns a child. Its pid, with a pidfd in `result`; or -errno, also when the sandbox or the execution itself fails.
/// The child has default signal handlers and an empty mask. Between fork and exec only async-signal-safe calls are made.
int clinux_spawn(const struct clinux_spawn_request *request, struct clinux_spawn_result *result);

/// Raises the limit on this process's descriptors to what it may be at most. The limit now, or -errno. Children without a sandbox get the one before.
long clinux_raise_descriptor_limit(void);

/// Asks for short turns (100 µs) for this thread and those that it starts: it has a processor sooner when it wakes beside busy programs, and gives it
/// back sooner. Children in a sandbox have them. Linux 6.12 and newer; nothing changes before. 0 or -errno.
long clinux_take_short_turns(void);

/// The length of a process's turns (0: of this thread's), nanoseconds; 0 where there is none (before Linux 6.12). -errno.
long clinux_turn_length(int pid);

/// A descriptor of a running process, readable once it has ended.
int clinux_pidfd_open(int pid);

int clinux_pidfd_kill(int pidfd, int signal_number);

/// Sends a signal to one thread of a process that has not been collected.
int clinux_thread_kill(int pid, int thread, int signal_number);

/// Collects a child that has ended. 1 with its exit status or signal, 0 while it lives, -errno.
int clinux_pidfd_collect(int pidfd, int *exit_status, int *signal_number, int *dumped);

/// The name that ps and pgrep show, of which the kernel keeps 15 bytes.
void clinux_set_name(const char *name);

/// From now on this process does not end with the thread that spawned it, but by SIGALRM `seconds` after the last call of this; with 0 it ends with that
/// thread (SIGKILL) again. 0, or -errno.
int clinux_survive_parent(unsigned seconds);

/// Whether core dumps and ptrace of this process are allowed.
void clinux_set_dumpable(int on);

/// A pipe whose ends are closed on exec: `ends[0]` is read, `ends[1]` written.
int clinux_pipe(int ends[2]);
