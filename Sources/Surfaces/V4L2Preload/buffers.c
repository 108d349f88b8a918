// Memory that a program maps and queues: see buffers.h.
#define _GNU_SOURCE
#include "buffers.h"

#include <string.h>

#include "pixel.h"
#include "stream.h"
#include "system.h"

enum { PAGE = 4096 };
static const uint32_t constant_flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | V4L2_BUF_FLAG_TSTAMP_SRC_SOE;

struct buffer *buffers_next_queued(struct file *file) {
    struct buffer *first = NULL;
    for (uint32_t index = 0; index < file->buffer_count; index++) {
        struct buffer *buffer = &file->buffers[index];
        if (buffer->state == BUFFER_QUEUED && (!first || buffer->turn < first->turn)) first = buffer;
    }
    return first;
}

static int next_done(const struct file *file) {
    int first = -1;
    for (uint32_t index = 0; index < file->buffer_count; index++) {
        const struct buffer *buffer = &file->buffers[index];
        if (buffer->state == BUFFER_DONE && (first < 0 || buffer->turn < file->buffers[first].turn)) first = (int)index;
    }
    return first;
}

unsigned char *buffers_bytes(struct file *file, const struct buffer *buffer) {
    return file->bytes + (size_t)(buffer - file->buffers) * file->buffer_length;
}

/// Begins to have buffers, or ends: the camera's form stays as it is meanwhile.
static void own(struct file *file, int change) {
    struct camera *camera = file->camera;
    pthread_mutex_lock(&camera->settings_lock);
    camera->owners += (uint32_t)change;
    if (change > 0) file->form = camera->form;
    pthread_mutex_unlock(&camera->settings_lock);
}

static void unmap(struct file *file) {
    if (file->bytes) syscall(SYS_munmap, file->bytes, file->buffer_length * file->buffer_count);
    // What the program has mapped stays its own until it lets go of it.
    system_close(file->memory);
    file->memory = -1;
    file->bytes = NULL;
    if (file->buffer_count) own(file, -1);
    file->buffer_count = 0;
    file->read_buffer = -1;
    file->is_inherited = false;
    memset(file->buffers, 0, sizeof file->buffers);
}

void buffers_release(struct file *file) {
    stream_stop(file);
    pthread_mutex_lock(&file->lock);
    unmap(file);
    pthread_mutex_unlock(&file->lock);
}

/// With the lock, and no buffers.
static int allocate(struct file *file, uint32_t count) {
    if (count > FILE_MAXIMUM_BUFFERS) count = FILE_MAXIMUM_BUFFERS;
    if (count < 2) count = 2;
    own(file, 1);
    size_t size = pixel_size(file->form.fourcc, file->form.width, file->form.height);
    file->buffer_length = (size + PAGE - 1) / PAGE * PAGE;
    file->memory = (int)syscall(SYS_memfd_create, "video-buffers", 1u /* MFD_CLOEXEC */);
    size_t whole = file->buffer_length * count;
    void *bytes = MAP_FAILED;
    if (file->memory >= 0 && ftruncate(file->memory, (off_t)whole) == 0) {
        bytes = system_mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED, file->memory, 0);
    }
    if (bytes == MAP_FAILED) {
        system_close(file->memory);
        file->memory = -1;
        own(file, -1);
        return -ENOMEM;
    }
    file->bytes = bytes;
    file->buffer_count = count;
    return 0;
}

