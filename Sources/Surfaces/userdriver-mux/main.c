// userdriver-mux: frames on standard input become a film in the file that is descriptor 3. Started
// by `userdriver record`.
//
// Standard output says what would play if everything ended now, a line each time: "saved FRAMES
// BYTES"; and at the end "done FRAMES BYTES", or "failed ERRNO FRAMES BYTES WORDS". The end of
// standard input ends the film properly, also when whoever sent the frames was killed.
#define _GNU_SOURCE
#include "mux.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILE_DESCRIPTOR = 3 };
/// What may be lost when this process is killed.
static const int64_t longest_behind = 1000000000;
static const int64_t most_behind = 16 << 20;

static struct sink sink;
static struct container *container;
static int64_t flushed_at;
static int64_t bytes_behind;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static void say(const char *word, int error, const char *words) {
    char line[768];
    unsigned long long frames = container ? container_saved(container) : 0;
    long long bytes = error ? sink.kept : sink.end;
    int length = error ? snprintf(line, sizeof line, "%s %d %llu %lld %s\n", word, error, frames, bytes, words)
                       : snprintf(line, sizeof line, "%s %llu %lld\n", word, frames, bytes);
    // Nobody may be left to hear it: the film is finished all the same.
    if (write(STDOUT_FILENO, line, (size_t)length) < 0) return;
}

static int flush(void) {
    flushed_at = now();
    bytes_behind = 0;
    int error = container_flush(container);
    if (error == 0) say("saved", 0, "");
    return error;
}

/// Reads all of it; meanwhile what was taken is flushed when it is time. 1, 0 at the end of the
/// input, or -errno.
static int take(void *bytes, size_t length) {
    size_t have = 0;
    while (have < length) {
        int timeout = -1;
        if (container && container_is_behind(container)) {
            int64_t left = flushed_at + longest_behind - now();
            if (left <= 0) {
                int error = flush();
                if (error != 0) return -error;
                continue;
            }
            timeout = (int)(left / 1000000) + 1;
        }
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        int ready = poll(&input, 1, timeout);
        if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
        if (ready < 0) return -errno;
        ssize_t count = read(STDIN_FILENO, (char *)bytes + have, length - have);
        if (count == 0) return 0;
        if (count < 0 && errno != EINTR && errno != EAGAIN) return -errno;
        if (count > 0) have += (size_t)count;
    }
    return 1;
}

/// 1, 0 at the end of the input, or -errno.
static int take_header(struct frame_header *header) {
    int result = take(header, sizeof *header);
    header->length = le32toh(header->length);
    header->flags = le32toh(header->flags);
    header->time = (int64_t)le64toh((uint64_t)header->time);
    if (result == 1 && header->length > LARGEST_FRAME) return -EMSGSIZE;
    return result;
}

/// Frames until they end. 0 or errno.
static int record(struct film *film) {
    uint8_t *bytes = NULL;
    size_t room = 0;
    int error = 0;
    while (error == 0) {
        struct frame_header header;
        int result = take_header(&header);
        if (result <= 0 || header.length == 0) {
            error = -result * (result < 0);
            break;
        }
        if (header.length > room) {
            free(bytes);
            bytes = malloc(header.length);
            room = bytes ? header.length : 0;
            if (bytes == NULL) return ENOMEM;
        }
        result = take(bytes, header.length);
        if (result <= 0) {
            error = -result;
            break;
        }
        if (header.flags & FRAME_IS_PARAMETERS) {
            if (container || film->parameters) continue;
            film->parameters = bytes;
            film->parameters_length = header.length;
            bytes = NULL;
            room = 0;
            continue;
        }
        if (container == NULL) {
            container = container_open(film, &sink);
            if (container == NULL) return sink.failed ? sink.failed : EINVAL;
            flushed_at = now();
        }
        error = container_write(container, bytes, header.length, header.time, header.flags & FRAME_IS_KEY);
        bytes_behind += header.length;
        if (error == 0 && (bytes_behind >= most_behind || now() - flushed_at >= longest_behind)) error = flush();
    }
    free(bytes);
    return error;
}

static int number(const char *text, int largest) {
    char *end;
    long value = strtol(text, &end, 10);
    return *text && !*end && value >= 0 && value <= largest ? (int)value : -1;
}

static int usage(void) {
    fputs("usage: userdriver-mux mkv|mp4|avi FORMAT WIDTH HEIGHT RATE-NUMERATOR RATE-DENOMINATOR BEGAN  3<>FILE\n"
          "It is started by `userdriver record`.\n", stderr);
    return 2;
}

int main(int count, char **arguments) {
    if (count != 8) return usage();
    struct film film = {
        .container = arguments[1], .format = arguments[2], .width = number(arguments[3], 65536), .height = number(arguments[4], 65536),
        .rate_numerator = number(arguments[5], 100000000), .rate_denominator = number(arguments[6], 100000000),
        .began = strtoll(arguments[7], NULL, 10),
    };
    bool is_known = strcmp(film.container, "mkv") == 0 || strcmp(film.container, "mp4") == 0 || strcmp(film.container, "avi") == 0;
    if (!is_known || film.width < 1 || film.height < 1 || film.rate_numerator < 0 || film.rate_denominator < 1) return usage();
    // Writes fail with words instead; and who sends the frames says when it is over.
    for (int signals[] = {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP}, i = 0; i < 5; i++) signal(signals[i], SIG_IGN);
    sink_open(&sink, FILE_DESCRIPTOR);
    // As much as the system lets a user have: a frame or two. Where it is no pipe, or there is no
    // more, it is as it is.
    fcntl(STDIN_FILENO, F_SETPIPE_SZ, 1 << 20);
    int error = confine();
    if (error != 0) {
        say("failed", error, "the sandbox can't be set up");
        return 1;
    }
    error = record(&film);
    bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    // Where the next frame had no room, all that came before it has, with its index. Where a write
    // failed, the film ends with the last flush.
    bool is_finished = container && (error == 0 || (is_full && sink.failed == 0)) && container_finish(container) == 0;
    int closing = sink_close(&sink, !is_finished);
    if (is_finished) sink.kept = sink.end;
    if (error == 0 && sink.failed) error = sink.failed;
    if (error == 0) error = closing;
    if (error == 0) say("done", 0, "");
    else say("failed", error, container_error());
    return error == 0 ? 0 : 1;
}
