// Speaks to the daemon: see daemon.h.
#define _GNU_SOURCE
#include "daemon.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "system.h"

enum { MAXIMUM_MESSAGE = 1 << 20, CHUNK = 16 << 10 };
static const uint64_t call_limit = 15 * NANOSECONDS;

const char *daemon_folder(void) {
    const char *folder = getenv("USERDRIVER_RUNTIME_DIR");
    return folder && *folder ? folder : NULL;
}

int connection_open(struct connection *connection) {
    *connection = (struct connection){.socket = -1};
    const char *folder = daemon_folder();
    if (!folder) return -ENOENT;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/io.userdriver", folder);
    if (length < 0 || (size_t)length >= sizeof address.sun_path) return -ENAMETOOLONG;
    connection->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->socket < 0) return -errno;
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) == 0) return 0;
    int error = errno;
    connection_close(connection);
    return -error;
}

void connection_close(struct connection *connection) {
    for (int index = 0; index < connection->descriptor_count; index++) system_close(connection->descriptors[index]);
    system_close(connection->socket);
    free(connection->bytes);
    *connection = (struct connection){.socket = -1};
}

int connection_send(struct connection *connection, const char *method, const char *parameters, bool more) {
    char *text;
    int length = asprintf(
        &text, "{\"method\":\"%s\",\"parameters\":%s%s}", method, parameters, more ? ",\"more\":true" : "");
    if (length < 0) return -ENOMEM;
    size_t sent = 0, size = (size_t)length + 1;
    int error = 0;
    while (sent < size) {
        ssize_t written = send(connection->socket, text + sent, size - sent, MSG_NOSIGNAL);
        if (written > 0) {
            sent += (size_t)written;
        } else if (errno != EINTR) {
            error = -errno;
            break;
        }
    }
    free(text);
    return error;
}

/// The place at which the last message begins that has a byte among the new ones.
static size_t last_begin(const struct connection *connection, size_t from) {
    for (size_t place = connection->used - 1; place > 0; place--) {
        // Before the new bytes there is no end of a message: whole ones are taken first.
        if (connection->bytes[place - 1] == 0) return place;
        if (place <= from) break;
    }
    return 0;
}

/// More bytes: their number, 0 at the end, or an error, negative.
static int fill(struct connection *connection) {
    if (connection->capacity - connection->used < CHUNK) {
        size_t capacity = connection->used + 2 * CHUNK;
        char *bytes = connection->used <= MAXIMUM_MESSAGE ? realloc(connection->bytes, capacity) : NULL;
        if (!bytes) return -EMSGSIZE;
        connection->bytes = bytes;
        connection->capacity = capacity;
    }
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * DAEMON_MAXIMUM_DESCRIPTORS)];
    } control;
    struct iovec part = {connection->bytes + connection->used, CHUNK};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t count = recvmsg(connection->socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count < 0) return -errno;
    size_t from = connection->used;
    connection->used += (size_t)count;
    bool is_cut = message.msg_flags & MSG_CTRUNC;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t descriptors = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < descriptors; index++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof descriptor);
            if (count > 0 && connection->descriptor_count < DAEMON_MAXIMUM_DESCRIPTORS) {
                connection->places[connection->descriptor_count] = last_begin(connection, from);
                connection->descriptors[connection->descriptor_count++] = descriptor;
            } else {
                system_close(descriptor);
                is_cut = true;
            }
        }
    }
    return is_cut ? -EMSGSIZE : (int)count;
}

/// What the daemon's errors are to a program that knows V4L2.
static int number_of(const char *name) {
    static const struct { const char *name; int number; } errors[] = {
        {"NoSuchDevice", ENODEV}, {"AmbiguousDevice", ENODEV}, {"DeviceUnavailable", ENODEV}, {"NotPermitted", EACCES},
        {"NotSupported", EINVAL}, {"InvalidParameter", EINVAL}, {"Busy", EBUSY}, {"DriverRestarted", EAGAIN}, {"LimitReached", ENOMEM},
    };
    const char *dot = strrchr(name, '.');
    for (size_t index = 0; dot && index < sizeof errors / sizeof *errors; index++) {
        if (!strcmp(dot + 1, errors[index].name)) return errors[index].number;
    }
    return EIO;
}

