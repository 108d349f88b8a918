// A node that gives pictures.
#include "internal.h"
#include <errno.h>
#include <stdlib.h>

#ifdef CPIPEWIRE_IS_PRESENT
#include <spa/buffer/meta.h>
#include <spa/node/io.h>
#include <spa/param/param.h>
#include <spa/pod/dynamic.h>
#include <spa/utils/result.h>
#include <string.h>
#include <time.h>

// Older headers lack it: a program built with them runs with a newer PipeWire, too.
#ifndef SPA_IO_CLOCK_FLAG_NO_RATE
#define SPA_IO_CLOCK_FLAG_NO_RATE (1u << 3)
#endif

struct cpipewire_node {
    struct pw_stream *stream;
    struct spa_hook listener;
    struct cpipewire_node_events events;
    void *context;
    struct cpipewire_rate rate;
    /// Of the graph that the node drives; set on the connection's thread, read on the other.
    struct spa_io_clock *_Atomic clock;
    /// Taken from the stream and not given back filled: the next picture is put there.
    struct pw_buffer *spare;
    uint64_t position;
    int buffer_count;
};

/// Pods of several objects, in memory that grows.
struct builder {
    struct spa_pod_dynamic_builder base;
    uint8_t bytes[4096];
};

static void on_state(void *data, enum pw_stream_state old, enum pw_stream_state state, const char *error)
{
    (void)old;
    struct cpipewire_node *node = data;
    if (state == PW_STREAM_STATE_ERROR)
        node->events.state(node->context, CPIPEWIRE_FAILED, error ? error : "");
    else
        node->events.state(node->context, state == PW_STREAM_STATE_STREAMING ? CPIPEWIRE_STREAMING : CPIPEWIRE_IDLE, NULL);
}

static void choose(struct cpipewire_node *node, const struct spa_pod *format)
{
    struct cpipewire_choice choice;
    struct cpipewire_layout layout = {0};
    if (!format) {
        node->events.choose(node->context, NULL, &layout);
        return;
    }
    if (!cpipewire_parse_choice(format, &choice) || !node->events.choose(node->context, &choice, &layout)) {
        pw_stream_set_error(node->stream, -EINVAL, "the camera has no such format");
        return;
    }
    node->rate = choice.rate;
    struct builder builder;
    spa_pod_dynamic_builder_init(&builder.base, builder.bytes, sizeof builder.bytes, 4096);
    const struct spa_pod *parameters[2];
    parameters[0] = cpipewire_build_buffers(&builder.base.b, &layout);
    parameters[1] = cpipewire_build_header(&builder.base.b);
    pw_stream_update_params(node->stream, parameters, 2);
    spa_pod_dynamic_builder_clean(&builder.base);
}

static void on_parameter(void *data, uint32_t id, const struct spa_pod *parameter)
{
    struct cpipewire_node *node = data;
    if (id == SPA_PARAM_Format)
        choose(node, parameter);
    else if (id == SPA_PARAM_Props)
        cpipewire_parse_values(parameter, node->events.set, node->context);
}

static void on_io(void *data, uint32_t id, void *area, uint32_t size)
{
    struct cpipewire_node *node = data;
    if (id == SPA_IO_Clock) node->clock = area && size >= sizeof(struct spa_io_clock) ? area : NULL;
}

static void on_buffer(void *data, struct pw_buffer *buffer)
{
    (void)buffer;
    ((struct cpipewire_node *)data)->buffer_count++;
}

static void on_removal(void *data, struct pw_buffer *buffer)
{
    struct cpipewire_node *node = data;
    node->buffer_count--;
    if (node->spare == buffer) node->spare = NULL;
}

/// A buffer that nobody looks at any more: one that somebody is slow with stands behind the others again.
static struct pw_buffer *take(struct cpipewire_node *node)
{
    struct pw_buffer *buffer = node->spare;
    for (int tries = node->buffer_count; !buffer && tries > 0; tries--) buffer = pw_stream_dequeue_buffer(node->stream);
    node->spare = buffer;
    return buffer;
}

/// What the graph goes by, as the one who drives it says it.
static void tick(struct cpipewire_node *node)
{
    struct spa_io_clock *clock = node->clock;
    if (!clock || !pw_stream_is_driving(node->stream)) return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    clock->nsec = (uint64_t)now.tv_sec * SPA_NSEC_PER_SEC + (uint64_t)now.tv_nsec;
    clock->rate = SPA_FRACTION(node->rate.denominator, node->rate.numerator);
    clock->position = node->position++;
    clock->duration = 1;
    clock->delay = 0;
    clock->rate_diff = 1.0;
    clock->next_nsec = clock->nsec;
    // Without it programs take the time from the position, from 1.4 on, and GStreamer compares that
    // with the pictures' times, which are the machine's.
    clock->flags |= SPA_IO_CLOCK_FLAG_NO_RATE;
}

static void on_process(void *data)
{
    struct cpipewire_node *node = data;
    tick(node);
    struct pw_buffer *buffer = take(node);
    if (!buffer) return;
    struct spa_buffer *memory = buffer->buffer;
    struct spa_data *bytes = &memory->datas[0];
    struct cpipewire_picture picture = {0};
    if (memory->n_datas < 1 || !bytes->data) return;
    if (!node->events.fill(node->context, bytes->data, bytes->maxsize, &picture)) return;
    bytes->chunk->offset = 0;
    bytes->chunk->size = (uint32_t)picture.byte_count;
    bytes->chunk->flags = 0;
    struct spa_meta_header *header = spa_buffer_find_meta_data(memory, SPA_META_Header, sizeof *header);
    if (header) {
        header->pts = (int64_t)picture.time;
        header->dts_offset = 0;
        header->seq = picture.number;
        header->flags = picture.follows_gap ? SPA_META_HEADER_FLAG_DISCONT : 0;
    }
    node->spare = NULL;
    pw_stream_queue_buffer(node->stream, buffer);
}

