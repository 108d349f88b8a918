// TCP: see tcp.h.
#define _GNU_SOURCE
#include "tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int resolve(const char *host, uint16_t port, int flags, struct addrinfo **list) {
    struct addrinfo hints;
    char service[8];
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    snprintf(service, sizeof service, "%u", port);
    int r = getaddrinfo(host, service, &hints, list);
    if (r == 0) return 0;
    return r == EAI_SYSTEM ? -errno : -EADDRNOTAVAIL;
}

int clinux_tcp_resolves(const char *host) {
    struct addrinfo hints, *list = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    int r = getaddrinfo(host, NULL, &hints, &list);
    if (r == 0) freeaddrinfo(list);
    // A name server that can't be reached now says nothing of the name.
    return r == 0 || r == EAI_AGAIN || r == EAI_SYSTEM || r == EAI_MEMORY;
}

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int connect_one(const struct addrinfo *a, int timeout_ms) {
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    int error = connect(fd, a->ai_addr, a->ai_addrlen) < 0 ? errno : 0;
    if (error == EINPROGRESS) {
        int64_t end = now_ms() + timeout_ms;
        for (;;) {
            struct pollfd p = {fd, POLLOUT, 0};
            int64_t left = end - now_ms();
            int r = poll(&p, 1, left > 0 ? (int)left : 0);
            if (r < 0 && errno == EINTR) continue;
            if (r < 0) error = errno;
            else if (r == 0) error = ETIMEDOUT;
            else {
                socklen_t size = sizeof error;
                if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
            }
            break;
        }
    }
    if (error == 0 && fcntl(fd, F_SETFL, 0) < 0) error = errno;
    if (error) {
        close(fd);
        return -error;
    }
    no_delay(fd);
    return fd;
}

int clinux_tcp_connect(const char *host, uint16_t port, int timeout_ms) {
    struct addrinfo *list = NULL;
    int r = resolve(host, port, 0, &list);
    if (r < 0) return r;
    r = -EADDRNOTAVAIL;
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        r = connect_one(a, timeout_ms);
        if (r >= 0) break;
    }
    freeaddrinfo(list);
    return r;
}

int clinux_tcp_listen(const char *address, uint16_t port, uint16_t *actual_port) {
    struct addrinfo *list = NULL;
    int r = resolve(address, port, AI_PASSIVE | AI_NUMERICHOST, &list);
    if (r < 0) return r;
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        r = -errno;
        freeaddrinfo(list);
        return r;
    }
    int on = 1;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, 32) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
        r = -errno;
    freeaddrinfo(list);
    if (r < 0) {
        close(fd);
        return r;
    }
    *actual_port = ntohs(
        bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port : ((struct sockaddr_in *)&bound)->sin_port);
    return fd;
}

int clinux_tcp_accept(int fd) {
    int r = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (r < 0) return -errno;
    no_delay(r);
    return r;
}

long clinux_send_now(int fd, const void *bytes, unsigned long length) {
    long r;
    do r = send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

long clinux_receive_now(int fd, void *bytes, unsigned long capacity) {
    long r;
    do r = recv(fd, bytes, capacity, MSG_DONTWAIT);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

long clinux_send_now2(int fd, const void *first, unsigned long first_length, const void *second, unsigned long second_length) {
    struct iovec parts[2] = {{(void *)first, first_length}, {(void *)second, second_length}};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = parts;
    message.msg_iovlen = second_length > 0 ? 2 : 1;
    long r;
    do r = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

long clinux_receive_now2(int fd, void *first, unsigned long first_capacity, void *second, unsigned long second_capacity) {
    struct iovec parts[2] = {{first, first_capacity}, {second, second_capacity}};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    long r;
    do r = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

int clinux_poll(struct pollfd *descriptors, unsigned long count, int64_t timeout_ns) {
    struct timespec t = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int r = ppoll(descriptors, count, timeout_ns < 0 ? NULL : &t, NULL);
    return r < 0 ? -errno : r;
}
