// libv4l2's functions, which go to the kernel past libc: for our cameras they come here instead.
// Nothing is converted.
#define _GNU_SOURCE
#include <stdarg.h>
#include <sys/ioctl.h>

#include "file.h"
#include "next.h"
#include "paths.h"
#include "system.h"

int v4l2_open(const char *path, int flags, ...);
int v4l2_close(int descriptor);
int v4l2_dup(int descriptor);
int v4l2_ioctl(int descriptor, unsigned long request, ...);
ssize_t v4l2_read(int descriptor, void *to, size_t length);
void *v4l2_mmap(void *address, size_t length, int protection, int flags, int descriptor, int64_t offset);
int v4l2_fd_open(int descriptor, int flags);
int v4l2_set_control(int descriptor, int id, int value);
int v4l2_get_control(int descriptor, int id);

/// Whether libv4l2 does not know it, or is not there.
#define IS_OURS(descriptor, name) (file_is_likely(descriptor) || !NEXT(name))

EXPORT int v4l2_open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    struct path ours = path_of(AT_FDCWD, path);
    return ours.kind == PATH_NODE || !NEXT(v4l2_open) ? open(path, flags, mode) : NEXT(v4l2_open)(path, flags, mode);
}

EXPORT int v4l2_fd_open(int descriptor, int flags) {
    return IS_OURS(descriptor, v4l2_fd_open) ? descriptor : NEXT(v4l2_fd_open)(descriptor, flags);
}

EXPORT int v4l2_close(int descriptor) { return IS_OURS(descriptor, v4l2_close) ? close(descriptor) : NEXT(v4l2_close)(descriptor); }

EXPORT int v4l2_dup(int descriptor) { return IS_OURS(descriptor, v4l2_dup) ? dup(descriptor) : NEXT(v4l2_dup)(descriptor); }

EXPORT int v4l2_ioctl(int descriptor, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return IS_OURS(descriptor, v4l2_ioctl) ? ioctl(descriptor, request, argument) : NEXT(v4l2_ioctl)(descriptor, request, argument);
}

EXPORT ssize_t v4l2_read(int descriptor, void *to, size_t length) {
    return IS_OURS(descriptor, v4l2_read) ? read(descriptor, to, length) : NEXT(v4l2_read)(descriptor, to, length);
}

EXPORT void *v4l2_mmap(void *address, size_t length, int protection, int flags, int descriptor, int64_t offset) {
    return IS_OURS(descriptor, v4l2_mmap) ? mmap(address, length, protection, flags, descriptor, offset)
                                          : NEXT(v4l2_mmap)(address, length, protection, flags, descriptor, offset);
}

/// A control's range, for values that go from 0 to 65535 whatever the control.
static int range(int descriptor, int id, struct v4l2_queryctrl *query) {
    *query = (struct v4l2_queryctrl){.id = (uint32_t)id};
    return ioctl(descriptor, VIDIOC_QUERYCTRL, query);
}

EXPORT int v4l2_set_control(int descriptor, int id, int value) {
    if (!IS_OURS(descriptor, v4l2_set_control)) return NEXT(v4l2_set_control)(descriptor, id, value);
    struct v4l2_queryctrl query;
    if (range(descriptor, id, &query)) return -1;
    int64_t scaled = query.type == V4L2_CTRL_TYPE_BOOLEAN
        ? value != 0 : ((int64_t)value * ((int64_t)query.maximum - query.minimum) + 32767) / 65535 + query.minimum;
    struct v4l2_control control = {.id = (uint32_t)id, .value = (int32_t)scaled};
    return ioctl(descriptor, VIDIOC_S_CTRL, &control);
}

EXPORT int v4l2_get_control(int descriptor, int id) {
    if (!IS_OURS(descriptor, v4l2_get_control)) return NEXT(v4l2_get_control)(descriptor, id);
    struct v4l2_queryctrl query;
    struct v4l2_control control = {.id = (uint32_t)id};
    if (range(descriptor, id, &query) || ioctl(descriptor, VIDIOC_G_CTRL, &control)) return -1;
    int64_t width = (int64_t)query.maximum - query.minimum;
    return width > 0 ? (int)((((int64_t)control.value - query.minimum) * 65535 + width / 2) / width) : 0;
}
