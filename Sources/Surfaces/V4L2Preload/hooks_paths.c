// libc's functions for paths and folders, where programs look for cameras. Anything else goes on to
// libc.
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "file.h"
#include "next.h"
#include "paths.h"
#include "system.h"

// Names of older programs.
int __xstat(int version, const char *path, struct stat *status);
int __lxstat(int version, const char *path, struct stat *status);
int __fxstat(int version, int descriptor, struct stat *status);
int __fxstatat(int version, int folder, const char *path, struct stat *status, int flags);
int __xstat64(int version, const char *path, struct stat64 *status);
int __lxstat64(int version, const char *path, struct stat64 *status);
int __fxstat64(int version, int descriptor, struct stat64 *status);
int __fxstatat64(int version, int folder, const char *path, struct stat64 *status, int flags);
char *__realpath_chk(const char *path, char *resolved, size_t room);

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one kind of status");

static bool is_ours(int folder, const char *name, struct path *path) {
    int kept = errno;
    *path = path_of(folder, name);
    errno = kept;
    return path->kind != PATH_OTHERS;
}

/// As fstat for a descriptor of ours.
static bool status_of(int descriptor, struct stat *status) {
    struct file *file = file_get(descriptor);
    if (!file) return false;
    struct path path = {.kind = PATH_NODE, .camera = file->camera};
    path_status(&path, status);
    file_put(file);
    return true;
}

static bool status_at(int folder, const char *name, struct stat *status, int flags) {
    struct path path;
    if (name && !*name && flags & AT_EMPTY_PATH) return status_of(folder, status);
    if (!is_ours(folder, name, &path)) return false;
    path_status(&path, status);
    return true;
}

#define STAT(name, type)                                                                              \
    EXPORT int name(const char *path, struct type *status) {                                          \
        return status_at(AT_FDCWD, path, (struct stat *)status, 0) ? 0 : NEXT(name)(path, status);    \
    }
#define FSTAT(name, type)                                                                             \
    EXPORT int name(int descriptor, struct type *status) {                                            \
        return status_of(descriptor, (struct stat *)status) ? 0 : NEXT(name)(descriptor, status);     \
    }
#define FSTATAT(name, type)                                                                           \
    EXPORT int name(int folder, const char *path, struct type *status, int flags) {                   \
        return status_at(folder, path, (struct stat *)status, flags) ? 0 : NEXT(name)(folder, path, status, flags); \
    }
#define XSTAT(name, type)                                                                             \
    EXPORT int name(int version, const char *path, struct type *status) {                             \
        return status_at(AT_FDCWD, path, (struct stat *)status, 0) ? 0 : NEXT(name)(version, path, status); \
    }
#define FXSTAT(name, type)                                                                            \
    EXPORT int name(int version, int descriptor, struct type *status) {                               \
        return status_of(descriptor, (struct stat *)status) ? 0 : NEXT(name)(version, descriptor, status); \
    }
#define FXSTATAT(name, type)                                                                          \
    EXPORT int name(int version, int folder, const char *path, struct type *status, int flags) {      \
        return status_at(folder, path, (struct stat *)status, flags) ? 0 : NEXT(name)(version, folder, path, status, flags); \
    }
STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)
FSTATAT(fstatat, stat)
FSTATAT(fstatat64, stat64)
XSTAT(__xstat, stat)
XSTAT(__xstat64, stat64)
XSTAT(__lxstat, stat)
XSTAT(__lxstat64, stat64)
FXSTAT(__fxstat, stat)
FXSTAT(__fxstat64, stat64)
FXSTATAT(__fxstatat, stat)
FXSTATAT(__fxstatat64, stat64)

