// usbfs requests that libusb does not make: the broker's side of handing out a device.
#pragma once
#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef USBDEVFS_DROP_PRIVILEGES
#define USBDEVFS_DROP_PRIVILEGES _IOW('U', 30, uint32_t)
#endif

/// From now on only the interfaces in `mask` (bit n: interface n) can be claimed through this open file, and no driver attached or detached.
static inline int clinux_usbfs_drop_privileges(int fd, uint32_t mask) {
    return ioctl(fd, USBDEVFS_DROP_PRIVILEGES, &mask) < 0 ? -errno : 0;
}

/// Detaches the kernel's driver from an interface. -ENODATA where none is bound.
static inline int clinux_usbfs_disconnect(int fd, unsigned interface) {
    struct usbdevfs_ioctl request = {(int)interface, USBDEVFS_DISCONNECT, NULL};
    return ioctl(fd, USBDEVFS_IOCTL, &request) < 0 ? -errno : 0;
}

/// Lets the kernel bind a driver to an interface again.
static inline int clinux_usbfs_connect(int fd, unsigned interface) {
    struct usbdevfs_ioctl request = {(int)interface, USBDEVFS_CONNECT, NULL};
    return ioctl(fd, USBDEVFS_IOCTL, &request) < 0 ? -errno : 0;
}

/// The name of the kernel's driver bound to an interface into `name` (256 bytes). -ENODATA where none is.
static inline int clinux_usbfs_driver(int fd, unsigned interface, char *name) {
    struct usbdevfs_getdriver request;
    memset(&request, 0, sizeof request);
    request.interface = interface;
    if (ioctl(fd, USBDEVFS_GETDRIVER, &request) < 0) return -errno;
    memcpy(name, request.driver, sizeof request.driver);
    name[255] = 0;
    return 0;
}
