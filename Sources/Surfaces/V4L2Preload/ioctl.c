// VIDIOC_…: see ioctl.h. Formats and rates are answered here, the rest where it is at home.
#define _GNU_SOURCE
#include "ioctl.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "buffers.h"
#include "controls.h"
#include "events.h"
#include "pixel.h"
#include "system.h"

// MARK: - What it is

static int capabilities(struct file *file, struct v4l2_capability *to) {
    struct utsname system;
    unsigned version[3] = {0};
    uname(&system);
    sscanf(system.release, "%u.%u.%u", &version[0], &version[1], &version[2]);
    memset(to, 0, sizeof *to);
    snprintf((char *)to->driver, sizeof to->driver, "userdriver");
    snprintf((char *)to->card, sizeof to->card, "%.31s", file->camera->name);
    snprintf((char *)to->bus_info, sizeof to->bus_info, "usb-%.27s", file->camera->id);
    to->version = (version[0] & 0xff) << 16 | (version[1] & 0xff) << 8 | (version[2] < 255 ? version[2] : 255);
    to->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING | V4L2_CAP_READWRITE | V4L2_CAP_EXT_PIX_FORMAT;
    to->capabilities = to->device_caps | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

// MARK: - Formats

static int enumerate_formats(const struct camera *camera, struct v4l2_fmtdesc *to) {
    if (to->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return -EINVAL;
    uint32_t place = 0;
    for (uint32_t index = 0; index < camera->form_count; index++) {
        uint32_t fourcc = camera->forms[index].fourcc, earlier = 0;
        while (earlier < index && camera->forms[earlier].fourcc != fourcc) earlier++;
        if (earlier < index || place++ < to->index) continue;
        *to = (struct v4l2_fmtdesc){
            .index = to->index, .type = to->type, .pixelformat = fourcc,
            .flags = pixel_is_compressed(fourcc) ? V4L2_FMT_FLAG_COMPRESSED : 0};
        snprintf((char *)to->description, sizeof to->description, "%s", pixel_description(fourcc));
        return 0;
    }
    return -EINVAL;
}

static int enumerate_sizes(const struct camera *camera, struct v4l2_frmsizeenum *to) {
    uint32_t place = 0;
    for (uint32_t index = 0; index < camera->form_count; index++) {
        const struct camera_form *form = &camera->forms[index];
        if (form->fourcc != to->pixel_format || place++ < to->index) continue;
        to->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        to->discrete = (struct v4l2_frmsize_discrete){form->width, form->height};
        memset(to->reserved, 0, sizeof to->reserved);
        return 0;
    }
    return -EINVAL;
}

/// Seconds a frame as a fraction: of whole rates to the letter, of others to 100 ns, as UVC has
/// them.
static struct v4l2_fract interval(double rate) {
    double whole = (double)(uint64_t)(rate + 0.5);
    if (__builtin_fabs(rate - whole) < 1e-4 && whole >= 1) return (struct v4l2_fract){1, (uint32_t)whole};
    uint32_t numerator = (uint32_t)(1e7 / rate + 0.5), denominator = 10000000, one = numerator, other = denominator;
    while (other) {
        uint32_t rest = one % other;
        one = other;
        other = rest;
    }
    return (struct v4l2_fract){numerator / one, denominator / one};
}

static int enumerate_intervals(const struct camera *camera, struct v4l2_frmivalenum *to) {
    for (uint32_t index = 0; index < camera->form_count; index++) {
        const struct camera_form *form = &camera->forms[index];
        if (form->fourcc != to->pixel_format || form->width != to->width || form->height != to->height) continue;
        if (to->index >= form->rate_count) return -EINVAL;
        to->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        to->discrete = interval(form->rates[to->index]);
        memset(to->reserved, 0, sizeof to->reserved);
        return 0;
    }
    return -EINVAL;
}

static double nearest_rate(const struct camera_form *form, double rate) {
    double nearest = form->rates[0];
    for (uint32_t index = 1; index < form->rate_count; index++) {
        if (__builtin_fabs(form->rates[index] - rate) < __builtin_fabs(nearest - rate)) nearest = form->rates[index];
    }
    return nearest;
}

/// The form nearest to what is wanted: of that format, or the camera's first, the size that differs
/// in the fewest pixels.
static const struct camera_form *nearest_form(const struct camera *camera, uint32_t fourcc, uint32_t width, uint32_t height) {
    const struct camera_form *nearest = NULL;
    uint64_t best = UINT64_MAX;
    bool is_known = false;
    for (uint32_t index = 0; index < camera->form_count; index++) is_known |= camera->forms[index].fourcc == fourcc;
    if (!is_known) fourcc = camera->forms[0].fourcc;
    for (uint32_t index = 0; index < camera->form_count; index++) {
        const struct camera_form *form = &camera->forms[index];
        uint64_t common = (uint64_t)(form->width < width ? form->width : width) * (form->height < height ? form->height : height);
        uint64_t away = (uint64_t)form->width * form->height + (uint64_t)width * height - 2 * common;
        if (form->fourcc == fourcc && away < best) {
            best = away;
            nearest = form;
        }
    }
    return nearest;
}

static void describe_form(const struct camera_form *form, struct v4l2_format *to) {
    uint32_t type = to->type;
    memset(to, 0, sizeof *to);
    to->type = type;
    to->fmt.pix = (struct v4l2_pix_format){
        .width = form->width, .height = form->height, .pixelformat = form->fourcc, .field = V4L2_FIELD_NONE,
        .bytesperline = pixel_line(form->fourcc, form->width), .sizeimage = pixel_size(form->fourcc, form->width, form->height),
        .colorspace = V4L2_COLORSPACE_SRGB, .priv = V4L2_PIX_FMT_PRIV_MAGIC,
    };
}

static int get_format(struct camera *camera, struct v4l2_format *to) {
    if (to->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return -EINVAL;
    pthread_mutex_lock(&camera->settings_lock);
    describe_form(&camera->form, to);
    pthread_mutex_unlock(&camera->settings_lock);
    return 0;
}

static int set_format(struct camera *camera, struct v4l2_format *to, bool is_trial) {
    if (to->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return -EINVAL;
    const struct v4l2_pix_format *wanted = &to->fmt.pix;
    const struct camera_form *form = nearest_form(camera, wanted->pixelformat, wanted->width, wanted->height);
    if (!form) return -ENODEV;
    pthread_mutex_lock(&camera->settings_lock);
    const struct camera_form *now = &camera->form;
    bool is_other = form->fourcc != now->fourcc || form->width != now->width || form->height != now->height;
    int result = !is_trial && camera->owners && is_other ? -EBUSY : 0;
    if (!is_trial && !result && is_other) {
        camera->form = *form;
        camera->rate = nearest_rate(form, camera->rate);
    }
    pthread_mutex_unlock(&camera->settings_lock);
    if (!result) describe_form(form, to);
    return result;
}

static int rate(struct camera *camera, struct v4l2_streamparm *to, bool is_set) {
    if (to->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return -EINVAL;
    struct v4l2_fract wanted = to->parm.capture.timeperframe;
    int result = 0;
    pthread_mutex_lock(&camera->settings_lock);
    if (is_set) {
        // Nothing of sense means the usual rate.
        bool is_rate = wanted.numerator && wanted.denominator;
        double next = nearest_rate(&camera->form, is_rate ? (double)wanted.denominator / wanted.numerator : 30);
        if (camera->streams && next != camera->rate) result = -EBUSY;
        else camera->rate = next;
    }
    double now = camera->rate;
    pthread_mutex_unlock(&camera->settings_lock);
    if (result) return result;
    *to = (struct v4l2_streamparm){.type = to->type};
    to->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    to->parm.capture.timeperframe = interval(now);
    to->parm.capture.readbuffers = 4;
    return 0;
}

// MARK: - Inputs, priorities

static int input(struct v4l2_input *to) {
    if (to->index) return -EINVAL;
    *to = (struct v4l2_input){.type = V4L2_INPUT_TYPE_CAMERA};
    snprintf((char *)to->name, sizeof to->name, "Camera");
    return 0;
}

static enum v4l2_priority highest(struct camera *camera) {
    pthread_mutex_lock(&camera->settings_lock);
    enum v4l2_priority found = V4L2_PRIORITY_UNSET;
    for (enum v4l2_priority one = V4L2_PRIORITY_BACKGROUND; one <= V4L2_PRIORITY_RECORD; one++) {
        if (camera->priorities[one]) found = one;
    }
    pthread_mutex_unlock(&camera->settings_lock);
    return found;
}

static int set_priority(struct file *file, uint32_t priority) {
    if (priority < V4L2_PRIORITY_BACKGROUND || priority > V4L2_PRIORITY_RECORD) return -EINVAL;
    pthread_mutex_lock(&file->camera->settings_lock);
    file->camera->priorities[file->priority]--;
    file->camera->priorities[priority]++;
    file->priority = priority;
    pthread_mutex_unlock(&file->camera->settings_lock);
    return 0;
}

struct known {
    uint32_t request;
    /// Another file's higher priority forbids it.
    bool needs_priority;
};

static const struct known requests[] = {
    {VIDIOC_QUERYCAP, false}, {VIDIOC_ENUM_FMT, false}, {VIDIOC_ENUM_FRAMESIZES, false}, {VIDIOC_ENUM_FRAMEINTERVALS, false},
    {VIDIOC_G_FMT, false}, {VIDIOC_S_FMT, true}, {VIDIOC_TRY_FMT, false}, {VIDIOC_G_PARM, false}, {VIDIOC_S_PARM, true},
    {VIDIOC_ENUMINPUT, false}, {VIDIOC_G_INPUT, false}, {VIDIOC_S_INPUT, true}, {VIDIOC_G_PRIORITY, false}, {VIDIOC_S_PRIORITY, true},
    {VIDIOC_REQBUFS, true}, {VIDIOC_QUERYBUF, false}, {VIDIOC_QBUF, false}, {VIDIOC_DQBUF, false}, {VIDIOC_STREAMON, true},
    {VIDIOC_STREAMOFF, true}, {VIDIOC_QUERYCTRL, false}, {VIDIOC_QUERY_EXT_CTRL, false}, {VIDIOC_QUERYMENU, false},
    {VIDIOC_G_CTRL, false}, {VIDIOC_S_CTRL, true}, {VIDIOC_G_EXT_CTRLS, false}, {VIDIOC_S_EXT_CTRLS, true},
    {VIDIOC_TRY_EXT_CTRLS, false}, {VIDIOC_SUBSCRIBE_EVENT, false}, {VIDIOC_UNSUBSCRIBE_EVENT, false}, {VIDIOC_DQEVENT, false},
};

/// NULL for requests that are not answered.
static const struct known *find(uint32_t request) {
    for (size_t index = 0; index < sizeof requests / sizeof *requests; index++) {
        if (requests[index].request == request) return &requests[index];
    }
    return NULL;
}

// MARK: - Dispatch

static int perform(struct file *file, uint32_t request, bool waits, void *argument) {
    struct camera *camera = file->camera;
    struct v4l2_control *control = argument;
    switch (request) {
    case VIDIOC_QUERYCAP: return capabilities(file, argument);
    case VIDIOC_ENUM_FMT: return enumerate_formats(camera, argument);
    case VIDIOC_ENUM_FRAMESIZES: return enumerate_sizes(camera, argument);
    case VIDIOC_ENUM_FRAMEINTERVALS: return enumerate_intervals(camera, argument);
    case VIDIOC_G_FMT: return get_format(camera, argument);
    case VIDIOC_S_FMT: return set_format(camera, argument, false);
    case VIDIOC_TRY_FMT: return set_format(camera, argument, true);
    case VIDIOC_G_PARM: return rate(camera, argument, false);
    case VIDIOC_S_PARM: return rate(camera, argument, true);
    case VIDIOC_ENUMINPUT: return input(argument);
    case VIDIOC_G_INPUT: *(int *)argument = 0; return 0;
    case VIDIOC_S_INPUT: return *(int *)argument ? -EINVAL : 0;
    case VIDIOC_G_PRIORITY: *(uint32_t *)argument = highest(camera); return 0;
    case VIDIOC_S_PRIORITY: return set_priority(file, *(uint32_t *)argument);
    case VIDIOC_REQBUFS: return buffers_request(file, argument);
    case VIDIOC_QUERYBUF: return buffers_query(file, argument);
    case VIDIOC_QBUF: return buffers_queue(file, argument);
    case VIDIOC_DQBUF: return buffers_dequeue(file, argument, waits);
    case VIDIOC_STREAMON: return buffers_start(file, *(int *)argument);
    case VIDIOC_STREAMOFF: return buffers_stop(file, *(int *)argument);
    case VIDIOC_QUERYCTRL: return controls_query(camera, argument);
    case VIDIOC_QUERY_EXT_CTRL: return controls_query_extended(camera, argument);
    case VIDIOC_QUERYMENU: return controls_query_menu(camera, argument);
    case VIDIOC_G_CTRL: return controls_get(file, control->id, &control->value);
    case VIDIOC_S_CTRL: return controls_set(file, control->id, &control->value);
    case VIDIOC_G_EXT_CTRLS: return controls_several(file, argument, CONTROLS_GET);
    case VIDIOC_S_EXT_CTRLS: return controls_several(file, argument, CONTROLS_SET);
    case VIDIOC_TRY_EXT_CTRLS: return controls_several(file, argument, CONTROLS_TRY);
    case VIDIOC_SUBSCRIBE_EVENT: return events_subscribe(file, argument);
    case VIDIOC_UNSUBSCRIBE_EVENT: return events_unsubscribe(file, argument);
    case VIDIOC_DQEVENT: return events_dequeue(file, argument, waits);
    default: return -ENOTTY;
    }
}

int ioctl_perform(struct file *file, int descriptor, unsigned long request, void *argument) {
    int kept = errno;
    bool waits = !(system_fcntl(descriptor, F_GETFL, 0) & O_NONBLOCK);
    // Some programs sign-extend requests.
    const struct known *known = find((uint32_t)request);
    int result;
    // Programs take another answer (EINVAL to EXPBUF, say) for a device that is broken.
    if (!known) result = -ENOTTY;
    else if (!argument) result = -EFAULT;
    else if (file->is_gone && known->request != VIDIOC_STREAMOFF) result = -ENODEV;
    else if (known->needs_priority && highest(file->camera) > file->priority) result = -EBUSY;
    else result = perform(file, known->request, waits, argument);
    errno = result < 0 ? -result : kept;
    return result < 0 ? -1 : result;
}
