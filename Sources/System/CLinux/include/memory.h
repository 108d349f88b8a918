// Memory with a descriptor: sealed memfds, which survive the process that wrote them.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SEAL 0x0001
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW 0x0004
#define F_SEAL_WRITE 0x0008
#endif

/// A memfd that can be sealed, closed on exec. Kernels before 6.3 do not know the exec flags: it is tried without them.
static inline int clinux_memfd(const char *name, int executable) {
    unsigned base = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    long r = syscall(SYS_memfd_create, name, base | (executable ? MFD_EXEC : MFD_NOEXEC_SEAL));
    if (r < 0 && errno == EINVAL) r = syscall(SYS_memfd_create, name, base);
    return r < 0 ? -errno : (int)r;
}

/// Fixes the size for ever.
static inline int clinux_seal_size(int fd) {
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) < 0 ? -errno : 0;
}

/// Fixes the size for ever; the contents may be sealed later.
static inline int clinux_seal_resizing(int fd) {
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0 ? -errno : 0;
}

/// Fixes size and contents for ever.
static inline int clinux_seal_all(int fd) {
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? -errno : 0;
}

/// The same of memory that nobody has mapped for writing. The kernel refuses (-EBUSY) while something of its own holds a page of it (reclaim, moving,
/// DAMON), and has waited for 75 ms by then: it is asked again, for `tries` times.
static inline int clinux_seal_all_patiently(int fd, int tries) {
    int r;
    while ((r = clinux_seal_all(fd)) == -EBUSY && --tries > 0) {
        const struct timespec pause = {0, 10000000};
        nanosleep(&pause, NULL);
    }
    return r;
}

/// From now on nobody writes to it. -EBUSY while somebody could: has it mapped for that.
static inline int clinux_seal_writing(int fd) {
    return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 ? -errno : 0;
}

/// Gives back the memory of a part, which reads as zeroes afterwards, whoever has it mapped.
static inline int clinux_punch_hole(int fd, int64_t offset, int64_t length) {
    return syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) < 0 ? -errno : 0;
}

static inline int clinux_seals(int fd) {
    int r = fcntl(fd, F_GET_SEALS);
    return r < 0 ? -errno : r;
}
