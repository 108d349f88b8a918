// Asks and sets controls through the daemon: see controls.h.
#define _GNU_SOURCE
#include "controls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "events.h"
#include "system.h"

enum { MAXIMUM_CONTROLS = 128, MAXIMUM_ITEMS = 64 };
/// Which controls are automatic now is asked again after so long: other programs may have changed
/// that.
static const uint64_t fresh_for = NANOSECONDS;

/// Numbers of our own for what V4L2 has none: "driver specific" ones of its class for users'
/// controls.
#define OWN(number) (V4L2_CID_USER_BASE + 0x1f00 + (number))
enum { OWN_UNNAMED = 0x40 };

static const struct { const char *name; uint32_t id; const char *title; } names[] = {
    {"brightness", V4L2_CID_BRIGHTNESS, "Brightness"},
    {"contrast", V4L2_CID_CONTRAST, "Contrast"},
    {"saturation", V4L2_CID_SATURATION, "Saturation"},
    {"hue", V4L2_CID_HUE, "Hue"},
    {"hue_auto", V4L2_CID_HUE_AUTO, "Hue, Auto"},
    {"sharpness", V4L2_CID_SHARPNESS, "Sharpness"},
    {"gamma", V4L2_CID_GAMMA, "Gamma"},
    {"gain", V4L2_CID_GAIN, "Gain"},
    {"backlight_compensation", V4L2_CID_BACKLIGHT_COMPENSATION, "Backlight Compensation"},
    {"power_line_frequency", V4L2_CID_POWER_LINE_FREQUENCY, "Power Line Frequency"},
    {"white_balance_automatic", V4L2_CID_AUTO_WHITE_BALANCE, "White Balance, Automatic"},
    {"white_balance_temperature", V4L2_CID_WHITE_BALANCE_TEMPERATURE, "White Balance Temperature"},
    {"white_balance_blue", V4L2_CID_BLUE_BALANCE, "Blue Balance"},
    {"white_balance_red", V4L2_CID_RED_BALANCE, "Red Balance"},
    {"exposure_auto", V4L2_CID_EXPOSURE_AUTO, "Auto Exposure"},
    {"exposure_auto_priority", V4L2_CID_EXPOSURE_AUTO_PRIORITY, "Exposure, Dynamic Framerate"},
    {"exposure_time_absolute", V4L2_CID_EXPOSURE_ABSOLUTE, "Exposure Time, Absolute"},
    {"focus_absolute", V4L2_CID_FOCUS_ABSOLUTE, "Focus, Absolute"},
    {"focus_auto", V4L2_CID_FOCUS_AUTO, "Focus, Automatic Continuous"},
    {"iris_absolute", V4L2_CID_IRIS_ABSOLUTE, "Iris, Absolute"},
    {"zoom_absolute", V4L2_CID_ZOOM_ABSOLUTE, "Zoom, Absolute"},
    {"pan_absolute", V4L2_CID_PAN_ABSOLUTE, "Pan, Absolute"},
    {"tilt_absolute", V4L2_CID_TILT_ABSOLUTE, "Tilt, Absolute"},
    {"privacy", V4L2_CID_PRIVACY, "Privacy"},
    {"contrast_auto", OWN(0), "Contrast, Automatic"},
    {"white_balance_component_automatic", OWN(1), "White Balance Component, Automatic"},
    {"digital_multiplier", OWN(2), "Digital Multiplier"},
    {"digital_multiplier_limit", OWN(3), "Digital Multiplier Limit"},
    {"analog_video_standard", OWN(4), "Analog Video Standard"},
    {"analog_lock_status", OWN(5), "Analog Lock Status"},
    {"scanning_mode", OWN(6), "Scanning Mode"},
    {"focus_simple", OWN(7), "Focus, Simple"},
    {"roll_absolute", OWN(8), "Roll, Absolute"},
    {"input_select", OWN(9), "Input Select"},
};

/// UVC's bits of the exposure's mode, by V4L2's values: auto, manual, shutter priority, aperture
/// priority.
static const int64_t exposure_bits[] = {2, 1, 4, 8};

static int64_t to_program(const struct control *control, int64_t value) {
    for (int64_t item = 0; control->is_exposure && item < 4; item++) {
        if (exposure_bits[item] == value) return item;
    }
    return value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : value;
}

static int64_t to_camera(const struct control *control, int64_t value) {
    return control->is_exposure && value >= 0 && value < 4 ? exposure_bits[value] : value;
}