EXPORT int statx(int folder, const char *path, int flags, unsigned mask, struct statx *to) {
    struct stat status;
    if (!status_at(folder, path, &status, flags)) return NEXT(statx)(folder, path, flags, mask, to);
    memset(to, 0, sizeof *to);
    to->stx_mask = STATX_BASIC_STATS;
    to->stx_blksize = (uint32_t)status.st_blksize;
    to->stx_nlink = (uint32_t)status.st_nlink;
    to->stx_uid = status.st_uid;
    to->stx_gid = status.st_gid;
    to->stx_mode = (uint16_t)status.st_mode;
    to->stx_ino = status.st_ino;
    to->stx_size = (uint64_t)status.st_size;
    to->stx_rdev_major = major(status.st_rdev);
    to->stx_rdev_minor = minor(status.st_rdev);
    to->stx_dev_major = major(status.st_dev);
    to->stx_dev_minor = minor(status.st_dev);
    return 0;
}

static int allowed(const struct path *path, int mode) {
    bool is_refused = path->kind == PATH_NODE ? mode & X_OK : mode & W_OK;
    if (is_refused) errno = EACCES;
    return is_refused ? -1 : 0;
}

#define ACCESS(name)                                                                                  \
    EXPORT int name(const char *path, int mode) {                                                     \
        struct path ours;                                                                             \
        return is_ours(AT_FDCWD, path, &ours) ? allowed(&ours, mode) : NEXT(name)(path, mode);        \
    }
ACCESS(access)
ACCESS(eaccess)
ACCESS(euidaccess)

EXPORT int faccessat(int folder, const char *path, int mode, int flags) {
    struct path ours;
    return is_ours(folder, path, &ours) ? allowed(&ours, mode) : NEXT(faccessat)(folder, path, mode, flags);
}

#define GETXATTR(name)                                                                                \
    EXPORT ssize_t name(const char *path, const char *attribute, void *value, size_t size) {          \
        struct path ours;                                                                             \
        if (!is_ours(AT_FDCWD, path, &ours)) return NEXT(name)(path, attribute, value, size);         \
        errno = ENODATA;                                                                              \
        return -1;                                                                                    \
    }
GETXATTR(getxattr)
GETXATTR(lgetxattr)

/// The path itself: nothing of ours is a link.
static char *resolved_path(const char *path, char *resolved) {
    struct path ours;
    if (!path || *path != '/' || !is_ours(AT_FDCWD, path, &ours)) return NULL;
    return resolved ? strcpy(resolved, path) : strdup(path);
}

EXPORT char *realpath(const char *restrict path, char *restrict resolved) {
    char *found = resolved_path(path, resolved);
    return found ? found : NEXT(realpath)(path, resolved);
}

EXPORT char *__realpath_chk(const char *path, char *resolved, size_t room) {
    char *found = resolved_path(path, resolved);
    return found ? found : NEXT(__realpath_chk)(path, resolved, room);
}

EXPORT char *canonicalize_file_name(const char *path) {
    char *found = resolved_path(path, NULL);
    return found ? found : NEXT(canonicalize_file_name)(path);
}

#define FOPEN(name)                                                                                   \
    EXPORT FILE *name(const char *path, const char *mode) {                                           \
        struct path ours;                                                                             \
        if (!is_ours(AT_FDCWD, path, &ours)) return NEXT(name)(path, mode);                           \
        int access = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;                 \
        int flags = access | (strchr(mode, 'e') ? O_CLOEXEC : 0);                                     \
        int descriptor = open(path, flags);                                                           \
        return descriptor < 0 ? NULL : fdopen(descriptor, mode);                                      \
    }
FOPEN(fopen)
FOPEN(fopen64)

// MARK: - Folders

enum { MAXIMUM_FOLDERS = 64 };

/// A folder that is being read, and which of our cameras it has yet to show.
struct folder {
    DIR *stream;
    enum listing listing;
    /// It is not the folder itself, which does not exist.
    bool is_stand_in;
    struct camera *cameras[CAMERA_MAXIMUM];
    int count, next;
    struct dirent64 entry;
};
static struct folder *folders[MAXIMUM_FOLDERS];
static pthread_mutex_t folders_lock = PTHREAD_MUTEX_INITIALIZER;

