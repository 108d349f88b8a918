// What the files of this module share.
#pragma once
#include "CPipeWire.h"
#if __has_include(<pipewire/pipewire.h>)
#define CPIPEWIRE_IS_PRESENT 1
#include <pipewire/pipewire.h>
#include <spa/pod/builder.h>

struct cpipewire_connection {
    struct pw_thread_loop *loop;
    struct pw_context *context;
    struct pw_core *core;
    struct spa_hook listener;
    cpipewire_lost lost;
    void *lost_context;
    bool is_lost;
    // Clients, nodes and links that there are, and who is told when a link comes or goes (registry.c).
    struct pw_registry *registry;
    struct spa_hook registry_listener;
    struct cpipewire_object *objects;
    void (*changed)(void *context);
    void *changed_context;
};

/// Once the connection's thread has ended.
void cpipewire_registry_end(struct cpipewire_connection *connection);

/// The node's number in PipeWire; SPA_ID_INVALID until it has one.
uint32_t cpipewire_node_id(struct cpipewire_node *node);

/// 0 where there is no such number.
uint32_t cpipewire_control_number(const char *name);
const char *cpipewire_control_name(uint32_t number);

/// Each builds one object into `builder`; NULL where it does not fit.
const struct spa_pod *cpipewire_build_offer(struct spa_pod_builder *builder, const struct cpipewire_offer *offer);
const struct spa_pod *cpipewire_build_buffers(struct spa_pod_builder *builder, const struct cpipewire_layout *layout);
const struct spa_pod *cpipewire_build_header(struct spa_pod_builder *builder);
const struct spa_pod *cpipewire_build_control(struct spa_pod_builder *builder, const struct cpipewire_control *control);
const struct spa_pod *cpipewire_build_values(
    struct spa_pod_builder *builder, const struct cpipewire_control *controls, uint32_t count);

/// False where it is no format of ours.
bool cpipewire_parse_choice(const struct spa_pod *format, struct cpipewire_choice *choice);

/// Calls `set` for each value that is a whole number or a truth.
void cpipewire_parse_values(const struct spa_pod *values, void (*set)(void *context, const char *name, int64_t value), void *context);
#endif