// MARK: - What controls there are

static int64_t integer(const struct json *json, uint32_t object, const char *name) {
    int64_t value = 0;
    json_integer(json, json_member(json, object, name), &value);
    return value;
}

static void take_menu(const struct json *json, uint32_t menu, struct control *control) {
    control->texts = calloc(MAXIMUM_ITEMS, sizeof *control->texts);
    control->minimum = MAXIMUM_ITEMS;
    control->maximum = 0;
    control->step = 1;
    uint32_t item = JSON_NOTHING;
    while (control->texts && (item = json_element(json, menu, item)) != JSON_NOTHING) {
        int64_t value = to_program(control, integer(json, item, "value"));
        if (value < 0 || value >= MAXIMUM_ITEMS) continue;
        control->items |= 1ull << value;
        json_string(json, json_member(json, item, "text"), control->texts[value], sizeof control->texts[value]);
        if (value < control->minimum) control->minimum = value;
        if (value > control->maximum) control->maximum = value;
    }
}

/// False where it can't be shown: one that does not answer has no range.
static bool take(const struct json *json, uint32_t node, struct control *control, uint32_t unnamed) {
    char type[16], problem[32];
    *control = (struct control){.id = OWN(OWN_UNNAMED) + unnamed};
    if (!json_string(json, json_member(json, node, "name"), control->name, sizeof control->name)) return false;
    if (json_string(json, json_member(json, node, "problem"), problem, sizeof problem)) return false;
    json_string(json, json_member(json, node, "description"), control->title, sizeof control->title);
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        if (strcmp(names[index].name, control->name)) continue;
        control->id = names[index].id;
        snprintf(control->title, sizeof control->title, "%s", names[index].title);
    }
    json_string(json, json_member(json, node, "type"), type, sizeof type);
    control->is_exposure = control->id == V4L2_CID_EXPOSURE_AUTO;
    control->minimum = to_program(control, integer(json, node, "minimum"));
    control->maximum = to_program(control, integer(json, node, "maximum"));
    control->step = to_program(control, integer(json, node, "step"));
    control->standard = to_program(control, integer(json, node, "default"));
    control->is_readable = json_true(json, json_member(json, node, "readable"));
    control->is_writable = json_true(json, json_member(json, node, "writable"));
    control->is_automatic = json_true(json, json_member(json, node, "automatic"));
    control->type = V4L2_CTRL_TYPE_INTEGER;
    if (!strcmp(type, "boolean")) {
        control->type = V4L2_CTRL_TYPE_BOOLEAN;
        control->minimum = 0;
        control->maximum = 1;
        control->step = 1;
        control->standard = control->standard != 0;
    } else if (!strcmp(type, "menu") || control->is_exposure) {
        control->type = V4L2_CTRL_TYPE_MENU;
        take_menu(json, json_member(json, node, "menu"), control);
        if (!control->items) return false;
    }
    if (control->step < 1) control->step = 1;
    if (control->maximum < control->minimum) control->maximum = control->minimum;
    if (control->standard < control->minimum || control->standard > control->maximum) control->standard = control->minimum;
    return true;
}

static void forget(struct camera *camera) {
    for (uint32_t index = 0; index < camera->control_count; index++) free(camera->controls[index].texts);
    free(camera->controls);
    camera->controls = NULL;
    camera->control_count = 0;
}

static int compare(const void *left, const void *right) {
    uint32_t one = ((const struct control *)left)->id, other = ((const struct control *)right)->id;
    return one < other ? -1 : one > other;
}

/// `{"device":"…"` and room for more.
static size_t begin_parameters(const struct camera *camera, char *text, size_t capacity) {
    size_t used = (size_t)snprintf(text, capacity, "{\"device\":");
    return json_quote(text, capacity, &used, camera->id) ? used : 0;
}

/// The classes that there are controls of stand among them, as titles.
static void add_classes(struct camera *camera) {
    static const struct { uint32_t id; const char *title; } classes[] = {
        {V4L2_CID_USER_CLASS, "User Controls"}, {V4L2_CID_CAMERA_CLASS, "Camera Controls"}};
    uint32_t count = camera->control_count;
    for (size_t index = 0; index < sizeof classes / sizeof *classes; index++) {
        bool has_any = false;
        uint32_t which = V4L2_CTRL_ID2WHICH(classes[index].id);
        for (uint32_t other = 0; other < count; other++) has_any |= V4L2_CTRL_ID2WHICH(camera->controls[other].id) == which;
        if (!has_any) continue;
        struct control *control = &camera->controls[camera->control_count++];
        *control = (struct control){.id = classes[index].id, .type = V4L2_CTRL_TYPE_CTRL_CLASS};
        snprintf(control->title, sizeof control->title, "%s", classes[index].title);
    }
}