int buffers_request(struct file *file, struct v4l2_requestbuffers *request) {
    if (request->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || request->memory != V4L2_MEMORY_MMAP) return -EINVAL;
    request->capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS;
    memset(request->reserved, 0, sizeof request->reserved);
    pthread_mutex_lock(&file->lock);
    if (file->is_gone || file->is_reading) {
        int error = file->is_gone ? -ENODEV : -EBUSY;
        pthread_mutex_unlock(&file->lock);
        return error;
    }
    if (file->stream && request->count) {
        pthread_mutex_unlock(&file->lock);
        return -EBUSY;
    }
    pthread_mutex_unlock(&file->lock);
    buffers_release(file);
    pthread_mutex_lock(&file->lock);
    int result = request->count && !file->buffer_count ? allocate(file, request->count) : 0;
    request->count = file->buffer_count;
    file_show(file);
    file_wake(file);
    pthread_mutex_unlock(&file->lock);
    return result;
}

static void describe(const struct file *file, uint32_t index, struct v4l2_buffer *to) {
    const struct buffer *buffer = &file->buffers[index];
    *to = (struct v4l2_buffer){
        .index = index,
        .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
        .memory = V4L2_MEMORY_MMAP,
        .length = (uint32_t)file->buffer_length,
        .m.offset = (uint32_t)(index * file->buffer_length),
        .bytesused = buffer->used,
        .flags = constant_flags | buffer->flags,
        .field = V4L2_FIELD_NONE,
        .sequence = buffer->sequence,
        .timestamp = {.tv_sec = (time_t)(buffer->captured / NANOSECONDS), .tv_usec = (suseconds_t)(buffer->captured % NANOSECONDS / 1000)},
    };
    if (buffer->state == BUFFER_QUEUED || buffer->state == BUFFER_FILLING) to->flags |= V4L2_BUF_FLAG_QUEUED;
    if (buffer->state == BUFFER_DONE) to->flags |= V4L2_BUF_FLAG_DONE;
    if (buffer->is_mapped) to->flags |= V4L2_BUF_FLAG_MAPPED;
}