/// A folder's reading belongs to one thread at a time, as libc says.
static struct folder *folder_of(DIR *stream) {
    struct folder *found = NULL;
    pthread_mutex_lock(&folders_lock);
    for (int index = 0; index < MAXIMUM_FOLDERS && !found; index++) {
        if (folders[index] && folders[index]->stream == stream) found = folders[index];
    }
    pthread_mutex_unlock(&folders_lock);
    return found;
}

static DIR *note(DIR *stream, enum listing listing, bool is_stand_in) {
    int kept = errno;
    struct folder *folder = stream ? calloc(1, sizeof *folder) : NULL;
    if (folder) {
        folder->stream = stream;
        folder->listing = listing;
        folder->is_stand_in = is_stand_in;
        folder->count = camera_list(folder->cameras, CAMERA_MAXIMUM);
        pthread_mutex_lock(&folders_lock);
        int index = 0;
        while (index < MAXIMUM_FOLDERS && folders[index]) index++;
        if (index < MAXIMUM_FOLDERS) folders[index] = folder;
        pthread_mutex_unlock(&folders_lock);
        if (index == MAXIMUM_FOLDERS) free(folder);
    }
    errno = kept;
    return stream;
}

EXPORT DIR *opendir(const char *path) {
    enum listing listing = path_listing(path);
    DIR *stream = NEXT(opendir)(path);
    if (listing == LISTING_OTHERS) return stream;
    if (stream) return note(stream, listing, false);
    struct camera *any;
    int kept = errno;
    // No camera of the kernel's: another folder's stream stands in for the one that there would be.
    if (listing == LISTING_CLASS && camera_list(&any, 1)) return note(NEXT(opendir)("/sys/class"), listing, true);
    errno = kept;
    return NULL;
}

EXPORT DIR *fdopendir(int descriptor) {
    char link[64], path[64];
    DIR *stream = NEXT(fdopendir)(descriptor);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = stream ? syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1) : -1;
    if (length <= 0) return stream;
    path[length] = 0;
    enum listing listing = path_listing(path);
    return listing == LISTING_OTHERS ? stream : note(stream, listing, false);
}

EXPORT int closedir(DIR *stream) {
    pthread_mutex_lock(&folders_lock);
    for (int index = 0; index < MAXIMUM_FOLDERS; index++) {
        if (!folders[index] || folders[index]->stream != stream) continue;
        free(folders[index]);
        folders[index] = NULL;
    }
    pthread_mutex_unlock(&folders_lock);
    return NEXT(closedir)(stream);
}

EXPORT void rewinddir(DIR *stream) {
    struct folder *folder = folder_of(stream);
    if (folder) folder->next = 0;
    NEXT(rewinddir)(stream);
}

/// The next of our cameras, NULL after the last.
static struct dirent64 *next_camera(struct folder *folder) {
    if (folder->next >= folder->count) return NULL;
    const struct camera *camera = folder->cameras[folder->next++];
    folder->entry = (struct dirent64){
        .d_ino = 0x7564000u + (unsigned)camera->number, .d_reclen = sizeof folder->entry,
        .d_type = folder->listing == LISTING_NODES ? DT_CHR : DT_LNK};
    snprintf(folder->entry.d_name, sizeof folder->entry.d_name, "video%d", camera->number);
    return &folder->entry;
}

_Static_assert(sizeof(struct dirent) == sizeof(struct dirent64), "one kind of entry");

#define READDIR(name, type)                                               \
    EXPORT struct type *name(DIR *stream) {                               \
        struct folder *folder = folder_of(stream);                        \
        if (folder) {                                                     \
            struct dirent64 *entry = next_camera(folder);                 \
            if (entry || folder->is_stand_in) return (struct type *)entry; \
        }                                                                 \
        return NEXT(name)(stream);                                        \
    }
READDIR(readdir, dirent)
READDIR(readdir64, dirent64)