/// With the camera's lock.
static int know(struct camera *camera) {
    uint64_t now = system_now();
    if (camera->controls && camera->controls_asked && now - camera->controls_asked < fresh_for) return 0;
    char parameters[1024];
    size_t used = begin_parameters(camera, parameters, sizeof parameters - 2);
    if (!used) return -EINVAL;
    strcpy(parameters + used, "}");
    struct reply reply;
    int result = daemon_call("io.userdriver.camera.GetControls", parameters, &reply, NULL, 0);
    // What was known is better than nothing.
    if (result) return camera->controls ? 0 : result;
    struct control *controls = calloc(MAXIMUM_CONTROLS + 2, sizeof *controls);
    if (controls) {
        forget(camera);
        camera->controls = controls;
        uint32_t list = json_member(&reply.json, reply.parameters, "controls"), node = JSON_NOTHING, unnamed = 0;
        while (camera->control_count < MAXIMUM_CONTROLS && (node = json_element(&reply.json, list, node)) != JSON_NOTHING) {
            struct control *control = &controls[camera->control_count];
            bool is_shown = take(&reply.json, node, control, unnamed);
            unnamed += control->id >= OWN(OWN_UNNAMED) && control->id < OWN(0x100);
            if (is_shown) camera->control_count++;
            else free(control->texts);
        }
        add_classes(camera);
        qsort(controls, camera->control_count, sizeof *controls, compare);
        camera->controls_asked = system_now();
    }
    reply_free(&reply);
    return controls ? 0 : -ENOMEM;
}

/// With the camera's lock: the control of that number, or with V4L2_CTRL_FLAG_NEXT_CTRL the next
/// one.
static struct control *find(struct camera *camera, uint32_t id) {
    bool wants_next = id & (V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND);
    // None of ours is compound.
    if (wants_next && !(id & V4L2_CTRL_FLAG_NEXT_CTRL)) return NULL;
    id &= V4L2_CTRL_ID_MASK;
    for (uint32_t index = 0; index < camera->control_count; index++) {
        struct control *control = &camera->controls[index];
        if (wants_next ? control->id > id : control->id == id) return control;
    }
    return NULL;
}

/// A copy of the control, which has no texts: 0 or an error, negative.
static int look_up(struct camera *camera, uint32_t id, struct control *control) {
    pthread_mutex_lock(&camera->lock);
    int result = know(camera);
    const struct control *found = result ? NULL : find(camera, id);
    if (found) *control = *found;
    control->texts = NULL;
    pthread_mutex_unlock(&camera->lock);
    return found ? 0 : result ? result : -EINVAL;
}

static uint32_t flags_of(const struct control *control) {
    return (control->is_writable ? 0 : V4L2_CTRL_FLAG_READ_ONLY) | (control->is_readable ? 0 : V4L2_CTRL_FLAG_WRITE_ONLY)
        | (control->is_automatic ? V4L2_CTRL_FLAG_INACTIVE : 0);
}

int controls_query_extended(struct camera *camera, struct v4l2_query_ext_ctrl *query) {
    struct control control = {0};
    int result = look_up(camera, query->id, &control);
    if (result) return result;
    *query = (struct v4l2_query_ext_ctrl){
        .id = control.id, .type = control.type, .minimum = control.minimum, .maximum = control.maximum, .step = (uint64_t)control.step,
        .default_value = control.standard, .flags = flags_of(&control), .elem_size = sizeof(int32_t), .elems = 1,
    };
    snprintf(query->name, sizeof query->name, "%.31s", control.title);
    return 0;
}

int controls_query(struct camera *camera, struct v4l2_queryctrl *query) {
    struct v4l2_query_ext_ctrl extended = {.id = query->id};
    int result = controls_query_extended(camera, &extended);
    if (result) return result;
    *query = (struct v4l2_queryctrl){
        .id = extended.id, .type = extended.type, .minimum = (int32_t)extended.minimum, .maximum = (int32_t)extended.maximum,
        .step = (int32_t)extended.step, .default_value = (int32_t)extended.default_value, .flags = extended.flags,
    };
    memcpy(query->name, extended.name, sizeof query->name);
    return 0;
}

