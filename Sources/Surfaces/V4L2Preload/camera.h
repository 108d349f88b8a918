// The cameras that the daemon drives, with the numbers that they have as /dev/videoN, and their
// formats.
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { CAMERA_MAXIMUM = 64, CAMERA_MAXIMUM_RATES = 32 };

/// One size of one format.
struct camera_form {
    char format[16];
    uint32_t fourcc, width, height;
    /// Frames a second.
    double rates[CAMERA_MAXIMUM_RATES];
    uint32_t rate_count;
};

/// Lives as long as the process, once it was seen.
struct camera {
    int number;
    char id[256];
    char name[64];
    char vendor[8], product[8];
    /// Guards what was asked of the daemon; held while it is asked.
    pthread_mutex_t lock;
    struct camera_form *forms;
    uint32_t form_count;
    struct control *controls;
    uint32_t control_count;
    uint64_t controls_asked;

    /// Guards what all open files have in common; never held for long.
    pthread_mutex_t settings_lock;
    /// How pictures will come. Every file's, as with any V4L2 device; one that has buffers keeps
    /// the form that they are for.
    struct camera_form form;
    double rate;
    /// Files that are open, that have buffers, that stream; and how many have each priority
    /// (V4L2_PRIORITY_…).
    uint32_t opens, owners, streams, priorities[4];
};

/// The cameras by their numbers, looked for at most twice a second: how many were written.
int camera_list(struct camera **cameras, int capacity);
/// NULL where the number is none of ours.
struct camera *camera_with_number(int number);
/// Formats of another process's time are asked again: a lock that it held is not held here.
void cameras_after_fork(void);
void cameras_before_fork(void);
void cameras_still_here(void);

/// Asks the camera for its formats unless it has said them: 0 or an error, negative.
int camera_know_forms(struct camera *camera);
/// The one that another program streams now, or the camera's usual one.
bool camera_current_form(struct camera *camera, struct camera_form *form, double *rate);

/// A line on standard error.
void say(const struct camera *camera, const char *format, ...) __attribute__((format(printf, 2, 3)));

#pragma GCC visibility pop
