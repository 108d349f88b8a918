// usbfs's requests: the broker's side of handing out a device, and the driver's of moving data.
#pragma once
#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef USBDEVFS_DROP_PRIVILEGES
#define USBDEVFS_DROP_PRIVILEGES _IOW('U', 30, uint32_t)
#endif

// Numbers of requests, which are macros of casts that Swift can't read.
static const uint32_t CLINUX_USBFS_CONTROL = USBDEVFS_CONTROL;
static const uint32_t CLINUX_USBFS_BULK = USBDEVFS_BULK;
static const uint32_t CLINUX_USBFS_RESETEP = USBDEVFS_RESETEP;
static const uint32_t CLINUX_USBFS_SETINTERFACE = USBDEVFS_SETINTERFACE;
static const uint32_t CLINUX_USBFS_SUBMITURB = USBDEVFS_SUBMITURB;
static const uint32_t CLINUX_USBFS_DISCARDURB = USBDEVFS_DISCARDURB;
static const uint32_t CLINUX_USBFS_REAPURB = USBDEVFS_REAPURB;
static const uint32_t CLINUX_USBFS_REAPURBNDELAY = USBDEVFS_REAPURBNDELAY;
static const uint32_t CLINUX_USBFS_CLAIMINTERFACE = USBDEVFS_CLAIMINTERFACE;
static const uint32_t CLINUX_USBFS_RELEASEINTERFACE = USBDEVFS_RELEASEINTERFACE;
static const uint32_t CLINUX_USBFS_CONNECTINFO = USBDEVFS_CONNECTINFO;
static const uint32_t CLINUX_USBFS_RESET = USBDEVFS_RESET;
static const uint32_t CLINUX_USBFS_CLEAR_HALT = USBDEVFS_CLEAR_HALT;
static const uint32_t CLINUX_USBFS_GET_CAPABILITIES = USBDEVFS_GET_CAPABILITIES;
static const uint32_t CLINUX_USBFS_GET_SPEED = USBDEVFS_GET_SPEED;

/// From now on only the interfaces in `mask` (bit n: interface n) can be claimed through this open file, and no driver attached or detached.
static inline int clinux_usbfs_drop_privileges(int fd, uint32_t mask) {
    return ioctl(fd, USBDEVFS_DROP_PRIVILEGES, &mask) < 0 ? -errno : 0;
}

/// Detaches the kernel's driver from an interface. -ENODATA where none is bound.
static inline int clinux_usbfs_disconnect(int fd, unsigned interface) {
    struct usbdevfs_ioctl request = {(int)interface, USBDEVFS_DISCONNECT, NULL};
    return ioctl(fd, USBDEVFS_IOCTL, &request) < 0 ? -errno : 0;
}