int controls_query_menu(struct camera *camera, struct v4l2_querymenu *query) {
    pthread_mutex_lock(&camera->lock);
    int result = know(camera);
    const struct control *control = result || query->id & ~V4L2_CTRL_ID_MASK ? NULL : find(camera, query->id);
    if (!result) result = -EINVAL;
    if (control && control->type == V4L2_CTRL_TYPE_MENU && query->index < MAXIMUM_ITEMS && control->items >> query->index & 1) {
        memset(query->name, 0, sizeof query->name);
        snprintf((char *)query->name, sizeof query->name, "%.31s", control->texts[query->index]);
        query->reserved = 0;
        result = 0;
    }
    pthread_mutex_unlock(&camera->lock);
    return result;
}

// MARK: - Values

/// GetControl or SetControl; what the camera says afterwards.
static int call(struct camera *camera, const struct control *control, const int64_t *value, int64_t *now, bool *is_automatic) {
    char parameters[1024];
    size_t used = begin_parameters(camera, parameters, sizeof parameters - 256);
    if (!used) return -EINVAL;
    used += (size_t)snprintf(parameters + used, 16, ",\"name\":");
    if (!json_quote(parameters, sizeof parameters - 64, &used, control->name)) return -EINVAL;
    if (value) used += (size_t)snprintf(parameters + used, 48, ",\"value\":%lld", (long long)to_camera(control, *value));
    strcpy(parameters + used, "}");
    struct reply reply;
    int result = daemon_call(value ? "io.userdriver.camera.SetControl" : "io.userdriver.camera.GetControl", parameters, &reply, NULL, 0);
    if (result) return result;
    uint32_t node = json_member(&reply.json, reply.parameters, "control");
    int64_t told;
    if (json_integer(&reply.json, json_member(&reply.json, node, "value"), &told)) *now = to_program(control, told);
    else result = -EIO;
    *is_automatic = json_true(&reply.json, json_member(&reply.json, node, "automatic"));
    reply_free(&reply);
    return result;
}

int controls_get(struct file *file, uint32_t id, int32_t *value) {
    struct control control = {0};
    int result = id & ~V4L2_CTRL_ID_MASK ? -EINVAL : look_up(file->camera, id, &control);
    if (result) return result;
    if (!control.is_readable) return -EACCES;
    int64_t now = 0;
    bool is_automatic;
    result = call(file->camera, &control, NULL, &now, &is_automatic);
    *value = (int32_t)now;
    return result;
}

/// The nearest value that the control can have: as the kernel's driver does it.
static int fit(const struct control *control, int64_t *value) {
    switch (control->type) {
    case V4L2_CTRL_TYPE_BOOLEAN: *value = *value != 0; return 0;
    case V4L2_CTRL_TYPE_MENU:
        if (*value < control->minimum || *value > control->maximum) return -ERANGE;
        return control->items >> *value & 1 ? 0 : -EINVAL;
    default:
        if (*value < control->minimum) *value = control->minimum;
        int64_t steps = (*value - control->minimum + control->step / 2) / control->step;
        int64_t most = (control->maximum - control->minimum) / control->step;
        *value = control->minimum + (steps < most ? steps : most) * control->step;
        return 0;
    }
}

static struct v4l2_event event_of(const struct control *control, int64_t value, uint32_t changes) {
    return (struct v4l2_event){
        .type = V4L2_EVENT_CTRL,
        .id = control->id,
        .u.ctrl = {
            .changes = changes, .type = control->type, .value = (int32_t)value, .flags = flags_of(control),
            .minimum = (int32_t)control->minimum, .maximum = (int32_t)control->maximum, .step = (int32_t)control->step,
            .default_value = (int32_t)control->standard,
        },
    };
}

int controls_describe_event(struct camera *camera, struct v4l2_event *event) {
    struct control control = {0};
    int result = event->id & ~V4L2_CTRL_ID_MASK ? -EINVAL : look_up(camera, event->id, &control);
    if (result) return result;
    int64_t value = control.standard;
    bool is_automatic;
    if (control.is_readable) call(camera, &control, NULL, &value, &is_automatic);
    *event = event_of(&control, value, 0);
    return 0;
}

