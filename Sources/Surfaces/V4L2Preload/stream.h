// Pictures on their way from the daemon's ring into a file's buffers: two threads for each file
// that streams.
#pragma once
#include "file.h"

#pragma GCC visibility push(hidden)

/// Opens the stream in the file's form, and waits until the daemon has. With the file's lock. 0 or
/// an error, negative.
int stream_start(struct file *file);
/// Without the file's lock: returns when the threads have ended.
void stream_stop(struct file *file);
/// In a child process, which has no threads: lets go of what the parent's need.
void stream_abandon(struct file *file);
/// A buffer was queued.
void stream_wake(struct stream *stream);

#pragma GCC visibility pop
