// Paths under /dev and /sys that are answered for our cameras.
#pragma once
#include <sys/stat.h>

#include "camera.h"

#pragma GCC visibility push(hidden)

enum path_kind { PATH_OTHERS, PATH_NODE, PATH_TEXT, PATH_FOLDER };

struct path {
    enum path_kind kind;
    struct camera *camera;
    /// What a text says.
    char text[256];
};

/// What a path is, as openat(2) takes it. PATH_OTHERS for all that the kernel answers itself.
struct path path_of(int folder, const char *name);
void path_status(const struct path *path, struct stat *status);
/// A descriptor from which a text can be read, or -1 with errno.
int path_open_text(const struct path *path, int flags);

enum listing { LISTING_OTHERS, LISTING_NODES, LISTING_CLASS };
/// Folders that have our cameras in them.
enum listing path_listing(const char *path);

enum { PATH_MAJOR = 81 };

#pragma GCC visibility pop