/// Takes the message that ends at `length`; what comes after it moves up.
static int take(struct connection *connection, size_t length, struct reply *reply) {
    *reply = (struct reply){.text = malloc(length + 1), .descriptor = -1, .second = -1};
    if (reply->text) memcpy(reply->text, connection->bytes, length + 1);
    connection->used -= length + 1;
    memmove(connection->bytes, connection->bytes + length + 1, connection->used);
    int kept = 0;
    for (int index = 0; index < connection->descriptor_count; index++) {
        int descriptor = connection->descriptors[index];
        if (connection->places[index] > length) {
            connection->places[kept] = connection->places[index] - length - 1;
            connection->descriptors[kept++] = descriptor;
        } else if (reply->descriptor < 0) {
            reply->descriptor = descriptor;
        } else if (reply->second < 0) {
            reply->second = descriptor;
        } else {
            system_close(descriptor);
        }
    }
    connection->descriptor_count = kept;
    if (!reply->text || !json_parse(&reply->json, reply->text, length)) {
        reply_free(reply);
        return -EPROTO;
    }
    reply->parameters = json_member(&reply->json, 0, "parameters");
    reply->continues = json_true(&reply->json, json_member(&reply->json, 0, "continues"));
    char error[128];
    if (json_string(&reply->json, json_member(&reply->json, 0, "error"), error, sizeof error)) {
        reply->error = number_of(error);
        json_string(&reply->json, json_member(&reply->json, reply->parameters, "message"), reply->message, sizeof reply->message);
    }
    return 0;
}

int connection_receive(struct connection *connection, struct reply *reply, uint64_t deadline, int stop) {
    while (true) {
        char *end = connection->used ? memchr(connection->bytes, 0, connection->used) : NULL;
        if (end) return take(connection, (size_t)(end - connection->bytes), reply);
        int count = fill(connection);
        if (count > 0) continue;
        if (count == 0) return -ECONNRESET;
        if (count == -EINTR) continue;
        if (count != -EAGAIN) return count;
        struct pollfd entries[] = {{.fd = connection->socket, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
        int limit = -1;
        if (deadline) {
            uint64_t now = system_now();
            if (now >= deadline) return -ETIMEDOUT;
            uint64_t left = (deadline - now) / 1000000 + 1;
            limit = left > 1000000 ? 1000000 : (int)left;
        }
        if (poll(entries, 2, limit) < 0 && errno != EINTR) return -errno;
        if (entries[1].revents) return -ECANCELED;
    }
}

void reply_free(struct reply *reply) {
    json_free(&reply->json);
    free(reply->text);
    reply->text = NULL;
    system_close(reply->descriptor);
    system_close(reply->second);
    reply->descriptor = reply->second = -1;
}

int daemon_call(const char *method, const char *parameters, struct reply *reply, char *words, size_t capacity) {
    if (capacity) *words = 0;
    struct connection connection;
    uint64_t deadline = system_now() + call_limit;
    int result;
    // Calls that a driver's death cut off are made again: all of those that are made here may be.
    do {
        result = connection_open(&connection);
        if (!result) result = connection_send(&connection, method, parameters, false);
        if (!result) result = connection_receive(&connection, reply, deadline, -1);
        connection_close(&connection);
        if (!result && reply->error) {
            result = -reply->error;
            if (capacity) snprintf(words, capacity, "%s", reply->message);
            reply_free(reply);
        }
        if (result == -EAGAIN) poll(NULL, 0, 20);
    } while (result == -EAGAIN && system_now() < deadline);
    return result == -EAGAIN ? -EIO : result;
}
