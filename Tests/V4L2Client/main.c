// A program that knows V4L2 and nothing else, for tests: says what it finds, one fact a line.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 4, TYPE = V4L2_BUF_TYPE_VIDEO_CAPTURE };

static void *mapped[BUFFERS];
static size_t lengths[BUFFERS];

/// A call that has to succeed.
static int must(const char *what, int result) {
    if (result >= 0) return result;
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_camera(const char *path) { return must("open", open(path, O_RDWR | O_CLOEXEC)); }

/// `mjpeg`, `yuyv`, or what the camera would give.
static void set_form(int camera, const char *form, unsigned width, unsigned height) {
    struct v4l2_format format = {.type = TYPE};
    format.fmt.pix.width = width;
    format.fmt.pix.height = height;
    format.fmt.pix.pixelformat = strcmp(form, "yuyv") ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_YUYV;
    must("S_FMT", ioctl(camera, VIDIOC_S_FMT, &format));
}

static void queue(int camera, unsigned index) {
    struct v4l2_buffer buffer = {.type = TYPE, .memory = V4L2_MEMORY_MMAP, .index = index};
    must("QBUF", ioctl(camera, VIDIOC_QBUF, &buffer));
}

static void prepare(int camera) {
    struct v4l2_requestbuffers request = {.count = BUFFERS, .type = TYPE, .memory = V4L2_MEMORY_MMAP};
    must("REQBUFS", ioctl(camera, VIDIOC_REQBUFS, &request));
    for (unsigned index = 0; index < BUFFERS; index++) {
        struct v4l2_buffer buffer = {.type = TYPE, .memory = V4L2_MEMORY_MMAP, .index = index};
        must("QUERYBUF", ioctl(camera, VIDIOC_QUERYBUF, &buffer));
        lengths[index] = buffer.length;
        mapped[index] = mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, camera, buffer.m.offset);
        must("mmap", mapped[index] == MAP_FAILED ? -1 : 0);
        queue(camera, index);
    }
}

static void start(int camera) {
    int type = TYPE;
    must("STREAMON", ioctl(camera, VIDIOC_STREAMON, &type));
}

static void stop(int camera) {
    int type = TYPE;
    must("STREAMOFF", ioctl(camera, VIDIOC_STREAMOFF, &type));
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static int ascending(const void *left, const void *right) {
    int64_t one = *(const int64_t *)left, other = *(const int64_t *)right;
    return one < other ? -1 : one > other;
}

/// A JPEG from its first marker to its last: nothing else counts as a whole picture.
static bool is_jpeg(const unsigned char *bytes, unsigned used) {
    while (used > 4 && bytes[used - 1] == 0) used--;
    return used > 4 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[used - 2] == 0xff && bytes[used - 1] == 0xd9;
}

/// Waits in the way that `how` says until a picture is there.
static void wait_for_picture(int camera, const char *how) {
    if (!strcmp(how, "poll")) {
        struct pollfd entry = {.fd = camera, .events = POLLIN};
        if (poll(&entry, 1, 20000) != 1 || !(entry.revents & POLLIN)) printf("poll says nothing\n");
    } else if (!strcmp(how, "select")) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(camera, &set);
        struct timeval limit = {.tv_sec = 20};
        if (select(camera + 1, &set, NULL, NULL, &limit) != 1) printf("select says nothing\n");
    } else if (!strcmp(how, "epoll")) {
        int many = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN};
        epoll_ctl(many, EPOLL_CTL_ADD, camera, &event);
        if (epoll_wait(many, &event, 1, 20000) != 1) printf("epoll says nothing\n");
        close(many);
    } else if (!strcmp(how, "edge")) {
        // Set up once, and asked again though pictures are left: each new one has to be told.
        static int many = -1;
        struct epoll_event event = {.events = EPOLLIN | EPOLLET};
        if (many < 0) {
            many = epoll_create1(EPOLL_CLOEXEC);
            epoll_ctl(many, EPOLL_CTL_ADD, camera, &event);
            usleep(100000);
        }
        if (epoll_wait(many, &event, 1, 20000) != 1) printf("epoll says nothing\n");
    }
}

