// PipeWire for Swift, which can call neither its functions with variable arguments nor the macros that its parameters are made with: a
// connection, and nodes that give pictures. PipeWire's own headers are not seen from here. Functions return 0 or -errno.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether this was compiled with PipeWire. Where it was not, connecting fails with -ENOSYS.
bool cpipewire_is_present(void);

/// PipeWire's version, as it runs; empty where there is none.
const char *cpipewire_version(void);

// MARK: - The connection

/// A connection to a PipeWire daemon, with a thread that serves it.
struct cpipewire_connection;

/// The daemon has hung up. Called once, on the connection's thread, with its lock held; `cpipewire_disconnect` is for another thread.
typedef void (*cpipewire_lost)(void *context, const char *message);

/// `remote` is the name of the daemon's socket or its path; NULL for the usual one.
int cpipewire_connect(
    const char *remote, const char *application, cpipewire_lost lost, void *context, struct cpipewire_connection **connection);

/// Ends the thread. Nodes have to be gone; not to be called on the thread itself, nor with the lock held.
void cpipewire_disconnect(struct cpipewire_connection *connection);

/// Everything below is called with the lock held, or on the connection's thread (which holds it while it calls back).
void cpipewire_lock(struct cpipewire_connection *connection);
void cpipewire_unlock(struct cpipewire_connection *connection);

// MARK: - Nodes

/// A picture's format, as PipeWire names them.
enum cpipewire_pixels {
    CPIPEWIRE_MJPEG, CPIPEWIRE_H264, CPIPEWIRE_YUY2, CPIPEWIRE_UYVY, CPIPEWIRE_NV12, CPIPEWIRE_NV21, CPIPEWIRE_I420, CPIPEWIRE_YV12,
    CPIPEWIRE_GRAY8, CPIPEWIRE_GRAY16,
};

/// Frames a second.
struct cpipewire_rate {
    uint32_t numerator, denominator;
};

/// One format in one size, with its rates. The first is what a program gets that asks for none.
struct cpipewire_offer {
    enum cpipewire_pixels pixels;
    uint32_t width, height;
    const struct cpipewire_rate *rates;
    uint32_t rate_count;
};

/// What a node and the programs that use it have agreed on.
struct cpipewire_choice {
    enum cpipewire_pixels pixels;
    uint32_t width, height;
    struct cpipewire_rate rate;
};

/// What pictures of a choice take.
struct cpipewire_layout {
    uint32_t byte_count; // at most
    uint32_t stride;     // of the first plane; 0 for compressed ones
    uint32_t buffers;    // how many are best
};

struct cpipewire_picture {
    size_t byte_count;
    uint64_t time;     // CLOCK_MONOTONIC ns of its first byte
    uint64_t number;
    bool follows_gap;
};

enum cpipewire_state { CPIPEWIRE_IDLE, CPIPEWIRE_STREAMING, CPIPEWIRE_FAILED };

struct cpipewire_property {
    const char *key, *value;
};

enum cpipewire_control_kind { CPIPEWIRE_INTEGER, CPIPEWIRE_BOOLEAN, CPIPEWIRE_MENU };

struct cpipewire_label {
    int32_t value;
    const char *text;
};

/// A control of the node's. One that PipeWire has a number for (brightness…) has that; all others go by their name, in `params`.
struct cpipewire_control {
    const char *name, *description;
    enum cpipewire_control_kind kind;
    int32_t minimum, maximum, step, default_value, value;
    const struct cpipewire_label *labels;
    uint32_t label_count;
};

/// What a node tells; all but `fill` on the connection's thread.
struct cpipewire_node_events {
    /// `error` with CPIPEWIRE_FAILED: the node is of no use any more.
    void (*state)(void *context, enum cpipewire_state state, const char *error);
    /// NULL: nobody uses the node any more. False where there is no such format.
    bool (*choose)(void *context, const struct cpipewire_choice *choice, struct cpipewire_layout *layout);
    /// A program sets a control.
    void (*set)(void *context, const char *name, int64_t value);
    /// Puts a picture into the memory. False where there is none. Called on the thread that serves all connections' pictures, which has no
    /// other work: after `cpipewire_trigger`, once for each.
    bool (*fill)(void *context, void *memory, size_t capacity, struct cpipewire_picture *picture);
    /// Whoever was to see the last picture has seen it.
    void (*done)(void *context);
};

struct cpipewire_node;

int cpipewire_node_make(
    struct cpipewire_connection *connection, const char *name, const struct cpipewire_property *properties, uint32_t property_count,
    const struct cpipewire_offer *offers, uint32_t offer_count, const struct cpipewire_node_events *events, void *context,
    struct cpipewire_node **node);

/// Nothing is called back once this has returned.
void cpipewire_node_end(struct cpipewire_node *node);

/// Says which controls there are, and their values.
int cpipewire_node_controls(struct cpipewire_node *node, const struct cpipewire_control *controls, uint32_t count);

/// Asks for `fill`, soon.
int cpipewire_node_trigger(struct cpipewire_node *node);

// MARK: - Who sees a node's pictures

/// A program that a link leads to. `program` is the program's word for itself, and lasts as long as the lock is held.
struct cpipewire_viewer {
    uint32_t node; // its own, in which the link ends
    int32_t process;
    uint32_t user;
    const char *program;
};

/// Calls `changed` on the connection's thread whenever a link comes or goes, anybody's. Once a connection.
int cpipewire_watch(struct cpipewire_connection *connection, void (*changed)(void *context), void *context);

/// Programs that see the node's pictures: how many were written, at most `room`. One that has two links stands there twice.
uint32_t cpipewire_viewers(
    struct cpipewire_connection *connection, struct cpipewire_node *node, struct cpipewire_viewer *viewers, uint32_t room);

/// Has PipeWire end a program's node: it sees nothing more.
int cpipewire_expel(struct cpipewire_connection *connection, uint32_t node);
