// TCP for message streams: connect with a time-out, listen, and sends and receives that never block and never raise SIGPIPE.
#pragma once
#include <poll.h>
#include <stdint.h>

/// Whether a host's name or address may be one: 0 where it is known that there is none of that name. Blocks as long as name servers take.
int clinux_tcp_resolves(const char *host);

/// Connects to `host` (name or address) within `timeout_ms` for each of its addresses. TCP_NODELAY and close-on-exec are set.
/// The descriptor (blocking mode), or -errno; -EADDRNOTAVAIL where the name is not known.
int clinux_tcp_connect(const char *host, uint16_t port, int timeout_ms);

/// Listens at a numeric address. The descriptor, with the port in `*actual_port` (chosen by the kernel for port 0), or -errno.
int clinux_tcp_listen(const char *address, uint16_t port, uint16_t *actual_port);

/// Accepts one connection, with TCP_NODELAY and close-on-exec. The descriptor, or -errno (-EAGAIN when there is none).
int clinux_tcp_accept(int fd);

/// Sends what fits at once. Bytes sent, or -errno (-EAGAIN for none).
long clinux_send_now(int fd, const void *bytes, unsigned long length);

/// The same from two places, one after the other.
long clinux_send_now2(int fd, const void *first, unsigned long first_length, const void *second, unsigned long second_length);

/// Receives what is there. Bytes received (0 at the end), or -errno (-EAGAIN for none).
long clinux_receive_now(int fd, void *bytes, unsigned long capacity);

/// The same into two places, one after the other.
long clinux_receive_now2(int fd, void *first, unsigned long first_capacity, void *second, unsigned long second_capacity);

/// ppoll: number of ready descriptors, 0 when `timeout_ns` has passed (negative: never), or -errno.
int clinux_poll(struct pollfd *descriptors, unsigned long count, int64_t timeout_ns);

/// The user who made the other end of a connection, TCP's or a UNIX socket's, whose ends are both on this machine. 0, or -errno: -ENOENT where no process has that
/// end (any more), or it is another machine's.
int clinux_peer_user(int fd, uint32_t *user);

/// Bytes that were sent and that the process at the other end, on this machine too, has not read yet; or -errno: -ENOENT where no process
/// has that end (any more).
long clinux_peer_unread(int fd);