/// Takes pictures and says how many, how many numbers are missing, how many pictures are not whole,
/// and how old they are.
static void take(int camera, unsigned count, const char *how) {
    unsigned gaps = 0, spoiled = 0, taken = 0, next = 0;
    int64_t *ages = calloc(count + 1, sizeof *ages);
    for (; taken < count; taken++) {
        wait_for_picture(camera, how);
        struct v4l2_buffer buffer = {.type = TYPE, .memory = V4L2_MEMORY_MMAP};
        if (ioctl(camera, VIDIOC_DQBUF, &buffer) < 0) {
            printf("DQBUF: %s\n", strerror(errno));
            break;
        }
        ages[taken] = now() - ((int64_t)buffer.timestamp.tv_sec * 1000000 + buffer.timestamp.tv_usec);
        if (taken) gaps += buffer.sequence - next;
        next = buffer.sequence + 1;
        bool is_raw = buffer.bytesused == 640 * 480 * 2 || buffer.bytesused == 320 * 240 * 2;
        spoiled += !is_raw && !is_jpeg(mapped[buffer.index], buffer.bytesused);
        // What a program may do with its own buffers.
        memset(mapped[buffer.index], 0, lengths[buffer.index]);
        queue(camera, buffer.index);
        if (taken == 0) {
            printf("streaming\n");
            fflush(stdout);
        }
    }
    qsort(ages, taken, sizeof *ages, ascending);
    printf("pictures %u missing %u spoiled %u\n", taken, gaps, spoiled);
    if (taken) printf("age median %lld us p99 %lld us\n", (long long)ages[taken / 2], (long long)ages[taken * 99 / 100]);
    free(ages);
}

/// `stream PATH COUNT HOW FORM WIDTH HEIGHT`
static void stream(char **words) {
    int camera = open_camera(words[0]);
    set_form(camera, words[3], (unsigned)atoi(words[4]), (unsigned)atoi(words[5]));
    prepare(camera);
    start(camera);
    take(camera, (unsigned)atoi(words[1]), words[2]);
    stop(camera);
    close(camera);
}

/// What a descriptor is, whatever it is called.
static void duplicates(const char *path) {
    int camera = open_camera(path);
    prepare(camera);
    int second = must("dup", dup(camera)), third = must("F_DUPFD", fcntl(second, F_DUPFD, 50));
    int fourth = must("dup2", dup2(third, 60));
    close(camera);
    close(second);
    close(third);
    start(fourth);
    take(fourth, 5, "poll");
    // A number of ours that means something else now.
    int zero = open("/dev/zero", O_RDONLY);
    dup2(zero, fourth);
    char byte = 1;
    printf("replaced %zd %d\n", read(fourth, &byte, 1), byte);
    struct v4l2_capability capability;
    int replaced = ioctl(fourth, VIDIOC_QUERYCAP, &capability);
    printf("no camera %s\n", replaced < 0 && errno == ENOTTY ? "yes" : "no");
}

static void forks(const char *path) {
    int camera = open_camera(path);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        // As a program does that goes into the background.
        prepare(camera);
        start(camera);
        take(camera, 5, "poll");
        stop(camera);
        exit(0);
    }
    waitpid(child, NULL, 0);
    prepare(camera);
    start(camera);
    // A picture is there to be had: the parent's, too.
    struct pollfd entry = {camera, POLLIN, 0};
    poll(&entry, 1, 10000);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        struct v4l2_buffer buffer = {.type = TYPE, .memory = V4L2_MEMORY_MMAP};
        int result = ioctl(camera, VIDIOC_DQBUF, &buffer);
        printf("a parent's buffers: %s\n", result < 0 ? strerror(errno) : "taken");
        struct v4l2_capability capability;
        printf("asks %s\n", ioctl(camera, VIDIOC_QUERYCAP, &capability) == 0 ? "yes" : "no");
        close(camera);
        exit(0);
    }
    waitpid(child, NULL, 0);
    take(camera, 5, "poll");
    stop(camera);
}

