// A client that looks at nothing: it watches a camera through the daemon, maps the ring and waits for each frame, as v4l2-ctl does with a node's buffers.
//   ring-watch SOCKET FORMAT WIDTH HEIGHT FRAMES
#define _GNU_SOURCE
#include <linux/futex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) { perror(what), exit(1); }

/// Reads replies until one brings descriptors. How many it brought.
static int receive(int fd, int descriptors[2]) {
    static char text[1 << 16];
    while (1) {
        char control[CMSG_SPACE(2 * sizeof(int))];
        struct iovec part = {text, sizeof text - 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        if (count <= 0) fail("the daemon's answer");
        text[count] = 0;
        if (strstr(text, "\"error\"")) fprintf(stderr, "%s\n", text), exit(1);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (!head || head->cmsg_type != SCM_RIGHTS) continue;
        int got = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(descriptors, CMSG_DATA(head), (size_t)got * sizeof(int));
        return got;
    }
}

int main(int count, char **arguments) {
    if (count != 6) return fprintf(stderr, "ring-watch SOCKET FORMAT WIDTH HEIGHT FRAMES\n"), 2;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), descriptors[2] = {-1, -1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", arguments[1]);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    char call[512];
    int length = snprintf(
        call, sizeof call,
        "{\"method\":\"io.userdriver.Watch\",\"parameters\":{\"reports\":true,\"request\":"
        "{\"format\":\"%s\",\"width\":%s,\"height\":%s}},\"more\":true}",
        arguments[2], arguments[3], arguments[4]);
    if (write(fd, call, (size_t)length + 1) != length + 1) fail("write");
    int brought = receive(fd, descriptors);
    struct stat status;
    if (fstat(descriptors[0], &status) < 0) fail("fstat");
    const uint8_t *ring = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptors[0], 0);
    uint64_t *report = brought > 1 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptors[1], 0) : NULL;
    if (ring == MAP_FAILED || report == MAP_FAILED) fail("mmap");
    uint64_t first = 0, seen = 0, frames = strtoull(arguments[5], NULL, 10);
    struct timespec from = {0, 0}, to;
    while (!first || seen - first < frames) {
        uint32_t news = __atomic_load_n((const uint32_t *)(ring + 16), __ATOMIC_ACQUIRE);
        uint64_t newest = __atomic_load_n((const uint64_t *)(ring + 8), __ATOMIC_ACQUIRE);
        if (newest == seen) {
            syscall(SYS_futex, ring + 16, FUTEX_WAIT, news, NULL, NULL, 0);
            continue;
        }
        if (!first) first = newest, clock_gettime(CLOCK_MONOTONIC, &from);
        seen = newest;
        if (report) __atomic_store_n(report, seen, __ATOMIC_RELEASE);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("%llu frames, %.2f fps%s\n", (unsigned long long)(seen - first), (double)(seen - first) / seconds, report ? "" : ", no report");
    return 0;
}
