// Processes: spawned from a descriptor with just the descriptors it should have, watched by pidfd, gone when their parent goes.
#pragma once
#include <stdint.h>

struct clinux_spawn_request {
    int executable;            // open file (or memfd) to execute
    char *const *arguments;    // NULL-terminated
    char *const *environment;  // NULL-terminated
    const int *descriptors;    // descriptor i of the child is descriptors[i] of the parent (-1: /dev/null)
    int descriptor_count;      // at most 32; every other descriptor is closed
    int death_signal;          // sent to the child when the *thread* that spawned it ends; 0 for none
    int new_session;           // the child leads its own session and process group
};

/// Spawns a child. Its pid, with a pidfd in `*pidfd`; or -errno, also when the execution itself fails.
/// The child has default signal handlers and an empty mask. Between fork and exec only async-signal-safe calls are made.
int clinux_spawn(const struct clinux_spawn_request *request, int *pidfd);

/// A descriptor of a running process, readable once it has ended.
int clinux_pidfd_open(int pid);

int clinux_pidfd_kill(int pidfd, int signal_number);

/// Collects a child that has ended. 1 with its exit status or signal, 0 while it lives, -errno.
int clinux_pidfd_collect(int pidfd, int *exit_status, int *signal_number, int *dumped);

/// The name that ps and pgrep show, of which the kernel keeps 15 bytes.
void clinux_set_name(const char *name);

/// Whether core dumps and ptrace of this process are allowed.
void clinux_set_dumpable(int on);

/// A pipe whose ends are closed on exec: `ends[0]` is read, `ends[1]` written.
int clinux_pipe(int ends[2]);