/// A child that shares everything closes what it does not need, and the parent keeps it.
static void spawns(const char *path) {
    int camera = open_camera(path);
    prepare(camera);
    start(camera);
    pid_t child = vfork();
    if (child == 0) {
        dup2(2, camera);
        close(camera);
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    take(camera, 5, "poll");
    stop(camera);
}

/// Other sizes, one after the other, as a settings dialog does it.
static void changes(const char *path) {
    for (int turn = 0; turn < 6; turn++) {
        int camera = open_camera(path);
        set_form(camera, turn % 3 == 2 ? "yuyv" : "mjpeg", turn % 2 ? 320 : 640, turn % 2 ? 240 : 480);
        prepare(camera);
        start(camera);
        take(camera, 2, "block");
        stop(camera);
        close(camera);
    }
}

static void reads(const char *path) {
    int camera = open_camera(path);
    set_form(camera, "yuyv", 320, 240);
    static char bytes[320 * 240 * 2];
    for (int picture = 0; picture < 3; picture++) {
        ssize_t first = read(camera, bytes, 1000), rest = read(camera, bytes, sizeof bytes);
        printf("read %zd %zd\n", first, rest);
    }
}

static void *stop_later(void *context) {
    int camera = *(int *)context;
    usleep(100000);
    stop(camera);
    return NULL;
}

/// What is said to calls that can't be.
static void refusals(const char *path) {
    int camera = open_camera(path), type = TYPE;
    struct v4l2_buffer buffer = {.type = TYPE, .memory = V4L2_MEMORY_MMAP, .index = 99};
    printf("QBUF %d\n", ioctl(camera, VIDIOC_QBUF, &buffer) < 0 ? errno : 0);
    printf("STREAMON %d\n", ioctl(camera, VIDIOC_STREAMON, &type) < 0 ? errno : 0);
    struct v4l2_exportbuffer export = {.type = TYPE};
    printf("EXPBUF %d\n", ioctl(camera, VIDIOC_EXPBUF, &export) < 0 ? errno : 0);
    printf("null %d\n", ioctl(camera, VIDIOC_QUERYCAP, NULL) < 0 ? errno : 0);
    prepare(camera);
    printf("beyond %d\n", mmap(NULL, lengths[0] * 2, PROT_READ, MAP_SHARED, camera, 0) == MAP_FAILED ? errno : 0);
    struct v4l2_format format = {.type = TYPE};
    must("G_FMT", ioctl(camera, VIDIOC_G_FMT, &format));
    format.fmt.pix.width = format.fmt.pix.width == 640 ? 320 : 640;
    format.fmt.pix.height = format.fmt.pix.width == 640 ? 480 : 240;
    printf("S_FMT %d\n", ioctl(camera, VIDIOC_S_FMT, &format) < 0 ? errno : 0);
    fcntl(camera, F_SETFL, O_RDWR | O_NONBLOCK);
    start(camera);
    stop(camera);
    printf("stopped %d\n", ioctl(camera, VIDIOC_DQBUF, &buffer) < 0 ? errno : 0);
    fcntl(camera, F_SETFL, O_RDWR);
    // A wait for a picture that no buffer is queued for ends with the stream.
    start(camera);
    pthread_t other;
    pthread_create(&other, NULL, stop_later, &camera);
    buffer = (struct v4l2_buffer){.type = TYPE, .memory = V4L2_MEMORY_MMAP};
    printf("waited %d\n", ioctl(camera, VIDIOC_DQBUF, &buffer) < 0 ? errno : 0);
    pthread_join(other, NULL);
    struct stat status;
    fstat(camera, &status);
    printf("device %d\n", S_ISCHR(status.st_mode));
}

static void events(const char *path) {
    int camera = open_camera(path), other = open_camera(path);
    struct v4l2_event_subscription subscription = {.type = V4L2_EVENT_CTRL, .id = V4L2_CID_BRIGHTNESS};
    must("SUBSCRIBE_EVENT", ioctl(camera, VIDIOC_SUBSCRIBE_EVENT, &subscription));
    struct pollfd entry = {.fd = camera, .events = POLLPRI};
    printf("before %d\n", poll(&entry, 1, 0));
    struct v4l2_control control = {.id = V4L2_CID_BRIGHTNESS, .value = 7};
    must("S_CTRL", ioctl(other, VIDIOC_S_CTRL, &control));
    int ready = poll(&entry, 1, 20000);
    printf("after %d %s\n", ready, entry.revents & POLLPRI ? "urgent" : "not urgent");
    struct v4l2_event event;
    must("DQEVENT", ioctl(camera, VIDIOC_DQEVENT, &event));
    printf("brightness %d\n", event.u.ctrl.value);
    printf("taken %d\n", poll(&entry, 1, 0));
}

int main(int count, char **words) {
    if (count < 3) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(words[1], "stream") && count == 8) stream(words + 2);
    else if (!strcmp(words[1], "dup")) duplicates(words[2]);
    else if (!strcmp(words[1], "fork")) forks(words[2]);
    else if (!strcmp(words[1], "vfork")) spawns(words[2]);
    else if (!strcmp(words[1], "change")) changes(words[2]);
    else if (!strcmp(words[1], "read")) reads(words[2]);
    else if (!strcmp(words[1], "refuse")) refusals(words[2]);
    else if (!strcmp(words[1], "events")) events(words[2]);
    else return 2;
    return 0;
}
