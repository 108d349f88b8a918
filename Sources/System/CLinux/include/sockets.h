// Unix sockets that carry descriptors (SCM_RIGHTS) and tell who the peer is (SO_PEERCRED).
#pragma once
#include <stdint.h>

#define CLINUX_MAX_DESCRIPTORS 8

/// Sends `length` bytes and `count` descriptors (at most CLINUX_MAX_DESCRIPTORS). Bytes sent, or -errno. Never raises SIGPIPE.
long clinux_send(int fd, const void *bytes, unsigned long length, const int *descriptors, int count, int flags);

/// Receives bytes and descriptors (closed on exec). `descriptors` has room for CLINUX_MAX_DESCRIPTORS; `*count` says how many came.
/// `*truncated` is set when the message or its descriptors did not fit. Bytes received (0 at the end), or -errno.
long clinux_receive(int fd, void *bytes, unsigned long capacity, int *descriptors, int *count, int *truncated, int flags);

/// Receives bytes and no descriptors: of what comes with some nothing is taken, and -EBADMSG returned. `*truncated` is set when the packet did not fit.
/// Bytes received (0 at the end), or -errno.
long clinux_receive_bytes(int fd, void *bytes, unsigned long capacity, int *truncated, int flags);

/// Bytes of memory of what the other end of a Unix socket has not read yet, or -errno.
int clinux_unread(int fd);

/// A connected pair of SOCK_SEQPACKET sockets, closed on exec.
int clinux_seqpacket_pair(int pair[2]);

/// A connected pair of SOCK_STREAM sockets, closed on exec.
int clinux_stream_pair(int pair[2]);

/// Process, user and group of the peer at the time it connected.
int clinux_peer(int fd, int32_t *pid, uint32_t *uid, uint32_t *gid);

/// Connects or binds a SOCK_STREAM socket at a file's path. The descriptor, or -errno (-ENAMETOOLONG past 107 bytes).
int clinux_unix_stream(const char *path, int listening);

int clinux_set_nonblocking(int fd, int on);

int clinux_duplicate(int fd);
