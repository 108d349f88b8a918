// Unix sockets: see sockets.h.
#define _GNU_SOURCE
#include "sockets.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

long clinux_send(int fd, const void *bytes, unsigned long length, const int *descriptors, int count, int flags) {
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int) * CLINUX_MAX_DESCRIPTORS)]; } control;
    struct iovec part = {(void *)bytes, length};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (count > CLINUX_MAX_DESCRIPTORS) return -EINVAL;
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (unsigned)count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * (unsigned)count);
        memcpy(CMSG_DATA(header), descriptors, sizeof(int) * (unsigned)count);
    }
    long r = sendmsg(fd, &message, MSG_NOSIGNAL | flags);
    return r < 0 ? -errno : r;
}

long clinux_receive(int fd, void *bytes, unsigned long capacity, int *descriptors, int *count, int *truncated, int flags) {
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int) * CLINUX_MAX_DESCRIPTORS)]; } control;
    struct iovec part = {bytes, capacity};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    *count = 0;
    *truncated = 0;
    long r = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | flags);
    if (r < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int n = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < n; i++) {
            int received;
            memcpy(&received, CMSG_DATA(header) + sizeof(int) * (unsigned)i, sizeof(int));
            if (*count < CLINUX_MAX_DESCRIPTORS) descriptors[(*count)++] = received;
            else close(received);
        }
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) *truncated = 1;
    return r;
}

long clinux_receive_bytes(int fd, void *bytes, unsigned long capacity, int *truncated, int flags) {
    struct iovec part = {bytes, capacity};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    *truncated = 0;
    // Without room for descriptors a look says whether there are any (MSG_CTRUNC), and leaves them where they are.
    long seen = recvmsg(fd, &message, MSG_PEEK | flags);
    if (seen < 0) return -errno;
    if (message.msg_flags & MSG_CTRUNC) return -EBADMSG;
    if (message.msg_flags & MSG_TRUNC) *truncated = 1;
    // Just the bytes that were seen, behind which there may be others with descriptors by now.
    long r = recv(fd, bytes, (unsigned long)seen, flags);
    return r < 0 ? -errno : r;
}

int clinux_unread(int fd) {
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) < 0 ? -errno : bytes;
}

int clinux_seqpacket_pair(int pair[2]) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
}

int clinux_stream_pair(int pair[2]) {
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
}

int clinux_peer(int fd, int32_t *pid, uint32_t *uid, uint32_t *gid) {
    struct { int32_t pid; uint32_t uid, gid; } credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return -errno;
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
    return 0;
}

int clinux_unix_stream(const char *path, int listening) {
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int r = listening ? bind(fd, (struct sockaddr *)&address, sizeof address) : connect(fd, (struct sockaddr *)&address, sizeof address);
    if (r == 0 && listening) r = listen(fd, 64);
    if (r < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int clinux_set_nonblocking(int fd, int on) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int clinux_duplicate(int fd) {
    int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return r < 0 ? -errno : r;
}
