// A thread that hears the daemon, and one that copies pictures out of its ring: see stream.h.
#define _GNU_SOURCE
#include "stream.h"

#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "buffers.h"
#include "daemon.h"
#include "pixel.h"
#include "ring.h"
#include "system.h"

enum { MAXIMUM_RINGS = 8, STACK = 256 << 10 };
/// How long the daemon may take to open the stream.
static const uint64_t open_limit = 15 * NANOSECONDS;
/// A picture that has waited so long for a buffer is skipped: a slow program sees late pictures as
/// with any camera, not ever later ones.
static const uint64_t lag_limit = NANOSECONDS / 2;

/// A ring that was handed over.
struct offered_ring {
    struct ring ring;
    /// It is new: it is read from its first picture.
    bool starts_at_first;
    /// The stream goes on in it where the ring before ends.
    bool follows;
};

struct stream {
    struct file *file;
    char request[1024];
    uint64_t patience;
    pthread_t listener, copier;
    int stop;
    /// A futex: grows with whatever the copier should look at.
    uint32_t alarm;
    bool is_stopping;
    /// When the newest picture came.
    uint64_t newest;

    pthread_mutex_t lock;
    struct offered_ring offered[MAXIMUM_RINGS];
    int offered_count;

    // The listener's.
    struct connection connection;
    uint64_t absent_since;
    char reason[512];

    // The copier's.
    struct ring ring;
    uint64_t position;
    /// What a picture's number is less, to be V4L2's.
    uint64_t base;
    uint32_t next_sequence;
    bool told_oversize;
};

