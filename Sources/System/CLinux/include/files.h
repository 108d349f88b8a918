// Files: what is changed in one step or not at all.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Swaps what two paths of one file system name (RENAME_EXCHANGE): whoever looks sees the one or the other, whole.
static inline int clinux_exchange(const char *first, const char *second) {
    return syscall(SYS_renameat2, AT_FDCWD, first, AT_FDCWD, second, 2U) < 0 ? -errno : 0;
}
