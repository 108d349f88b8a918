// usbfs requests, as they are (linux/usbdevice_fs.h).
#include "attempts.h"

#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

static int result(int value) { return value < 0 ? -errno : value; }

int attempt_claim(int fd, unsigned interface) { return result(ioctl(fd, USBDEVFS_CLAIMINTERFACE, &interface)); }

int attempt_disconnect(int fd, unsigned interface) {
    struct usbdevfs_ioctl request = {(int)interface, USBDEVFS_DISCONNECT, NULL};
    return result(ioctl(fd, USBDEVFS_IOCTL, &request));
}

int attempt_connect(int fd, unsigned interface) {
    struct usbdevfs_ioctl request = {(int)interface, USBDEVFS_CONNECT, NULL};
    return result(ioctl(fd, USBDEVFS_IOCTL, &request));
}

int attempt_disconnect_claim(int fd, unsigned interface) {
    struct usbdevfs_disconnect_claim request;
    memset(&request, 0, sizeof request);
    request.interface = interface;
    return result(ioctl(fd, USBDEVFS_DISCONNECT_CLAIM, &request));
}

int attempt_set_interface(int fd, unsigned interface, unsigned setting) {
    struct usbdevfs_setinterface request = {interface, setting};
    return result(ioctl(fd, USBDEVFS_SETINTERFACE, &request));
}

int attempt_set_configuration(int fd, unsigned value) { return result(ioctl(fd, USBDEVFS_SETCONFIGURATION, &value)); }

int attempt_reset(int fd) { return result(ioctl(fd, USBDEVFS_RESET, NULL)); }

int attempt_clear_halt(int fd, unsigned endpoint) { return result(ioctl(fd, USBDEVFS_CLEAR_HALT, &endpoint)); }

int attempt_request(int fd, uint8_t type, uint8_t request, uint16_t value, uint16_t index) {
    struct usbdevfs_ctrltransfer transfer = {type, request, value, index, 0, 1000, NULL};
    return result(ioctl(fd, USBDEVFS_CONTROL, &transfer));
}

int attempt_has_filter(void) { return result(prctl(PR_GET_SECCOMP, 0, 0, 0, 0)); }