void stream_wake(struct stream *stream) {
    __atomic_add_fetch(&stream->alarm, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &stream->alarm, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static bool is_stopping(struct stream *stream) { return __atomic_load_n(&stream->is_stopping, __ATOMIC_SEQ_CST); }

// MARK: - Hearing the daemon

/// Whether the reply speaks of pictures in the form that the program was promised.
static bool is_of_form(const struct reply *reply, const struct camera_form *form) {
    uint32_t description = json_member(&reply->json, reply->parameters, "description");
    char format[16];
    int64_t width, height;
    const struct json *json = &reply->json;
    return json_string(json, json_member(json, description, "format"), format, sizeof format) && !strcmp(format, form->format)
        && json_integer(json, json_member(json, description, "width"), &width) && width == form->width
        && json_integer(json, json_member(json, description, "height"), &height) && height == form->height;
}

/// The ring that comes with a reply: 0, -ENOENT where none does, or why it can't be had.
static int ring_of(const struct reply *reply, struct ring *ring) {
    uint32_t node = json_member(&reply->json, reply->parameters, "ring");
    int64_t capacity, slots;
    if (!json_integer(&reply->json, json_member(&reply->json, node, "capacity"), &capacity)
        || !json_integer(&reply->json, json_member(&reply->json, node, "slotCount"), &slots) || reply->descriptor < 0)
        return -ENOENT;
    bool has_page = json_true(&reply->json, json_member(&reply->json, node, "report"));
    return ring_map(ring, reply->descriptor, has_page ? reply->second : -1, capacity, slots);
}

/// Calls Watch and takes the first ring. `words` gets the daemon's, where it refuses.
static int watch(struct stream *stream, uint64_t deadline, struct ring *ring, char *words, size_t capacity) {
    *words = 0;
    int result = connection_open(&stream->connection);
    if (!result) result = connection_send(&stream->connection, "io.userdriver.Watch", stream->request, true);
    struct reply reply;
    if (!result) result = connection_receive(&stream->connection, &reply, deadline, stream->stop);
    if (!result) {
        snprintf(words, capacity, "%s", reply.message);
        if (reply.error) result = -reply.error;
        else if (!is_of_form(&reply, &stream->file->form)) result = -EIO;
        else result = ring_of(&reply, ring);
        if (result == -ENOENT) result = -EPROTO;
        reply_free(&reply);
    }
    if (result) connection_close(&stream->connection);
    return result;
}

static void offer(struct stream *stream, struct offered_ring ring) {
    pthread_mutex_lock(&stream->lock);
    if (stream->offered_count == MAXIMUM_RINGS) {
        // The daemon has emptied the oldest of so many long ago.
        ring_unmap(&stream->offered[0].ring);
        memmove(stream->offered, stream->offered + 1, sizeof *stream->offered * (MAXIMUM_RINGS - 1));
        stream->offered_count--;
    }
    stream->offered[stream->offered_count++] = ring;
    pthread_mutex_unlock(&stream->lock);
    stream_wake(stream);
}

static void give_up(struct stream *stream) {
    say(stream->file->camera, "%s", *stream->reason ? stream->reason : "The camera is gone.");
    pthread_mutex_lock(&stream->file->lock);
    file_give_up(stream->file);
    pthread_mutex_unlock(&stream->file->lock);
}

static void is_absent(struct stream *stream, const char *reason) {
    if (!stream->absent_since) stream->absent_since = system_now();
    snprintf(stream->reason, sizeof stream->reason, "%s", reason);
}

/// When the wait for a camera that is away ends; 0 while it is here. Pictures that come all the
/// same count.
static uint64_t absence_end(struct stream *stream) {
    if (!stream->absent_since) return 0;
    uint64_t newest = __atomic_load_n(&stream->newest, __ATOMIC_RELAXED);
    return (newest > stream->absent_since ? newest : stream->absent_since) + stream->patience;
}

/// Understands one reply; false where it was the last.
static bool hear(struct stream *stream, struct reply *reply) {
    char event[32], message[512];
    const struct json *json = &reply->json;
    json_string(json, json_member(json, reply->parameters, "event"), event, sizeof event);
    json_string(json, json_member(json, reply->parameters, "message"), message, sizeof message);
    struct offered_ring offered = {
        .starts_at_first = !strcmp(event, "changed"), .follows = json_true(json, json_member(json, reply->parameters, "follows"))};
    if (reply->error || !reply->continues || !strcmp(event, "ended")) {
        snprintf(stream->reason, sizeof stream->reason, "%s", reply->error ? reply->message : message);
        return false;
    }
    if (!strcmp(event, "absent") || !strcmp(event, "failed")) is_absent(stream, message);
    if (!strcmp(event, "restarted") || !strcmp(event, "back") || !strcmp(event, "changed")) stream->absent_since = 0;
    int result = ring_of(reply, &offered.ring);
    if (!strcmp(event, "changed") && !is_of_form(reply, &stream->file->form)) {
        ring_unmap(&offered.ring);
        snprintf(stream->reason, sizeof stream->reason, "The camera now streams in another format.");
        return false;
    }
    if (!result) offer(stream, offered);
    else if (result != -ENOENT) is_absent(stream, "The daemon's ring can't be mapped.");
    return true;
}

/// Looks for the daemon and the camera until they are back; false where nobody waits any more.
static bool reconnect(struct stream *stream) {
    connection_close(&stream->connection);
    is_absent(stream, "The UserDriver daemon is gone.");
    for (int interval = 20; !is_stopping(stream); interval = interval < 500 ? interval * 2 : 1000) {
        struct offered_ring offered = {0};
        char words[512];
        int result = watch(stream, system_now() + open_limit, &offered.ring, words, sizeof words);
        if (!result) {
            stream->absent_since = 0;
            offer(stream, offered);
            return true;
        }
        if (*words) is_absent(stream, words);
        if (result == -EINVAL || system_now() >= absence_end(stream)) return false;
        struct pollfd entry = {.fd = stream->stop, .events = POLLIN};
        poll(&entry, 1, interval);
    }
    return false;
}

static void *listen_to_daemon(void *context) {
    struct stream *stream = context;
    while (!is_stopping(stream)) {
        struct reply reply;
        int result = connection_receive(&stream->connection, &reply, absence_end(stream), stream->stop);
        bool goes_on = true;
        if (!result) {
            goes_on = hear(stream, &reply);
            reply_free(&reply);
        } else if (result == -ETIMEDOUT) {
            goes_on = system_now() < absence_end(stream);
        } else if (result != -ECANCELED) {
            goes_on = reconnect(stream);
        }
        if (!goes_on && !is_stopping(stream)) give_up(stream);
        if (!goes_on) break;
    }
    return NULL;
}

// MARK: - Copying pictures

static void go_on_in(struct stream *stream, struct ring ring, uint64_t position, bool is_continuing) {
    ring_unmap(&stream->ring);
    stream->ring = ring;
    stream->position = position;
    ring_passed(&stream->ring, position);
    if (!is_continuing) stream->base = position + 1 - stream->next_sequence;
}

static bool is_same(const struct stream *stream, const struct ring *ring) {
    return (ring->device == stream->ring.device && ring->inode == stream->ring.inode) || ring_follows(&stream->ring, ring);
}

/// Goes on in the next ring when its turn has come: as FrameStream.Position does it.
/// - is_read: the ring that is read has no more to give now.
static void take_rings(struct stream *stream, bool is_read) {
    pthread_mutex_lock(&stream->lock);
    while (stream->offered_count) {
        struct offered_ring *first = &stream->offered[0];
        uint64_t end;
        bool is_dropped = is_same(stream, &first->ring), is_due = false;
        bool follows = first->follows || ring_follows(&first->ring, &stream->ring);
        if (!is_dropped && follows && ring_end(&stream->ring, &end)) {
            if (stream->position < end) break;
            go_on_in(stream, first->ring, end, true);
            is_due = true;
        } else if (!is_dropped && !first->follows) {
            if (!is_read) break;
            go_on_in(stream, first->ring, first->starts_at_first ? 0 : ring_newest(&first->ring), false);
            is_due = true;
            is_read = false;
        } else if (!is_dropped) {
            // What was to follow is given up where the stream was opened in another way after it.
            for (int later = 1; later < stream->offered_count; later++) is_dropped |= !stream->offered[later].follows;
            if (!is_dropped) break;
        }
        if (is_dropped && !is_due) ring_unmap(&first->ring);
        stream->offered_count--;
        memmove(stream->offered, stream->offered + 1, sizeof *stream->offered * (size_t)stream->offered_count);
    }
    pthread_mutex_unlock(&stream->lock);
}

/// Waits for news of the ring, unless there is no buffer for them, and of the alarm.
static void wait_for_news(struct stream *stream, bool of_ring, uint32_t wake, uint32_t seen) {
    if (!of_ring) {
        syscall(SYS_futex, &stream->alarm, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        return;
    }
    struct { uint64_t value, address; uint32_t flags, reserved; } words[] = {
        {wake, (uintptr_t)ring_wake_word(&stream->ring), 2 /* FUTEX_32 */, 0},
        {seen, (uintptr_t)&stream->alarm, 2 | FUTEX_PRIVATE_FLAG, 0},
    };
    if (syscall(449 /* futex_waitv */, words, 2, 0, NULL, CLOCK_MONOTONIC) >= 0) return;
    if (errno == EAGAIN || errno == EINTR) return;
    // Kernels before 5.16, and filters that do not know it.
    struct timespec limit = {.tv_nsec = 5000000};
    syscall(SYS_futex, ring_wake_word(&stream->ring), FUTEX_WAIT, wake, &limit, NULL, 0);
}

static bool is_fit(struct stream *stream, const struct ring_frame *frame) {
    const struct camera_form *form = &stream->file->form;
    uint32_t size = pixel_size(form->fourcc, form->width, form->height);
    // As the kernel's driver does it: a picture that is not whole is left out, and its number with
    // it.
    if (frame->flags & (RING_DAMAGED | RING_STILL) || !frame->length) return false;
    if (!pixel_is_compressed(form->fourcc)) return frame->length == size;
    if (frame->length > stream->file->buffer_length && !stream->told_oversize) {
        stream->told_oversize = true;
        say(stream->file->camera, "A picture has more bytes than the buffers (%zu) and is skipped.", stream->file->buffer_length);
    }
    return frame->length <= stream->file->buffer_length;
}

/// Copies a picture into a buffer that is queued. Only what is proven whole afterwards is shown to
/// the program.
static void deliver(struct stream *stream, struct buffer *buffer, const struct ring_frame *frame) {
    struct file *file = stream->file;
    buffer->state = BUFFER_FILLING;
    pthread_mutex_unlock(&file->lock);
    bool is_whole = ring_copy(&stream->ring, frame, buffers_bytes(file, buffer));
    pthread_mutex_lock(&file->lock);
    if (!is_whole) {
        buffer->state = BUFFER_QUEUED;
        return;
    }
    stream->next_sequence = (uint32_t)(frame->sequence - stream->base) + 1;
    buffer->state = BUFFER_DONE;
    buffer->turn = ++file->turn;
    buffer->sequence = stream->next_sequence - 1;
    buffer->used = (uint32_t)frame->length;
    buffer->captured = frame->captured;
    // Of the others nobody knows without looking at them, and uvcvideo does not say either.
    buffer->flags = file->form.fourcc == V4L2_PIX_FMT_MJPEG ? V4L2_BUF_FLAG_KEYFRAME : 0;
    __atomic_store_n(&stream->newest, system_now(), __ATOMIC_RELAXED);
    file_show_another(file);
    file_wake(file);
}

/// One step: false where there is nothing to do but wait. `has_buffer` tells for what.
static bool step(struct stream *stream, bool *has_buffer) {
    struct ring_frame frame;
    struct file *file = stream->file;
    *has_buffer = true;
    enum ring_outcome outcome = ring_next(&stream->ring, stream->position, &frame);
    take_rings(stream, outcome == RING_NOTHING);
    if (outcome == RING_NOTHING) return ring_next(&stream->ring, stream->position, &frame) != RING_NOTHING;
    // The ring may be another one now.
    outcome = ring_next(&stream->ring, stream->position, &frame);
    switch (outcome) {
    case RING_NOTHING: return false;
    case RING_GAP: break;
    case RING_RENUMBERED: stream->base = frame.sequence + 1 - stream->next_sequence; break;
    case RING_FRAME:
        if (!is_fit(stream, &frame)) break;
        bool is_late = frame.published + lag_limit < system_now() && frame.sequence < ring_newest(&stream->ring);
        pthread_mutex_lock(&file->lock);
        struct buffer *buffer = buffers_next_queued(file);
        *has_buffer = buffer != NULL;
        if (buffer && !is_late) deliver(stream, buffer, &frame);
        pthread_mutex_unlock(&file->lock);
        if (!buffer) return false;
        break;
    }
    stream->position = frame.sequence;
    ring_passed(&stream->ring, stream->position);
    return true;
}

static void *copy_pictures(void *context) {
    struct stream *stream = context;
    while (!is_stopping(stream)) {
        uint32_t seen = __atomic_load_n(&stream->alarm, __ATOMIC_SEQ_CST), wake = ring_wake_count(&stream->ring);
        const unsigned char *base = stream->ring.base;
        bool has_buffer;
        if (!step(stream, &has_buffer) && base == stream->ring.base) wait_for_news(stream, has_buffer, wake, seen);
    }
    return NULL;
}

// MARK: - Beginning and end

static int start_threads(struct stream *stream) {
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    // Signals are for the program's own threads.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&stream->copier, &attributes, copy_pictures, stream);
    if (!error) {
        pthread_setname_np(stream->copier, "userdriver-copy");
        error = pthread_create(&stream->listener, &attributes, listen_to_daemon, stream);
        if (!error) pthread_setname_np(stream->listener, "userdriver-news");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static void destroy(struct stream *stream) {
    ring_unmap(&stream->ring);
    for (int index = 0; index < stream->offered_count; index++) ring_unmap(&stream->offered[index].ring);
    connection_close(&stream->connection);
    system_close(stream->stop);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

static bool write_request(struct stream *stream) {
    const struct file *file = stream->file;
    size_t used = (size_t)snprintf(stream->request, sizeof stream->request, "{\"device\":");
    if (!json_quote(stream->request, sizeof stream->request - 256, &used, file->camera->id)) return false;
    // No decimal point of the program's locale.
    pthread_mutex_lock(&file->camera->settings_lock);
    uint64_t rate = (uint64_t)(file->camera->rate * 1e6 + 0.5);
    pthread_mutex_unlock(&file->camera->settings_lock);
    snprintf(
        stream->request + used, sizeof stream->request - used,
        ",\"reports\":true,\"request\":{\"format\":\"%s\",\"width\":%u,\"height\":%u,\"fps\":%llu.%06llu}}", file->form.format, file->form.width,
        file->form.height, (unsigned long long)(rate / 1000000), (unsigned long long)(rate % 1000000));
    return true;
}

static void count(struct camera *camera, int change) {
    pthread_mutex_lock(&camera->settings_lock);
    camera->streams += (uint32_t)change;
    pthread_mutex_unlock(&camera->settings_lock);
}

int stream_start(struct file *file) {
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) return -ENOMEM;
    stream->file = file;
    stream->connection.socket = -1;
    pthread_mutex_init(&stream->lock, NULL);
    stream->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const char *patience = getenv("USERDRIVER_V4L2_PATIENCE");
    unsigned long milliseconds = patience && *patience ? strtoul(patience, NULL, 10) : 10000;
    stream->patience = (milliseconds < 3600000 ? milliseconds : 3600000) * 1000000ull;
    int result = stream->stop >= 0 && write_request(stream) ? 0 : -ENOMEM;
    uint64_t deadline = system_now() + open_limit;
    char words[512] = "";
    while (!result) {
        result = watch(stream, deadline, &stream->ring, words, sizeof words);
        if ((result != -EAGAIN && result != -ECONNRESET) || system_now() >= deadline) break;
        // The driver was replaced in between, or the daemon.
        result = 0;
        poll(NULL, 0, 20);
    }
    if (!result) {
        stream->position = ring_newest(&stream->ring);
        ring_passed(&stream->ring, stream->position);
        stream->base = stream->position + 1;
        result = -start_threads(stream);
        if (result && stream->copier) {
            __atomic_store_n(&stream->is_stopping, true, __ATOMIC_SEQ_CST);
            stream_wake(stream);
            pthread_mutex_unlock(&file->lock);
            pthread_join(stream->copier, NULL);
            pthread_mutex_lock(&file->lock);
        }
    }
    if (result) {
        if (*words) say(file->camera, "%s", words);
        destroy(stream);
        return result == -EAGAIN || result == -ETIMEDOUT || result == -EPROTO ? -EIO : result;
    }
    file->stream = stream;
    count(file->camera, 1);
    return 0;
}

void stream_stop(struct file *file) {
    pthread_mutex_lock(&file->lock);
    struct stream *stream = file->stream;
    file->stream = NULL;
    pthread_mutex_unlock(&file->lock);
    if (!stream) return;
    __atomic_store_n(&stream->is_stopping, true, __ATOMIC_SEQ_CST);
    uint64_t one = 1;
    if (write(stream->stop, &one, sizeof one) < 0) errno = 0;
    stream_wake(stream);
    pthread_join(stream->copier, NULL);
    pthread_join(stream->listener, NULL);
    destroy(stream);
    count(file->camera, -1);
    pthread_mutex_lock(&file->lock);
    file_wake(file);
    pthread_mutex_unlock(&file->lock);
}

void stream_abandon(struct file *file) {
    struct stream *stream = file->stream;
    file->stream = NULL;
    if (!stream) return;
    // The daemon counts who has the socket; the memory stays, as its owner may have been in the
    // midst of changing it.
    system_close(stream->connection.socket);
    system_close(stream->stop);
    if (stream->ring.base) syscall(SYS_munmap, stream->ring.base, stream->ring.size);
}
