// The file: written in place, with room set aside ahead of the writing, so that a full disk is
// known before it hurts.
#define _GNU_SOURCE
#include "mux.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/// Room is set aside in steps of this size, as long as there is that much.
static const int64_t step = 8 << 20;

void sink_open(struct sink *sink, int file) {
    *sink = (struct sink){.file = file, .reserves = true, .limit = INT64_MAX};
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) sink->limit = (int64_t)limit.rlim_cur;
    struct stat status;
    // What is no plain file has no blocks of its own.
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) sink->reserves = false;
}

static int set_aside(struct sink *sink, int64_t length) {
    int result;
    do result = fallocate(sink->file, FALLOC_FL_KEEP_SIZE, sink->reserved, length - sink->reserved);
    while (result != 0 && errno == EINTR);
    if (result != 0) return errno;
    sink->reserved = length;
    return 0;
}

int sink_reserve(struct sink *sink, int64_t length) {
    if (length > sink->limit) return EFBIG;
    if (!sink->reserves || length <= sink->reserved) return 0;
    if (set_aside(sink, length + step) == 0) return 0;
    int error = set_aside(sink, length);
    if (error == 0 || error == ENOSPC || error == EDQUOT || error == EFBIG) return error;
    // This file system can't: writes will tell.
    sink->reserves = false;
    return 0;
}

int sink_write(struct sink *sink, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = pwrite(sink->file, bytes, length, sink->position);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return sink->failed = written < 0 ? errno : EIO;
        bytes += written;
        length -= (size_t)written;
        sink->position += written;
        if (sink->position > sink->end) sink->end = sink->position;
    }
    return 0;
}

int sink_close(struct sink *sink, bool to_kept) {
    int error = 0;
    if (sink->reserves || to_kept) {
        if (ftruncate(sink->file, to_kept ? sink->kept : sink->end) != 0 && sink->reserves) error = errno;
    }
    // Some file systems (NFS, quotas) say only now what became of the writes.
    if (close(sink->file) != 0 && error == 0) error = errno;
    return error;
}
