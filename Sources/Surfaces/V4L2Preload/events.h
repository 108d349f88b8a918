// V4L2's events of a file: what a program subscribed to, and what waits for it.
#pragma once
#include "file.h"

#pragma GCC visibility push(hidden)

// 0 or an error, negative. Without the file's lock.
int events_subscribe(struct file *file, const struct v4l2_event_subscription *subscription);
int events_unsubscribe(struct file *file, const struct v4l2_event_subscription *subscription);
int events_dequeue(struct file *file, struct v4l2_event *event, bool waits);
/// A control has another value: tells whoever wants to know of that, and `by` only where it asked
/// for its own changes.
void events_control_changed(struct camera *camera, const struct file *by, const struct v4l2_event *event);

#pragma GCC visibility pop
