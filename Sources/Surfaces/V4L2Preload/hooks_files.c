// libc's functions for open files, for a program that has a camera of ours open. Anything else goes
// on to libc.
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>

#include "buffers.h"
#include "ioctl.h"
#include "next.h"
#include "paths.h"
#include "system.h"

// Headers call these by their other names, or not at all.
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);
ssize_t __read_chk(int descriptor, void *to, size_t length, size_t room);
int ioctl(int descriptor, unsigned long request, ...);
int fcntl64(int descriptor, int command, ...);
int close_range(unsigned first, unsigned last, int flags);
void closefrom(int first);

/// True where the path is one of ours: `result` is what open returns then.
static bool opens(int folder, const char *name, int flags, int *result) {
    int kept = errno;
    struct path path = path_of(folder, name);
    errno = kept;
    if (path.kind == PATH_OTHERS) return false;
    *result = path.kind == PATH_NODE ? file_open(path.camera, flags) : path_open_text(&path, flags);
    return true;
}

static int mode_of(int flags, va_list rest) { return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, int) : 0; }

#define OPEN(name)                                                        \
    EXPORT int name(const char *path, int flags, ...) {                   \
        int result;                                                       \
        if (opens(AT_FDCWD, path, flags, &result)) return result;         \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        int mode = mode_of(flags, rest);                                  \
        va_end(rest);                                                     \
        return NEXT(name)(path, flags, mode);                             \
    }
#define OPENAT(name)                                                      \
    EXPORT int name(int folder, const char *path, int flags, ...) {       \
        int result;                                                       \
        if (opens(folder, path, flags, &result)) return result;           \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        int mode = mode_of(flags, rest);                                  \
        va_end(rest);                                                     \
        return NEXT(name)(folder, path, flags, mode);                     \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

#define CHECKED_OPEN(name)                                                \
    EXPORT int name(const char *path, int flags) {                        \
        int result;                                                       \
        return opens(AT_FDCWD, path, flags, &result) ? result : NEXT(name)(path, flags); \
    }
#define CHECKED_OPENAT(name)                                              \
    EXPORT int name(int folder, const char *path, int flags) {            \
        int result;                                                       \
        return opens(folder, path, flags, &result) ? result : NEXT(name)(folder, path, flags); \
    }
CHECKED_OPEN(__open_2)
CHECKED_OPEN(__open64_2)
CHECKED_OPENAT(__openat_2)
CHECKED_OPENAT(__openat64_2)

EXPORT int close(int descriptor) {
    file_forget(descriptor);
    return NEXT(close)(descriptor);
}

EXPORT int close_range(unsigned first, unsigned last, int flags) {
    if (!(flags & 4 /* CLOSE_RANGE_CLOEXEC */)) file_forget_range(first, last);
    if (NEXT(close_range)) return NEXT(close_range)(first, last, flags);
    errno = ENOSYS;
    return -1;
}

EXPORT void closefrom(int first) {
    file_forget_range(first < 0 ? 0 : (unsigned)first, UINT32_MAX);
    if (NEXT(closefrom)) NEXT(closefrom)(first);
}

/// What was duplicated is a file of ours, or stands in the place of one.
static int duplicated(int from, int to) {
    if (to < 0 || from == to) return to;
    struct file *file = file_get(from);
    if (file) file_add(file, to);
    else file_forget(to);
    file_put(file);
    return to;
}

EXPORT int dup(int descriptor) { return duplicated(descriptor, NEXT(dup)(descriptor)); }

EXPORT int dup2(int from, int to) { return duplicated(from, NEXT(dup2)(from, to)); }

EXPORT int dup3(int from, int to, int flags) { return duplicated(from, NEXT(dup3)(from, to, flags)); }

#define FCNTL(name)                                                       \
    EXPORT int name(int descriptor, int command, ...) {                   \
        va_list rest;                                                     \
        va_start(rest, command);                                          \
        void *argument = va_arg(rest, void *);                            \
        va_end(rest);                                                     \
        int result = NEXT(name)(descriptor, command, argument);           \
        bool is_dup = command == F_DUPFD || command == F_DUPFD_CLOEXEC;   \
        return is_dup ? duplicated(descriptor, result) : result;          \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

EXPORT int ioctl(int descriptor, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    struct file *file = _IOC_TYPE(request) == 'V' ? file_get(descriptor) : NULL;
    if (!file) return NEXT(ioctl)(descriptor, request, argument);
    int result = ioctl_perform(file, descriptor, request, argument);
    file_put(file);
    return result;
}

static bool reads(int descriptor, void *to, size_t length, ssize_t *result) {
    struct file *file = file_get(descriptor);
    if (!file) return false;
    *result = buffers_read(file, to, length, !(system_fcntl(descriptor, F_GETFL, 0) & O_NONBLOCK));
    file_put(file);
    return true;
}

EXPORT ssize_t read(int descriptor, void *to, size_t length) {
    ssize_t result;
    return reads(descriptor, to, length, &result) ? result : NEXT(read)(descriptor, to, length);
}

EXPORT ssize_t __read_chk(int descriptor, void *to, size_t length, size_t room) {
    ssize_t result;
    if (length <= room && reads(descriptor, to, length, &result)) return result;
    return NEXT(__read_chk)(descriptor, to, length, room);
}

// By a system call, as programs map memory before there is anything to look functions up with.
#define MMAP(name)                                                                                         \
    EXPORT void *name(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) { \
        struct file *file = flags & MAP_ANONYMOUS ? NULL : file_get(descriptor);                           \
        if (!file) return system_mmap(address, length, protection, flags, descriptor, offset);             \
        void *mapped = buffers_map(file, address, length, protection, flags, offset);                      \
        file_put(file);                                                                                    \
        return mapped;                                                                                     \
    }
MMAP(mmap)
MMAP(mmap64)
