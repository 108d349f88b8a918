// The table of open files, and what their descriptors show: see file.h.
#define _GNU_SOURCE
#include "file.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "buffers.h"
#include "events.h"
#include "stream.h"
#include "system.h"

enum { MAXIMUM_DESCRIPTORS = 1 << 16 };
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *table[MAXIMUM_DESCRIPTORS];
static int files_open;
/// Whose table it is. What vfork makes shares it without being it, and closes descriptors of its
/// own.
static pid_t owner;

static bool is_owner(void) { return owner == (pid_t)syscall(SYS_getpid); }

bool file_is_likely(int descriptor) {
    return descriptor >= 0 && descriptor < MAXIMUM_DESCRIPTORS && __atomic_load_n(&table[descriptor], __ATOMIC_RELAXED) != NULL;
}

static ino_t inode_of(int descriptor) {
    struct stat status;
    return syscall(SYS_fstat, descriptor, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

static void destroy(struct file *file) {
    buffers_release(file);
    pthread_mutex_lock(&file->camera->settings_lock);
    file->camera->priorities[file->priority]--;
    file->camera->opens--;
    pthread_mutex_unlock(&file->camera->settings_lock);
    system_close(file->drain);
    system_close(file->peer);
    pthread_mutex_destroy(&file->lock);
    free(file);
}

void file_put(struct file *file) {
    if (!file) return;
    pthread_mutex_lock(&table_lock);
    bool is_last = --file->references == 0;
    pthread_mutex_unlock(&table_lock);
    if (is_last) destroy(file);
}

struct file *file_get(int descriptor) {
    if (!file_is_likely(descriptor)) return NULL;
    int kept = errno;
    struct file *stale = NULL;
    pthread_mutex_lock(&table_lock);
    struct file *file = table[descriptor];
    if (file && inode_of(descriptor) != file->inode && is_owner()) {
        // It was closed behind our back, and means something else.
        stale = file;
        table[descriptor] = file = NULL;
    }
    if (file) file->references++;
    pthread_mutex_unlock(&table_lock);
    file_put(stale);
    errno = kept;
    return file;
}

void file_add(struct file *file, int descriptor) {
    if (descriptor < 0 || descriptor >= MAXIMUM_DESCRIPTORS || !is_owner()) return;
    pthread_mutex_lock(&table_lock);
    struct file *replaced = table[descriptor];
    table[descriptor] = file;
    file->references++;
    pthread_mutex_unlock(&table_lock);
    file_put(replaced);
}

void file_forget(int descriptor) {
    if (!file_is_likely(descriptor) || !is_owner()) return;
    pthread_mutex_lock(&table_lock);
    struct file *file = table[descriptor];
    table[descriptor] = NULL;
    pthread_mutex_unlock(&table_lock);
    file_put(file);
}

void file_forget_range(unsigned first, unsigned last) {
    if (!__atomic_load_n(&files_open, __ATOMIC_RELAXED) || !is_owner()) return;
    for (unsigned descriptor = first; descriptor <= last && descriptor < MAXIMUM_DESCRIPTORS; descriptor++) file_forget((int)descriptor);
}

void file_for_each(struct camera *camera, void (*body)(struct file *file, void *context), void *context) {
    for (int descriptor = 0, open = files_open; open && descriptor < MAXIMUM_DESCRIPTORS; descriptor++) {
        if (!file_is_likely(descriptor)) continue;
        struct file *file = file_get(descriptor);
        if (!file) continue;
        bool is_first = true;
        for (int earlier = 0; earlier < descriptor && is_first; earlier++) is_first = table[earlier] != file;
        if (file->camera == camera && is_first) {
            pthread_mutex_lock(&file->lock);
            body(file, context);
            pthread_mutex_unlock(&file->lock);
        }
        file_put(file);
    }
}

// MARK: - Forks

static void before_fork(void) {
    cameras_before_fork();
    pthread_mutex_lock(&table_lock);
}

static void in_parent(void) {
    pthread_mutex_unlock(&table_lock);
    cameras_still_here();
}

/// A child has its parent's descriptors and none of its threads: each of its files gets a socket
/// pair of its own, and starts anew.
static void in_child(void) {
    owner = (pid_t)syscall(SYS_getpid);
    pthread_mutex_init(&table_lock, NULL);
    cameras_after_fork();
    for (int descriptor = 0; files_open && descriptor < MAXIMUM_DESCRIPTORS; descriptor++) {
        struct file *file = table[descriptor];
        if (!file) continue;
        ino_t parents = file->inode;
        if (inode_of(descriptor) != parents) continue;
        stream_abandon(file);
        pthread_mutex_init(&file->lock, NULL);
        int pair[2], references = 0;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) continue;
        for (int other = descriptor; other < MAXIMUM_DESCRIPTORS; other++) {
            if (table[other] != file) continue;
            int kept = system_fcntl(other, F_GETFD, 0), status = system_fcntl(other, F_GETFL, 0);
            syscall(SYS_dup3, pair[0], other, kept & FD_CLOEXEC ? O_CLOEXEC : 0);
            system_fcntl(other, F_SETFL, status);
            references++;
        }
        file->inode = inode_of(pair[0]);
        system_close(file->drain);
        system_close(file->peer);
        file->drain = pair[0];
        file->peer = pair[1];
        file->references = references;
        file->is_inherited = file->buffer_count > 0;
        // They are the parent's, who goes on writing into them.
        for (uint32_t index = 0; index < file->buffer_count; index++) file->buffers[index].state = BUFFER_IDLE;
        file->read_buffer = -1;
        file->shows_picture = file->shows_event = false;
        file_show(file);
    }
}

static void prepare(void) {
    owner = (pid_t)syscall(SYS_getpid);
    pthread_atfork(before_fork, in_parent, in_child);
}

// MARK: - Opening

int file_open(struct camera *camera, int flags) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    int error = -camera_know_forms(camera);
    struct file *file = error ? NULL : calloc(1, sizeof *file);
    int pair[2];
    if (!file || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        if (!error) error = file ? errno : ENOMEM;
        free(file);
        errno = error;
        return -1;
    }
    if (!(flags & O_CLOEXEC)) system_fcntl(pair[0], F_SETFD, 0);
    if (flags & O_NONBLOCK) system_fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK);
    file->camera = camera;
    file->peer = pair[1];
    file->drain = system_fcntl(pair[0], F_DUPFD_CLOEXEC, 0);
    file->inode = inode_of(pair[0]);
    file->memory = file->read_buffer = -1;
    file->priority = V4L2_PRIORITY_DEFAULT;
    pthread_mutex_init(&file->lock, NULL);
    struct camera_form form;
    double rate;
    if (!camera_current_form(camera, &form, &rate) || pair[0] >= MAXIMUM_DESCRIPTORS) {
        system_close(pair[0]);
        system_close(pair[1]);
        system_close(file->drain);
        free(file);
        errno = pair[0] >= MAXIMUM_DESCRIPTORS ? EMFILE : ENODEV;
        return -1;
    }
    pthread_mutex_lock(&camera->settings_lock);
    camera->priorities[file->priority]++;
    if (camera->opens++ == 0) {
        camera->form = form;
        camera->rate = rate;
    }
    pthread_mutex_unlock(&camera->settings_lock);
    __atomic_store_n(&files_open, 1, __ATOMIC_RELAXED);
    file_add(file, pair[0]);
    return pair[0];
}