static void on_done(void *data)
{
    struct cpipewire_node *node = data;
    node->events.done(node->context);
}

static const struct pw_stream_events stream_events = {
    PW_VERSION_STREAM_EVENTS,
    .state_changed = on_state,
    .io_changed = on_io,
    .param_changed = on_parameter,
    .add_buffer = on_buffer,
    .remove_buffer = on_removal,
    .process = on_process,
    .trigger_done = on_done,
};

static int connect_stream(struct cpipewire_node *node, const struct cpipewire_offer *offers, uint32_t count)
{
    struct builder builder;
    uint32_t *offsets = calloc(count, sizeof *offsets);
    const struct spa_pod **parameters = calloc(count, sizeof *parameters);
    int result = offsets && parameters ? 0 : -ENOMEM;
    spa_pod_dynamic_builder_init(&builder.base, builder.bytes, sizeof builder.bytes, 4096);
    // The memory may move while it grows: addresses are taken once all is there.
    for (uint32_t i = 0; i < count && result == 0; i++) {
        offsets[i] = builder.base.b.state.offset;
        if (!cpipewire_build_offer(&builder.base.b, &offers[i])) result = -ENOSPC;
    }
    for (uint32_t i = 0; i < count && result == 0; i++) parameters[i] = SPA_PTROFF(builder.base.b.data, offsets[i], struct spa_pod);
    if (result == 0)
        result = pw_stream_connect(
            node->stream, PW_DIRECTION_OUTPUT, PW_ID_ANY,
            PW_STREAM_FLAG_DRIVER | PW_STREAM_FLAG_MAP_BUFFERS | PW_STREAM_FLAG_RT_PROCESS | PW_STREAM_FLAG_NO_CONVERT, parameters, count);
    spa_pod_dynamic_builder_clean(&builder.base);
    free(parameters);
    free(offsets);
    return result;
}

int cpipewire_node_make(
    struct cpipewire_connection *connection, const char *name, const struct cpipewire_property *properties, uint32_t property_count,
    const struct cpipewire_offer *offers, uint32_t offer_count, const struct cpipewire_node_events *events, void *context,
    struct cpipewire_node **result)
{
    if (offer_count == 0) return -EINVAL;
    struct cpipewire_node *node = calloc(1, sizeof *node);
    if (!node) return -ENOMEM;
    node->events = *events;
    node->context = context;
    struct pw_properties *all = pw_properties_new(NULL, NULL);
    for (uint32_t i = 0; i < property_count && all; i++) pw_properties_set(all, properties[i].key, properties[i].value);
    node->stream = all ? pw_stream_new(connection->core, name, all) : NULL;
    if (!node->stream) {
        int number = errno;
        free(node);
        return number ? -number : -ENOMEM;
    }
    pw_stream_add_listener(node->stream, &node->listener, &stream_events, node);
    int status = connect_stream(node, offers, offer_count);
    if (status < 0) {
        cpipewire_node_end(node);
        return status;
    }
    *result = node;
    return 0;
}

void cpipewire_node_end(struct cpipewire_node *node)
{
    // Nothing of what goes on while it ends is of interest.
    spa_hook_remove(&node->listener);
    pw_stream_destroy(node->stream);
    free(node);
}

int cpipewire_node_controls(struct cpipewire_node *node, const struct cpipewire_control *controls, uint32_t count)
{
    struct builder builder;
    uint32_t *offsets = calloc(count + 1, sizeof *offsets);
    const struct spa_pod **parameters = calloc(count + 1, sizeof *parameters);
    int result = offsets && parameters ? 0 : -ENOMEM;
    spa_pod_dynamic_builder_init(&builder.base, builder.bytes, sizeof builder.bytes, 4096);
    for (uint32_t i = 0; i <= count && result == 0; i++) {
        offsets[i] = builder.base.b.state.offset;
        const struct spa_pod *built = i < count ? cpipewire_build_control(&builder.base.b, &controls[i])
                                                : cpipewire_build_values(&builder.base.b, controls, count);
        if (!built) result = -ENOSPC;
    }
    for (uint32_t i = 0; i <= count && result == 0; i++) parameters[i] = SPA_PTROFF(builder.base.b.data, offsets[i], struct spa_pod);
    if (result == 0) result = pw_stream_update_params(node->stream, parameters, count + 1);
    spa_pod_dynamic_builder_clean(&builder.base);
    free(parameters);
    free(offsets);
    return result;
}

int cpipewire_node_trigger(struct cpipewire_node *node) { return pw_stream_trigger_process(node->stream); }
uint32_t cpipewire_node_id(struct cpipewire_node *node) { return pw_stream_get_node_id(node->stream); }
#else
int cpipewire_node_make(
    struct cpipewire_connection *connection, const char *name, const struct cpipewire_property *properties, uint32_t property_count,
    const struct cpipewire_offer *offers, uint32_t offer_count, const struct cpipewire_node_events *events, void *context,
    struct cpipewire_node **node)
{
    (void)connection, (void)name, (void)properties, (void)property_count, (void)offers, (void)offer_count, (void)events, (void)context,
        (void)node;
    return -ENOSYS;
}
void cpipewire_node_end(struct cpipewire_node *node) { (void)node; }
int cpipewire_node_controls(struct cpipewire_node *node, const struct cpipewire_control *controls, uint32_t count)
{
    (void)node, (void)controls, (void)count;
    return -ENOSYS;
}
int cpipewire_node_trigger(struct cpipewire_node *node)
{
    (void)node;
    return -ENOSYS;
}
#endif
