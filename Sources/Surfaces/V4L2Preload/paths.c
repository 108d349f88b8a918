// Says what a path means: see paths.h.
#define _GNU_SOURCE
#include "paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "system.h"

static const char class_folder[] = "/sys/class/video4linux", number_folder[] = "/sys/dev/char/81:";

enum listing path_listing(const char *path) {
    size_t length = path ? strlen(path) : 0;
    while (length > 1 && path[length - 1] == '/') length--;
    if (length == 4 && !memcmp(path, "/dev", 4)) return LISTING_NODES;
    if (length == sizeof class_folder - 1 && !memcmp(path, class_folder, length)) return LISTING_CLASS;
    return LISTING_OTHERS;
}

/// The number at the end of a word, -1 where it is none; `rest` is what comes after it.
static int number_at(const char *text, const char **rest) {
    int number = 0;
    const char *from = text;
    for (; *from >= '0' && *from <= '9' && from - text < 3; from++) number = number * 10 + (*from - '0');
    *rest = from;
    return from == text || (*text == '0' && from - text > 1) ? -1 : number;
}

/// A file of sysfs, below the camera's folder.
static enum path_kind sysfs(const char *rest, struct path *path) {
    const struct camera *camera = path->camera;
    char *text = path->text;
    size_t size = sizeof path->text;
    if (!*rest || !strcmp(rest, "/") || !strcmp(rest, "/device") || !strcmp(rest, "/device/")) return PATH_FOLDER;
    if (*rest++ != '/') return PATH_OTHERS;
    if (!strcmp(rest, "name")) snprintf(text, size, "%s\n", camera->name);
    else if (!strcmp(rest, "index")) snprintf(text, size, "0\n");
    else if (!strcmp(rest, "dev")) snprintf(text, size, "%d:%d\n", PATH_MAJOR, camera->number);
    else if (!strcmp(rest, "uevent"))
        snprintf(text, size, "MAJOR=%d\nMINOR=%d\nDEVNAME=video%d\n", PATH_MAJOR, camera->number, camera->number);
    // Chromium and others look for a USB camera's ids above its interface.
    else if (!strcmp(rest, "device/../idVendor") || !strcmp(rest, "device/idVendor")) snprintf(text, size, "%s\n", camera->vendor);
    else if (!strcmp(rest, "device/../idProduct") || !strcmp(rest, "device/idProduct")) snprintf(text, size, "%s\n", camera->product);
    else return PATH_OTHERS;
    return PATH_TEXT;
}

static struct path absolute(const char *name) {
    struct path path = {.kind = PATH_OTHERS};
    const char *rest;
    int number = -1;
    bool is_node = !strncmp(name, "/dev/video", 10);
    if (is_node) {
        number = number_at(name + 10, &rest);
        if (*rest) number = -1;
    } else if (!strncmp(name, class_folder, sizeof class_folder - 1)) {
        if (!name[sizeof class_folder - 1] || !strcmp(name + sizeof class_folder - 1, "/")) {
            // The kernel's own folder, where there is one, is as good as ours.
            struct camera *any;
            if (syscall(SYS_faccessat, AT_FDCWD, class_folder, F_OK) && camera_list(&any, 1)) path = (struct path){PATH_FOLDER, any, ""};
            return path;
        }
        if (!strncmp(name + sizeof class_folder - 1, "/video", 6)) number = number_at(name + sizeof class_folder + 5, &rest);
    } else if (!strncmp(name, number_folder, sizeof number_folder - 1)) {
        number = number_at(name + sizeof number_folder - 1, &rest);
    }
    if (number >= 0) path.camera = camera_with_number(number);
    if (path.camera) path.kind = is_node ? PATH_NODE : sysfs(rest, &path);
    return path;
}

struct path path_of(int folder, const char *name) {
    struct path others = {.kind = PATH_OTHERS};
    if (!name) return others;
    if (*name == '/') return strncmp(name, "/dev/video", 10) && strncmp(name, "/sys/", 5) ? others : absolute(name);
    if (strncmp(name, "video", 5)) return others;
    char link[64], whole[512];
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, whole, sizeof whole - 1);
    if (length <= 0) return others;
    whole[length] = 0;
    if (path_listing(whole) == LISTING_OTHERS) return others;
    snprintf(whole + length, sizeof whole - (size_t)length, "/%s", name);
    return absolute(whole);
}

void path_status(const struct path *path, struct stat *status) {
    memset(status, 0, sizeof *status);
    status->st_dev = makedev(0, 5);
    status->st_ino = 0x7564000u + (unsigned)path->camera->number;
    status->st_nlink = 1;
    status->st_uid = getuid();
    status->st_gid = getgid();
    status->st_blksize = 4096;
    switch (path->kind) {
    case PATH_TEXT: status->st_mode = S_IFREG | 0444; status->st_size = 4096; break;
    case PATH_FOLDER: status->st_mode = S_IFDIR | 0755; status->st_nlink = 2; break;
    default:
        status->st_mode = S_IFCHR | 0660;
        status->st_rdev = makedev(PATH_MAJOR, (unsigned)path->camera->number);
    }
}

int path_open_text(const struct path *path, int flags) {
    if (path->kind == PATH_FOLDER || (flags & O_ACCMODE) != O_RDONLY) {
        errno = path->kind == PATH_FOLDER ? EISDIR : EACCES;
        return -1;
    }
    int descriptor = (int)syscall(SYS_memfd_create, "sysfs", flags & O_CLOEXEC ? 1u : 0u);
    size_t length = strlen(path->text);
    bool is_written = descriptor >= 0 && write(descriptor, path->text, length) == (ssize_t)length;
    if (is_written && lseek(descriptor, 0, SEEK_SET) == 0) return descriptor;
    system_close(descriptor);
    errno = ENOMEM;
    return -1;
}
