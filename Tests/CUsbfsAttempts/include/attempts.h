// What a driver that means harm asks of its usbfs descriptor. Each returns 0 (granted, or more) or -errno.
#pragma once
#include <stdint.h>

int attempt_claim(int fd, unsigned interface);
int attempt_disconnect(int fd, unsigned interface);
int attempt_connect(int fd, unsigned interface);
int attempt_disconnect_claim(int fd, unsigned interface);
int attempt_set_interface(int fd, unsigned interface, unsigned setting);
int attempt_set_configuration(int fd, unsigned value);
int attempt_reset(int fd);
int attempt_clear_halt(int fd, unsigned endpoint);
/// A request without data.
int attempt_request(int fd, uint8_t type, uint8_t request, uint16_t value, uint16_t index);
/// Whether the process has a filter of system calls: 2, 0 for none.
int attempt_has_filter(void);