/// An automatic control was switched: others may have become free or held by it, and their watchers
/// are told.
static void tell_dependents(struct file *file, const struct control *switched) {
    struct camera *camera = file->camera;
    struct v4l2_event events[MAXIMUM_CONTROLS + 2];
    uint32_t count = 0;
    pthread_mutex_lock(&camera->lock);
    uint64_t held[MAXIMUM_CONTROLS / 64 + 1] = {0};
    uint32_t before = camera->control_count;
    for (uint32_t index = 0; index < before; index++) held[index / 64] |= (uint64_t)camera->controls[index].is_automatic << index % 64;
    camera->controls_asked = 0;
    if (know(camera) == 0 && camera->control_count == before) {
        for (uint32_t index = 0; index < before; index++) {
            const struct control *control = &camera->controls[index];
            if (control->id == switched->id || (held[index / 64] >> index % 64 & 1) == control->is_automatic) continue;
            events[count++] = event_of(control, 0, V4L2_EVENT_CTRL_CH_FLAGS);
        }
    }
    pthread_mutex_unlock(&camera->lock);
    for (uint32_t index = 0; index < count; index++) {
        struct v4l2_event event = {.id = events[index].id};
        if (controls_describe_event(camera, &event)) continue;
        event.u.ctrl.changes = V4L2_EVENT_CTRL_CH_FLAGS;
        events_control_changed(camera, NULL, &event);
    }
}

int controls_set(struct file *file, uint32_t id, int32_t *value) {
    struct control control = {0};
    int result = id & ~V4L2_CTRL_ID_MASK ? -EINVAL : look_up(file->camera, id, &control);
    int64_t wanted = *value, now = 0;
    bool is_automatic;
    if (!result) result = control.is_writable ? 0 : -EACCES;
    if (!result) result = fit(&control, &wanted);
    if (result) return result;
    result = call(file->camera, &control, &wanted, &now, &is_automatic);
    if (result) {
        // While an automatic control drives this one there is nothing to set: programs expect that
        // to be no error.
        int64_t kept;
        if (call(file->camera, &control, NULL, &kept, &is_automatic) || !is_automatic) return result;
        *value = (int32_t)wanted;
        return 0;
    }
    *value = (int32_t)now;
    struct v4l2_event event = event_of(&control, now, V4L2_EVENT_CTRL_CH_VALUE);
    events_control_changed(file->camera, file, &event);
    if (control.type != V4L2_CTRL_TYPE_INTEGER) tell_dependents(file, &control);
    return 0;
}

int controls_several(struct file *file, struct v4l2_ext_controls *controls, enum controls_verb verb) {
    uint32_t which = controls->which;
    bool is_default = which == V4L2_CTRL_WHICH_DEF_VAL;
    controls->error_idx = controls->count;
    if (which == V4L2_CTRL_WHICH_REQUEST_VAL || controls->count > V4L2_CID_MAX_CTRLS) return -EINVAL;
    if (is_default && verb != CONTROLS_GET) return -EINVAL;
    struct control control = {0};
    if (!controls->count) {
        if (!which || is_default) return 0;
        return look_up(file->camera, which | V4L2_CTRL_FLAG_NEXT_CTRL, &control) || V4L2_CTRL_ID2WHICH(control.id) != which ? -EINVAL : 0;
    }
    if (!controls->controls) return -EFAULT;
    // First what can be known without the camera, so that nothing is set where something can't be.
    for (uint32_t index = 0; index < controls->count; index++) {
        struct v4l2_ext_control *one = &controls->controls[index];
        int result = one->id & ~V4L2_CTRL_ID_MASK ? -EINVAL : look_up(file->camera, one->id, &control);
        if (!result && which && !is_default && V4L2_CTRL_ID2WHICH(one->id) != which) result = -EINVAL;
        if (!result && verb == CONTROLS_GET && !is_default && !control.is_readable) result = -EACCES;
        int64_t value = one->value;
        if (!result && verb != CONTROLS_GET) result = control.is_writable ? 0 : -EACCES;
        if (!result && verb != CONTROLS_GET) result = fit(&control, &value);
        if (result) {
            if (verb == CONTROLS_TRY) controls->error_idx = index;
            return result;
        }
        if (verb == CONTROLS_TRY) one->value = (int32_t)value;
        if (is_default) one->value = (int32_t)control.standard;
    }
    for (uint32_t index = 0; index < controls->count && verb != CONTROLS_TRY && !is_default; index++) {
        struct v4l2_ext_control *one = &controls->controls[index];
        int32_t value = one->value;
        int result = verb == CONTROLS_GET ? controls_get(file, one->id, &value) : controls_set(file, one->id, &value);
        one->value = value;
        if (result) {
            controls->error_idx = index;
            return result;
        }
    }
    return 0;
}
