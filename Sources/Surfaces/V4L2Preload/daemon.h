// The daemon's socket: Varlink calls (JSON, each message ended by a zero byte) and the descriptors
// that come with replies.
#pragma once
#include "json.h"

#pragma GCC visibility push(hidden)

/// Those of eight rings that wait to be taken, with their pages.
enum { DAEMON_MAXIMUM_DESCRIPTORS = 16 };

/// One reply. `parameters` is a node of `json`.
struct reply {
    struct json json;
    char *text;
    uint32_t parameters;
    bool continues;
    /// 0, or what the daemon's error is to a program.
    int error;
    char message[512];
    /// Comes with the reply, and is closed by `reply_free` unless it was taken out; -1 where none
    /// came.
    int descriptor;
    /// The one after it, in the same way.
    int second;
};

struct connection {
    int socket;
    char *bytes;
    size_t used, capacity;
    /// Descriptors, each with the place of the message that it belongs to.
    int descriptors[DAEMON_MAXIMUM_DESCRIPTORS];
    size_t places[DAEMON_MAXIMUM_DESCRIPTORS];
    int descriptor_count;
};

/// Where the daemon's socket is, as the command said it; NULL where nobody did.
const char *daemon_folder(void);

/// 0, or an error of errno's, negative.
int connection_open(struct connection *connection);
void connection_close(struct connection *connection);
/// `parameters` is JSON.
int connection_send(struct connection *connection, const char *method, const char *parameters, bool more);
/// Waits until `deadline` (CLOCK_MONOTONIC ns, 0: for ever), or until `stop` (a descriptor, or -1)
/// is readable: -ETIMEDOUT, -ECANCELED.
int connection_receive(struct connection *connection, struct reply *reply, uint64_t deadline, int stop);
void reply_free(struct reply *reply);

/// One call on a connection of its own. 0 and a reply that is the caller's to free, or an error,
/// negative, and the daemon's words for it.
int daemon_call(const char *method, const char *parameters, struct reply *reply, char *words, size_t capacity);

#pragma GCC visibility pop