int buffers_query(struct file *file, struct v4l2_buffer *buffer) {
    if (buffer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return -EINVAL;
    pthread_mutex_lock(&file->lock);
    int result = buffer->index < file->buffer_count && !file->is_reading ? 0 : -EINVAL;
    if (!result) describe(file, buffer->index, buffer);
    pthread_mutex_unlock(&file->lock);
    return result;
}

/// With the lock.
static void queue(struct file *file, uint32_t index) {
    struct buffer *buffer = &file->buffers[index];
    *buffer = (struct buffer){.state = BUFFER_QUEUED, .turn = ++file->turn, .is_mapped = buffer->is_mapped};
    if (file->stream) stream_wake(file->stream);
}

int buffers_queue(struct file *file, struct v4l2_buffer *buffer) {
    if (buffer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || buffer->memory != V4L2_MEMORY_MMAP) return -EINVAL;
    pthread_mutex_lock(&file->lock);
    int result = 0;
    if (file->is_gone) result = -ENODEV;
    else if (file->is_reading || file->is_inherited) result = -EBUSY;
    else if (buffer->index >= file->buffer_count || file->buffers[buffer->index].state != BUFFER_IDLE) result = -EINVAL;
    else if (buffer->flags & V4L2_BUF_FLAG_REQUEST_FD) result = -EBADR;
    if (!result) {
        queue(file, buffer->index);
        describe(file, buffer->index, buffer);
    }
    pthread_mutex_unlock(&file->lock);
    return result;
}

/// With the lock, which is let go of while it waits: the index of a buffer that is done, now idle,
/// or an error, negative.
static int take_done(struct file *file, bool waits) {
    while (true) {
        uint32_t seen = __atomic_load_n(&file->news, __ATOMIC_SEQ_CST);
        int index = next_done(file);
        if (index >= 0) {
            file->buffers[index].state = BUFFER_IDLE;
            file_show(file);
            return index;
        }
        if (file->is_gone) return -ENODEV;
        if (file->is_inherited) return -EBUSY;
        if (!file->stream) return -EINVAL;
        if (!waits) return -EAGAIN;
        pthread_mutex_unlock(&file->lock);
        int interrupted = file_wait(file, seen);
        pthread_mutex_lock(&file->lock);
        if (interrupted && next_done(file) < 0) return -EINTR;
    }
}

int buffers_dequeue(struct file *file, struct v4l2_buffer *buffer, bool waits) {
    if (buffer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || buffer->memory != V4L2_MEMORY_MMAP) return -EINVAL;
    pthread_mutex_lock(&file->lock);
    int index = file->is_reading ? -EBUSY : take_done(file, waits);
    if (index >= 0) describe(file, (uint32_t)index, buffer);
    pthread_mutex_unlock(&file->lock);
    return index < 0 ? index : 0;
}

int buffers_start(struct file *file, int type) {
    if (type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return -EINVAL;
    pthread_mutex_lock(&file->lock);
    int result = 0;
    if (file->is_gone) result = -ENODEV;
    else if (file->is_reading || file->is_inherited) result = -EBUSY;
    else if (!file->buffer_count) result = -EINVAL;
    else if (!file->stream) result = stream_start(file);
    pthread_mutex_unlock(&file->lock);
    return result;
}

int buffers_stop(struct file *file, int type) {
    if (type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return -EINVAL;
    pthread_mutex_lock(&file->lock);
    bool is_others = file->is_reading;
    pthread_mutex_unlock(&file->lock);
    if (is_others) return -EBUSY;
    stream_stop(file);
    pthread_mutex_lock(&file->lock);
    for (uint32_t index = 0; index < file->buffer_count && !file->is_inherited; index++) file->buffers[index].state = BUFFER_IDLE;
    file_show(file);
    file_wake(file);
    pthread_mutex_unlock(&file->lock);
    return 0;
}

/// With the lock: begins what read() reads from.
static int begin_reading(struct file *file) {
    if (file->is_gone) return -ENODEV;
    if (file->buffer_count || file->is_inherited) return -EBUSY;
    int result = allocate(file, 4);
    if (result) return result;
    for (uint32_t index = 0; index < file->buffer_count; index++) queue(file, index);
    result = stream_start(file);
    file->is_reading = result == 0;
    if (result) unmap(file);
    return result;
}

ssize_t buffers_read(struct file *file, void *to, size_t length, bool waits) {
    pthread_mutex_lock(&file->lock);
    int result = file->is_reading ? 0 : begin_reading(file);
    if (!result && file->read_buffer < 0) {
        result = take_done(file, waits);
        if (result >= 0) {
            file->read_buffer = result;
            file->read_offset = 0;
            result = 0;
        }
    }
    if (result) {
        pthread_mutex_unlock(&file->lock);
        errno = -result;
        return -1;
    }
    struct buffer *buffer = &file->buffers[file->read_buffer];
    size_t left = buffer->used - file->read_offset;
    if (length > left) length = left;
    memcpy(to, buffers_bytes(file, buffer) + file->read_offset, length);
    file->read_offset += (uint32_t)length;
    if (file->read_offset == buffer->used) {
        queue(file, (uint32_t)file->read_buffer);
        file->read_buffer = -1;
    }
    file_show(file);
    pthread_mutex_unlock(&file->lock);
    return (ssize_t)length;
}

void *buffers_map(struct file *file, void *address, size_t length, int protection, int flags, int64_t offset) {
    pthread_mutex_lock(&file->lock);
    void *mapped = MAP_FAILED;
    size_t index = file->buffer_length && offset >= 0 ? (size_t)offset / file->buffer_length : FILE_MAXIMUM_BUFFERS;
    bool is_buffer = !file->is_inherited && index < file->buffer_count && (size_t)offset % file->buffer_length == 0;
    if (!is_buffer || !length || length > file->buffer_length) {
        errno = EINVAL;
    } else {
        mapped = system_mmap(address, length, protection, flags, file->memory, offset);
        if (mapped != MAP_FAILED) file->buffers[index].is_mapped = true;
    }
    pthread_mutex_unlock(&file->lock);
    return mapped;
}