// MARK: - What descriptors show

uint32_t file_done_count(const struct file *file) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < file->buffer_count; index++) count += file->buffers[index].state == BUFFER_DONE;
    return count;
}

void file_show(struct file *file) {
    if (file->is_gone) return;
    bool has_picture = file->shows_picture, has_event = file->event_count > 0;
    bool picture = file_done_count(file) > 0 || file->read_buffer >= 0;
    if (picture == has_picture && has_event == file->shows_event) return;
    if ((has_picture && !picture) || (file->shows_event && !has_event)) {
        // What is there is taken out, and put in again where it still holds.
        char bytes[16];
        if (file->shows_event) recv(file->drain, bytes, 1, MSG_DONTWAIT | MSG_OOB);
        while (recv(file->drain, bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
        file->shows_picture = file->shows_event = false;
    }
    if (picture && !file->shows_picture) file->shows_picture = send(file->peer, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
    if (has_event && !file->shows_event) file->shows_event = send(file->peer, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_OOB) == 1;
}

void file_show_another(struct file *file) {
    // What does not fit need not: there is enough to be read.
    if (file->shows_picture && send(file->peer, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) return;
    file_show(file);
}

void file_wake(struct file *file) {
    __atomic_add_fetch(&file->news, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &file->news, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

void file_give_up(struct file *file) {
    if (file->is_gone) return;
    file->is_gone = true;
    // Readable and hung up, for poll and epoll alike.
    system_close(file->peer);
    file->peer = -1;
    file_wake(file);
}

int file_wait(struct file *file, uint32_t seen) {
    // A wait without a limit is taken up again by the kernel after a signal whose handler asks for
    // that.
    long result = syscall(SYS_futex, &file->news, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    return result < 0 && errno == EINTR ? EINTR : 0;
}
