// What ioctl(2) does on a file of ours.
#pragma once
#include "file.h"

#pragma GCC visibility push(hidden)

/// As ioctl(2), for a file that is held.
int ioctl_perform(struct file *file, int descriptor, unsigned long request, void *argument);

#pragma GCC visibility pop