/// Takes an interface for this open file, and off `driver` in the same moment, so that no other driver gets in between. -EBUSY where another driver has it.
static inline int clinux_usbfs_disconnect_claim(int fd, unsigned interface, const char *driver) {
    struct usbdevfs_disconnect_claim request;
    memset(&request, 0, sizeof request);
    request.interface = interface;
    request.flags = USBDEVFS_DISCONNECT_CLAIM_IF_DRIVER;
    strncpy(request.driver, driver, sizeof request.driver - 1);
    return ioctl(fd, USBDEVFS_DISCONNECT_CLAIM, &request) < 0 ? -errno : 0;
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

/// Sets a configuration (`bConfigurationValue`). -EBUSY while anybody has an interface of the
/// device.
static inline int clinux_usbfs_set_configuration(int fd, unsigned value) {
    return ioctl(fd, USBDEVFS_SETCONFIGURATION, &value) < 0 ? -errno : 0;
}

/// Resets the device's port. -ENODEV where it came back as another one.
static inline int clinux_usbfs_reset(int fd) { return ioctl(fd, USBDEVFS_RESET, NULL) < 0 ? -errno : 0; }

// Transfers. Those on an open file that several incarnations of a driver share lie in memory that all have at the same address.

/// Bytes of a record without packets.
static const uint32_t CLINUX_USBFS_URB_SIZE = sizeof(struct usbdevfs_urb);

/// A status that no transfer ends with: the kernel has not written yet.
#define CLINUX_USBFS_PENDING 0x7fffffff

/// Fills `struct usbdevfs_urb` at `urb`, which is marked pending, and puts it in flight. Isochronous packets' lengths stand behind it already.
static inline int clinux_usbfs_submit(int fd, void *urb, int isochronous, uint8_t endpoint, void *buffer, int length, int packets) {
    struct usbdevfs_urb *u = urb;
    u->type = isochronous ? USBDEVFS_URB_TYPE_ISO : USBDEVFS_URB_TYPE_BULK;
    u->endpoint = endpoint;
    u->flags = isochronous ? USBDEVFS_URB_ISO_ASAP : 0;
    u->buffer = buffer;
    u->buffer_length = length;
    u->actual_length = u->start_frame = u->error_count = 0;
    u->number_of_packets = packets;
    u->signr = 0;
    u->usercontext = NULL;
    return ioctl(fd, USBDEVFS_SUBMITURB, u) < 0 ? -errno : 0;
}

/// Forgets what an earlier use left, so that "has the kernel written?" can be asked of a URB that was perhaps never submitted.
static inline void clinux_usbfs_mark_pending(void *urb) {
    __atomic_store_n(&((struct usbdevfs_urb *)urb)->status, CLINUX_USBFS_PENDING, __ATOMIC_RELEASE);
}

/// As the kernel would write it, for tests.
static inline void clinux_usbfs_mark_status(void *urb, int status) { ((struct usbdevfs_urb *)urb)->status = status; }

static inline int clinux_usbfs_urb_status(const void *urb) {
    return __atomic_load_n(&((const struct usbdevfs_urb *)urb)->status, __ATOMIC_ACQUIRE);
}
static inline int clinux_usbfs_urb_actual_length(const void *urb) { return ((const struct usbdevfs_urb *)urb)->actual_length; }

/// Fills `struct usbdevfs_urb` at `urb` for a transfer that is not isochronous (`type`: USBDEVFS_URB_TYPE_*), marks it pending and puts it in flight.
static inline int clinux_usbfs_submit_single(int fd, void *urb, uint8_t type, uint8_t endpoint, void *buffer, int length) {
    struct usbdevfs_urb *u = urb;
    memset(u, 0, sizeof *u);
    u->type = type;
    u->endpoint = endpoint;
    u->status = CLINUX_USBFS_PENDING;
    u->buffer = buffer;
    u->buffer_length = length;
    return ioctl(fd, USBDEVFS_SUBMITURB, u) < 0 ? -errno : 0;
}

/// Takes back one transfer that has ended; its URB's address goes into `urb`. -EAGAIN where none has.
static inline int clinux_usbfs_reap_now(int fd, void **urb) {
    return ioctl(fd, USBDEVFS_REAPURBNDELAY, urb) < 0 ? -errno : 0;
}

/// Asks for a transfer's end. -EINVAL where it is not in flight.
static inline int clinux_usbfs_discard(int fd, void *urb) { return ioctl(fd, USBDEVFS_DISCARDURB, urb) < 0 ? -errno : 0; }

static inline int clinux_usbfs_claim(int fd, unsigned interface) {
    return ioctl(fd, USBDEVFS_CLAIMINTERFACE, &interface) < 0 ? -errno : 0;
}

static inline int clinux_usbfs_release(int fd, unsigned interface) {
    return ioctl(fd, USBDEVFS_RELEASEINTERFACE, &interface) < 0 ? -errno : 0;
}

static inline int clinux_usbfs_set_interface(int fd, unsigned interface, unsigned setting) {
    struct usbdevfs_setinterface request = {interface, setting};
    return ioctl(fd, USBDEVFS_SETINTERFACE, &request) < 0 ? -errno : 0;
}

static inline int clinux_usbfs_clear_halt(int fd, unsigned endpoint) {
    return ioctl(fd, USBDEVFS_CLEAR_HALT, &endpoint) < 0 ? -errno : 0;
}

/// A control transfer, waited for. Bytes moved, or -errno.
static inline int clinux_usbfs_control(
    int fd, uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint16_t length, uint32_t timeout_ms, void *data) {
    struct usbdevfs_ctrltransfer transfer = {type, request, value, index, length, timeout_ms, data};
    int r = ioctl(fd, USBDEVFS_CONTROL, &transfer);
    return r < 0 ? -errno : r;
}
