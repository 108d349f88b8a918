// Who sees a node's pictures: the links that lead from it, the nodes at their other ends, and the programs whose those are.
#include "internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef CPIPEWIRE_IS_PRESENT
enum kind { CLIENT, NODE, LINK };

struct cpipewire_object {
    struct cpipewire_object *next;
    uint32_t id;
    enum kind kind;
    uint32_t client;       // a node's
    uint32_t from, to;     // a link's nodes
    int32_t process;       // a client's
    uint32_t user;
    char name[64];         // a program's, as a client or a node has it
};

static uint32_t number(const struct spa_dict *properties, const char *key, uint32_t missing)
{
    const char *text = spa_dict_lookup(properties, key);
    return text ? (uint32_t)strtoul(text, NULL, 10) : missing;
}

static void copy(char *name, size_t room, const struct spa_dict *properties, const char *key)
{
    const char *text = spa_dict_lookup(properties, key);
    if (text) snprintf(name, room, "%s", text);
}

static void on_global(
    void *data, uint32_t id, uint32_t permissions, const char *type, uint32_t version, const struct spa_dict *properties)
{
    (void)permissions, (void)version;
    struct cpipewire_connection *connection = data;
    enum kind kind;
    if (strcmp(type, PW_TYPE_INTERFACE_Client) == 0) kind = CLIENT;
    else if (strcmp(type, PW_TYPE_INTERFACE_Node) == 0) kind = NODE;
    else if (strcmp(type, PW_TYPE_INTERFACE_Link) == 0) kind = LINK;
    else return;
    struct cpipewire_object *object = properties ? calloc(1, sizeof *object) : NULL;
    if (!object) return;
    object->id = id;
    object->kind = kind;
    object->client = number(properties, PW_KEY_CLIENT_ID, SPA_ID_INVALID);
    object->from = number(properties, PW_KEY_LINK_OUTPUT_NODE, SPA_ID_INVALID);
    object->to = number(properties, PW_KEY_LINK_INPUT_NODE, SPA_ID_INVALID);
    object->process = (int32_t)number(properties, PW_KEY_SEC_PID, 0);
    object->user = number(properties, PW_KEY_SEC_UID, 0);
    copy(object->name, sizeof object->name, properties, PW_KEY_APP_NAME);
    object->next = connection->objects;
    connection->objects = object;
    if (kind == LINK && connection->changed) connection->changed(connection->changed_context);
}

static void on_global_removed(void *data, uint32_t id)
{
    struct cpipewire_connection *connection = data;
    for (struct cpipewire_object **place = &connection->objects; *place; place = &(*place)->next) {
        struct cpipewire_object *object = *place;
        if (object->id != id) continue;
        bool was_link = object->kind == LINK;
        *place = object->next;
        free(object);
        if (was_link && connection->changed) connection->changed(connection->changed_context);
        return;
    }
}

static const struct pw_registry_events registry_events = {
    PW_VERSION_REGISTRY_EVENTS,
    .global = on_global,
    .global_remove = on_global_removed,
};

int cpipewire_watch(struct cpipewire_connection *connection, void (*changed)(void *context), void *context)
{
    if (connection->registry) return -EALREADY;
    connection->changed = changed;
    connection->changed_context = context;
    connection->registry = pw_core_get_registry(connection->core, PW_VERSION_REGISTRY, 0);
    if (!connection->registry) return errno ? -errno : -EIO;
    pw_registry_add_listener(connection->registry, &connection->registry_listener, &registry_events, connection);
    return 0;
}

void cpipewire_registry_end(struct cpipewire_connection *connection)
{
    if (connection->registry) {
        spa_hook_remove(&connection->registry_listener);
        pw_proxy_destroy((struct pw_proxy *)connection->registry);
        connection->registry = NULL;
    }
    while (connection->objects) {
        struct cpipewire_object *object = connection->objects;
        connection->objects = object->next;
        free(object);
    }
}

static const struct cpipewire_object *find(const struct cpipewire_connection *connection, enum kind kind, uint32_t id)
{
    for (const struct cpipewire_object *object = connection->objects; object; object = object->next)
        if (object->kind == kind && object->id == id) return object;
    return NULL;
}

uint32_t cpipewire_viewers(
    struct cpipewire_connection *connection, struct cpipewire_node *node, struct cpipewire_viewer *viewers, uint32_t room)
{
    uint32_t own = cpipewire_node_id(node);
    uint32_t count = 0;
    for (const struct cpipewire_object *link = connection->objects; link && count < room; link = link->next) {
        if (link->kind != LINK || link->from != own) continue;
        const struct cpipewire_object *sink = find(connection, NODE, link->to);
        const struct cpipewire_object *client = sink ? find(connection, CLIENT, sink->client) : NULL;
        if (!client) continue;
        viewers[count++] = (struct cpipewire_viewer){
            .node = sink->id, .process = client->process, .user = client->user,
            .program = sink->name[0] ? sink->name : client->name};
    }
    return count;
}

int cpipewire_expel(struct cpipewire_connection *connection, uint32_t node)
{
    if (!connection->registry) return -EINVAL;
    return pw_registry_destroy(connection->registry, node);
}
#else
int cpipewire_watch(struct cpipewire_connection *connection, void (*changed)(void *context), void *context)
{
    (void)connection, (void)changed, (void)context;
    return -ENOSYS;
}
uint32_t cpipewire_viewers(
    struct cpipewire_connection *connection, struct cpipewire_node *node, struct cpipewire_viewer *viewers, uint32_t room)
{
    (void)connection, (void)node, (void)viewers, (void)room;
    return 0;
}
int cpipewire_expel(struct cpipewire_connection *connection, uint32_t node)
{
    (void)connection, (void)node;
    return -ENOSYS;
}
#endif
