// Subscribing to events and taking them: see events.h.
#define _GNU_SOURCE
#include "events.h"

#include <string.h>

#include "controls.h"
#include "system.h"

static void add(struct file *file, const struct v4l2_event *event) {
    // The newest of each control is enough, and of many the oldest goes.
    uint32_t place = 0;
    while (place < file->event_count && (file->events[place].type != event->type || file->events[place].id != event->id)) place++;
    uint32_t changes = 0;
    if (place < file->event_count || file->event_count == FILE_MAXIMUM_EVENTS) {
        if (place == file->event_count) place = 0;
        else changes = file->events[place].u.ctrl.changes;
        memmove(file->events + place, file->events + place + 1, (file->event_count - place - 1) * sizeof *event);
        file->event_count--;
    }
    struct v4l2_event *added = &file->events[file->event_count++];
    *added = *event;
    added->u.ctrl.changes |= changes;
    added->sequence = file->event_sequence++;
    clock_gettime(CLOCK_MONOTONIC, &added->timestamp);
    file_show(file);
    file_wake(file);
}

static int find(const struct file *file, uint32_t type, uint32_t id) {
    for (uint32_t index = 0; index < file->subscription_count; index++) {
        if (file->subscriptions[index].type == type && file->subscriptions[index].id == id) return (int)index;
    }
    return -1;
}

int events_subscribe(struct file *file, const struct v4l2_event_subscription *subscription) {
    struct v4l2_event initial = {.type = V4L2_EVENT_CTRL, .id = subscription->id};
    if (subscription->type != V4L2_EVENT_CTRL) return -EINVAL;
    if (controls_describe_event(file->camera, &initial)) return -EINVAL;
    pthread_mutex_lock(&file->lock);
    int result = 0;
    if (find(file, subscription->type, subscription->id) < 0) {
        if (file->subscription_count == FILE_MAXIMUM_SUBSCRIPTIONS) {
            result = -ENOMEM;
        } else {
            file->subscriptions[file->subscription_count++] =
                (struct subscription){.type = subscription->type, .id = subscription->id, .flags = subscription->flags};
            initial.u.ctrl.changes = V4L2_EVENT_CTRL_CH_VALUE | V4L2_EVENT_CTRL_CH_FLAGS;
            bool is_title = initial.u.ctrl.type == V4L2_CTRL_TYPE_CTRL_CLASS;
            if (subscription->flags & V4L2_EVENT_SUB_FL_SEND_INITIAL && !is_title) add(file, &initial);
        }
    }
    pthread_mutex_unlock(&file->lock);
    return result;
}

int events_unsubscribe(struct file *file, const struct v4l2_event_subscription *subscription) {
    bool is_all = subscription->type == V4L2_EVENT_ALL;
    pthread_mutex_lock(&file->lock);
    uint32_t kept = 0;
    for (uint32_t index = 0; index < file->subscription_count; index++) {
        const struct subscription *one = &file->subscriptions[index];
        if (!is_all && (one->type != subscription->type || one->id != subscription->id)) file->subscriptions[kept++] = *one;
    }
    file->subscription_count = kept;
    kept = 0;
    for (uint32_t index = 0; index < file->event_count; index++) {
        if (find(file, file->events[index].type, file->events[index].id) >= 0) file->events[kept++] = file->events[index];
    }
    file->event_count = kept;
    file_show(file);
    pthread_mutex_unlock(&file->lock);
    return 0;
}

int events_dequeue(struct file *file, struct v4l2_event *event, bool waits) {
    pthread_mutex_lock(&file->lock);
    int result = 0;
    while (!file->event_count && !result) {
        uint32_t seen = __atomic_load_n(&file->news, __ATOMIC_SEQ_CST);
        if (file->is_gone) result = -ENODEV;
        else if (!waits || !file->subscription_count) result = -ENOENT;
        if (result) break;
        pthread_mutex_unlock(&file->lock);
        if (file_wait(file, seen)) result = -EINTR;
        pthread_mutex_lock(&file->lock);
    }
    if (!result) {
        *event = file->events[0];
        file->event_count--;
        memmove(file->events, file->events + 1, file->event_count * sizeof *event);
        event->pending = file->event_count;
        file_show(file);
    }
    pthread_mutex_unlock(&file->lock);
    return result;
}

struct change {
    const struct file *by;
    const struct v4l2_event *event;
};

static void tell(struct file *file, void *context) {
    const struct change *change = context;
    int index = find(file, change->event->type, change->event->id);
    if (index < 0) return;
    if (file == change->by && !(file->subscriptions[index].flags & V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK)) return;
    add(file, change->event);
}

void events_control_changed(struct camera *camera, const struct file *by, const struct v4l2_event *event) {
    struct change change = {by, event};
    file_for_each(camera, tell, &change);
}
