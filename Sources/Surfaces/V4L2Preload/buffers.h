// A file's buffers: REQBUFS, QUERYBUF, QBUF, DQBUF, STREAMON, STREAMOFF, read, mmap.
#pragma once
#include "file.h"

#pragma GCC visibility push(hidden)

// 0 or an error, negative. Without the file's lock.
int buffers_request(struct file *file, struct v4l2_requestbuffers *request);
int buffers_query(struct file *file, struct v4l2_buffer *buffer);
int buffers_queue(struct file *file, struct v4l2_buffer *buffer);
int buffers_dequeue(struct file *file, struct v4l2_buffer *buffer, bool waits);
int buffers_start(struct file *file, int type);
int buffers_stop(struct file *file, int type);
/// Ends the stream and gives the memory back.
void buffers_release(struct file *file);
/// As read(2).
ssize_t buffers_read(struct file *file, void *to, size_t length, bool waits);
/// As mmap(2).
void *buffers_map(struct file *file, void *address, size_t length, int protection, int flags, int64_t offset);

// For the stream's thread, with the lock:
/// The buffer that was queued first, NULL where none is.
struct buffer *buffers_next_queued(struct file *file);
unsigned char *buffers_bytes(struct file *file, const struct buffer *buffer);

#pragma GCC visibility pop
