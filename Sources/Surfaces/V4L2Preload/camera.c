// Looks for cameras: see camera.h.
#define _GNU_SOURCE
#include "camera.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "pixel.h"
#include "system.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct camera *known[CAMERA_MAXIMUM];
static bool is_here[CAMERA_MAXIMUM];
static int known_count;
static uint64_t looked;
static const uint64_t look_interval = NANOSECONDS / 2;
enum { MAXIMUM_FORMS = 1024, MAXIMUM_NUMBER = 255 };

void say(const struct camera *camera, const char *format, ...) {
    char line[768];
    int used = snprintf(line, sizeof line, "userdriver: /dev/video%d: ", camera->number);
    va_list values;
    va_start(values, format);
    vsnprintf(line + used, sizeof line - (size_t)used, format, values);
    va_end(values);
    size_t length = strlen(line);
    // What the daemon says is printed on somebody's terminal.
    for (size_t index = 0; index < length; index++) {
        if ((unsigned char)line[index] < 0x20 || line[index] == 0x7f) line[index] = '?';
    }
    if (length > sizeof line - 2) length = sizeof line - 2;
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, length) < 0) return;
}

/// Whether the kernel, or a camera of ours, has that number.
static bool is_taken(int number) {
    for (int index = 0; index < known_count; index++) {
        if (known[index]->number == number) return true;
    }
    char path[32];
    snprintf(path, sizeof path, "/dev/video%d", number);
    return syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

/// Numbers that the command gave away, so that all of a program's processes agree:
/// `0=1209:0001:EMU0001/2=…`.
static int given_number(const char *id) {
    const char *text = getenv("USERDRIVER_V4L2_NODES");
    size_t length = strlen(id);
    while (text && *text) {
        char *rest;
        long number = strtol(text, &rest, 10);
        const char *end = strchrnul(text, '\n');
        if (*rest == '=' && (size_t)(end - rest - 1) == length && !memcmp(rest + 1, id, length) && number >= 0 && number <= MAXIMUM_NUMBER)
            return (int)number;
        text = *end ? end + 1 : end;
    }
    return -1;
}

/// Whether the command was told of one camera, and that is another one.
static bool is_hidden(const char *id) {
    const char *only = getenv("USERDRIVER_V4L2_DEVICE");
    return only && *only && strcmp(only, id) != 0;
}

static struct camera *add(const char *id) {
    if (known_count == CAMERA_MAXIMUM) return NULL;
    struct camera *camera = calloc(1, sizeof *camera);
    if (!camera) return NULL;
    camera->number = given_number(id);
    for (int number = 0; camera->number < 0 && number <= MAXIMUM_NUMBER; number++) {
        // What the command gave to others is theirs, even where they are not here.
        if (!is_taken(number)) camera->number = number;
    }
    snprintf(camera->id, sizeof camera->id, "%s", id);
    pthread_mutex_init(&camera->lock, NULL);
    pthread_mutex_init(&camera->settings_lock, NULL);
    if (camera->number < 0) {
        free(camera);
        return NULL;
    }
    return known[known_count++] = camera;
}

/// Takes a device of Status over.
static void take(const struct json *json, uint32_t device) {
    char id[256], driver[128], state[32];
    json_string(json, json_member(json, device, "id"), id, sizeof id);
    json_string(json, json_member(json, device, "driver"), driver, sizeof driver);
    json_string(json, json_member(json, device, "state"), state, sizeof state);
    if (!*id || !*driver || !strcmp(state, "kernel") || !strcmp(state, "unsupported") || is_hidden(id)) return;
    int index = 0;
    while (index < known_count && strcmp(known[index]->id, id)) index++;
    bool is_absent = !strcmp(state, "absent");
    if (index == known_count) {
        if (is_absent || !add(id)) return;
        struct camera *camera = known[index];
        json_string(json, json_member(json, device, "name"), camera->name, sizeof camera->name);
        json_string(json, json_member(json, device, "vendorId"), camera->vendor, sizeof camera->vendor);
        json_string(json, json_member(json, device, "productId"), camera->product, sizeof camera->product);
    }
    // What has no picture formats is no camera, whatever it calls itself.
    is_here[index] = !is_absent && camera_know_forms(known[index]) == 0 && known[index]->form_count > 0;
}

/// With the lock.
static void look(void) {
    uint64_t now = system_now();
    if (looked && now - looked < look_interval) return;
    int kept = errno;
    struct reply reply;
    if (daemon_call("io.userdriver.Status", "{}", &reply, NULL, 0) == 0) {
        memset(is_here, 0, sizeof is_here);
        uint32_t devices = json_member(&reply.json, reply.parameters, "devices"), device = JSON_NOTHING;
        while ((device = json_element(&reply.json, devices, device)) != JSON_NOTHING) take(&reply.json, device);
        reply_free(&reply);
    }
    looked = system_now();
    errno = kept;
}

int camera_list(struct camera **cameras, int capacity) {
    pthread_mutex_lock(&list_lock);
    look();
    int count = 0;
    for (int index = 0; index < known_count; index++) {
        if (is_here[index] && count < capacity) cameras[count++] = known[index];
    }
    pthread_mutex_unlock(&list_lock);
    return count;
}

struct camera *camera_with_number(int number) {
    struct camera *cameras[CAMERA_MAXIMUM];
    int count = camera_list(cameras, CAMERA_MAXIMUM);
    for (int index = 0; index < count; index++) {
        if (cameras[index]->number == number) return cameras[index];
    }
    return NULL;
}

void cameras_before_fork(void) { pthread_mutex_lock(&list_lock); }
void cameras_still_here(void) { pthread_mutex_unlock(&list_lock); }

void cameras_after_fork(void) {
    pthread_mutex_init(&list_lock, NULL);
    for (int index = 0; index < known_count; index++) {
        pthread_mutex_init(&known[index]->lock, NULL);
        pthread_mutex_init(&known[index]->settings_lock, NULL);
        known[index]->streams = 0;
    }
}

static bool take_form(const struct json *json, uint32_t node, struct camera_form *form) {
    int64_t width, height;
    *form = (struct camera_form){0};
    if (!json_string(json, json_member(json, node, "format"), form->format, sizeof form->format)) return false;
    if (!json_integer(json, json_member(json, node, "width"), &width) || width < 1 || width > 65536) return false;
    if (!json_integer(json, json_member(json, node, "height"), &height) || height < 1 || height > 65536) return false;
    form->fourcc = pixel_fourcc(form->format);
    form->width = (uint32_t)width;
    form->height = (uint32_t)height;
    uint32_t rates = json_member(json, node, "fps"), rate = JSON_NOTHING;
    while (form->rate_count < CAMERA_MAXIMUM_RATES && (rate = json_element(json, rates, rate)) != JSON_NOTHING) {
        double value;
        if (json_number(json, rate, &value) && value >= 0.001 && value <= 100000) form->rates[form->rate_count++] = value;
    }
    return form->fourcc && form->rate_count;
}

int camera_know_forms(struct camera *camera) {
    pthread_mutex_lock(&camera->lock);
    int result = 0;
    char parameters[640] = "{\"device\":";
    size_t used = strlen(parameters);
    if (!camera->forms && json_quote(parameters, sizeof parameters - 2, &used, camera->id)) {
        strcpy(parameters + used, "}");
        struct reply reply;
        result = daemon_call("io.userdriver.camera.Formats", parameters, &reply, NULL, 0);
        struct camera_form *forms = result ? NULL : calloc(MAXIMUM_FORMS, sizeof *forms);
        if (forms) {
            uint32_t list = json_member(&reply.json, reply.parameters, "formats"), node = JSON_NOTHING;
            while (camera->form_count < MAXIMUM_FORMS && (node = json_element(&reply.json, list, node)) != JSON_NOTHING) {
                camera->form_count += take_form(&reply.json, node, &forms[camera->form_count]);
            }
            camera->forms = realloc(forms, (camera->form_count + 1) * sizeof *forms);
            if (!camera->forms) camera->forms = forms;
        }
        if (!result) reply_free(&reply);
    }
    pthread_mutex_unlock(&camera->lock);
    return result;
}

/// What is streamed now, if somebody has it open.
static bool streamed_form(struct camera *camera, struct camera_form *form, double *rate) {
    char parameters[640] = "{\"device\":";
    size_t used = strlen(parameters);
    if (!json_quote(parameters, sizeof parameters - 2, &used, camera->id)) return false;
    strcpy(parameters + used, "}");
    struct reply reply;
    if (daemon_call("io.userdriver.Status", parameters, &reply, NULL, 0)) return false;
    const struct json *json = &reply.json;
    uint32_t device = json_element(json, json_member(json, reply.parameters, "devices"), JSON_NOTHING);
    uint32_t streams = json_member(json, device, "streams"), stream = JSON_NOTHING;
    bool is_found = false;
    while (!is_found && (stream = json_element(json, streams, stream)) != JSON_NOTHING) {
        int64_t width = 0, height = 0, clients = 0;
        char format[16];
        json_string(json, json_member(json, stream, "format"), format, sizeof format);
        json_integer(json, json_member(json, stream, "width"), &width);
        json_integer(json, json_member(json, stream, "height"), &height);
        json_integer(json, json_member(json, stream, "clients"), &clients);
        *rate = 0;
        json_number(json, json_member(json, stream, "fps"), rate);
        for (uint32_t index = 0; clients > 0 && !is_found && index < camera->form_count; index++) {
            *form = camera->forms[index];
            is_found = !strcmp(form->format, format) && form->width == width && form->height == height;
        }
    }
    reply_free(&reply);
    return is_found;
}

bool camera_current_form(struct camera *camera, struct camera_form *form, double *rate) {
    if (!camera->form_count) return false;
    bool is_streamed = streamed_form(camera, form, rate);
    if (!is_streamed) {
        *form = camera->forms[0];
        for (uint32_t index = 0; index < camera->form_count; index++) {
            const struct camera_form *other = &camera->forms[index];
            if (other->fourcc == form->fourcc && other->width == 640 && other->height == 480) *form = *other;
        }
        *rate = 30;
    }
    double nearest = form->rates[0];
    for (uint32_t index = 0; index < form->rate_count; index++) {
        double away = form->rates[index] - *rate, best = nearest - *rate;
        if (away * away < best * best) nearest = form->rates[index];
    }
    *rate = nearest;
    return true;
}
