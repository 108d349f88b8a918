// Another process's threads, stopped for a moment: ptrace, for doing faults to our own drivers. x86-64 and arm64.
#pragma once
#include <stdint.h>

/// What is done to a stopped thread.
enum clinux_tampering {
    CLINUX_FLIP_REGISTER,  // flips bit `bit` of general register `index` (modulo their number; the instruction and stack pointers are among them)
    CLINUX_EXIT,           // goes on with exit_group(0), by the system call instruction that it stands behind
};

/// Stops the thread, does that, and lets it run on. Must not be a child of the caller's. 0, or -errno: -EPERM where tracing is not permitted,
/// -ESRCH where the thread has ended, -ENOEXEC for CLINUX_EXIT of a thread that is in no system call. Takes a moment only.
int clinux_tamper(int thread, enum clinux_tampering what, unsigned index, unsigned bit);

/// Where a thread goes on. 0, or -errno as above.
int clinux_instruction_pointer(int thread, uint64_t *address);
