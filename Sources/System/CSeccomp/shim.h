// libseccomp, which compiles lists of system calls to programs for the kernel, with what Swift can't reach by itself: macros with an argument.
#pragma once
#include <seccomp.h>

/// The call fails with this errno; with 0 it succeeds without being made.
static inline uint32_t cseccomp_act_errno(uint32_t number) { return SCMP_ACT_ERRNO(number); }
