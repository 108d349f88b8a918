// Whose the other end of a connection on this machine is: see tcp.h. TCP: sock_diag(7), one exact question: no list to walk that others
// can make long.
#define _GNU_SOURCE
#include "tcp.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// An end as sock_diag has it.
static int fill(const struct sockaddr_storage *address, __be16 *port, __be32 bytes[4]) {
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;
        *port = four->sin_port;
        bytes[0] = four->sin_addr.s_addr;
        return 0;
    }
    if (address->ss_family != AF_INET6) return -EAFNOSUPPORT;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    *port = six->sin6_port;
    memcpy(bytes, &six->sin6_addr, 16);
    return 0;
}

static int ask(const struct inet_diag_req_v2 *question, struct inet_diag_msg *answer) {
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } request;
    memset(&request, 0, sizeof request);
    request.head.nlmsg_len = sizeof request;
    request.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.head.nlmsg_flags = NLM_F_REQUEST;
    request.body = *question;
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0) return -errno;
    // The kernel answers within the call that asks.
    struct timeval limit = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    union {
        struct nlmsghdr head;
        char bytes[4096];
    } reply;
    int result = -EPROTO;
    if (send(fd, &request, sizeof request, 0) < 0) {
        result = -errno;
    } else {
        ssize_t count = recv(fd, &reply, sizeof reply, 0);
        if (count < 0) {
            result = -errno;
        } else if (NLMSG_OK(&reply.head, (size_t)count)) {
            if (reply.head.nlmsg_type == NLMSG_ERROR && reply.head.nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr))) {
                int error = ((struct nlmsgerr *)NLMSG_DATA(&reply.head))->error;
                if (error < 0) result = error;
            } else if (reply.head.nlmsg_type == SOCK_DIAG_BY_FAMILY && reply.head.nlmsg_len >= NLMSG_LENGTH(sizeof *answer)) {
                memcpy(answer, NLMSG_DATA(&reply.head), sizeof *answer);
                result = 0;
            }
        }
    }
    close(fd);
    return result;
}

// What the kernel knows of the socket at the other end, where a process of this machine has it.
static int peer(int fd, struct inet_diag_msg *answer) {
    struct sockaddr_storage mine, theirs;
    socklen_t mine_length = sizeof mine, theirs_length = sizeof theirs;
    if (getsockname(fd, (struct sockaddr *)&mine, &mine_length) < 0) return -errno;
    // Where the connection has been reset there is no other end.
    if (getpeername(fd, (struct sockaddr *)&theirs, &theirs_length) < 0) return errno == ENOTCONN ? -ENOENT : -errno;
    if (mine.ss_family != theirs.ss_family) return -EAFNOSUPPORT;
    struct inet_diag_req_v2 question;
    memset(&question, 0, sizeof question);
    question.sdiag_family = theirs.ss_family;
    question.sdiag_protocol = IPPROTO_TCP;
    question.idiag_states = ~0u;
    question.id.idiag_cookie[0] = question.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    // Seen from their end.
    int r = fill(&theirs, &question.id.idiag_sport, question.id.idiag_src);
    if (r == 0) r = fill(&mine, &question.id.idiag_dport, question.id.idiag_dst);
    if (r == 0) r = ask(&question, answer);
    if (r < 0) return r;
    // A listener is found where there is no such connection.
    if (answer->idiag_state == TCP_LISTEN || answer->id.idiag_sport != question.id.idiag_sport ||
        answer->id.idiag_dport != question.id.idiag_dport)
        return -ENOENT;
    // One that its process has closed has no inode, and the kernel calls it root's.
    return answer->idiag_inode == 0 ? -ENOENT : 0;
}

static int is_unix(int fd) {
    int domain = 0;
    socklen_t length = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX;
}

int clinux_peer_user(int fd, uint32_t *user) {
    if (is_unix(fd)) {
        struct ucred peer;
        socklen_t length = sizeof peer;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return -errno;
        *user = peer.uid;
        return 0;
    }
    struct inet_diag_msg answer;
    int r = peer(fd, &answer);
    if (r == 0) *user = answer.idiag_uid;
    return r;
}

long clinux_peer_unread(int fd) {
    struct inet_diag_msg answer;
    int unsent = 0;
    if (ioctl(fd, SIOCOUTQ, &unsent) < 0) return -errno;
    if (is_unix(fd)) {
        // What lay there unread when its process closed it is gone; the kernel says so before it throws it away (unix_release_sock).
        int error = 0;
        socklen_t length = sizeof error;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return -errno;
        return error ? -ENOENT : unsent;
    }
    int r = peer(fd, &answer);
    return r < 0 ? r : (long)unsent + (long)answer.idiag_rqueue;
}
