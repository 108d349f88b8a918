// Open files of a camera: which descriptors they have, their settings, buffers, events.
#pragma once
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "camera.h"

#pragma GCC visibility push(hidden)

enum { FILE_MAXIMUM_BUFFERS = 32, FILE_MAXIMUM_EVENTS = 32, FILE_MAXIMUM_SUBSCRIPTIONS = 64 };

enum buffer_state { BUFFER_IDLE, BUFFER_QUEUED, BUFFER_FILLING, BUFFER_DONE };

struct buffer {
    enum buffer_state state;
    /// The order in which buffers were queued, or done.
    uint64_t turn;
    uint32_t sequence, used, flags;
    uint64_t captured;
    bool is_mapped;
};

struct subscription {
    uint32_t type, id, flags;
};

/// What open("/dev/videoN") makes. Its descriptors are one end of a socket pair, so that poll,
/// select and epoll need no help: the other end writes a byte where a picture is ready, an urgent
/// one for an event, and is closed when the camera is gone for good.
struct file {
    /// Descriptors and calls that use it.
    int references;
    ino_t inode;
    struct camera *camera;

    /// Guards what follows. Never held while waiting for a picture.
    pthread_mutex_t lock;
    int peer;
    /// The program's end once more, for what is taken out of it again.
    int drain;
    /// Grows with whatever a waiting DQBUF should look at; a futex.
    uint32_t news;
    /// A picture's byte, an event's byte are in the socket.
    bool shows_picture, shows_event;
    /// The camera was away for too long, or was given up.
    bool is_gone;
    enum v4l2_priority priority;

    /// What the buffers are for.
    struct camera_form form;
    /// The buffers of a process that was forked off are its parent's.
    bool is_inherited;
    bool is_reading;
    int memory;
    unsigned char *bytes;
    size_t buffer_length;
    uint32_t buffer_count;
    struct buffer buffers[FILE_MAXIMUM_BUFFERS];
    uint64_t turn;
    struct stream *stream;
    /// Where read() is in the picture that it took.
    int read_buffer;
    uint32_t read_offset;

    struct subscription subscriptions[FILE_MAXIMUM_SUBSCRIPTIONS];
    uint32_t subscription_count;
    struct v4l2_event events[FILE_MAXIMUM_EVENTS];
    uint32_t event_count, event_sequence;
};

/// A new descriptor, or -1 with errno.
int file_open(struct camera *camera, int flags);
/// The file of a descriptor, to be put back; NULL where it is none of ours.
struct file *file_get(int descriptor);
void file_put(struct file *file);
/// Whether it may be one of ours: no more than a look at a table.
bool file_is_likely(int descriptor);
/// Another descriptor for the same file, made by the kernel.
void file_add(struct file *file, int descriptor);
/// The descriptor means something else from now on, or nothing.
void file_forget(int descriptor);
void file_forget_range(unsigned first, unsigned last);
/// Each open file of a camera, in turn, with its lock.
void file_for_each(struct camera *camera, void (*body)(struct file *file, void *context), void *context);

// With the lock:
/// Makes the descriptor readable or not, by what there is to be read.
void file_show(struct file *file);
/// The same where another picture has come: whoever waits for changes only (EPOLLET) hears of each.
void file_show_another(struct file *file);
/// Wakes whoever waits in DQBUF.
void file_wake(struct file *file);
/// ENODEV from now on.
void file_give_up(struct file *file);
uint32_t file_done_count(const struct file *file);

/// Waits until `news` is another number than `seen`: 0, or EINTR where a signal came that
/// interrupts.
int file_wait(struct file *file, uint32_t seen);

#pragma GCC visibility pop
