// The connection to PipeWire's daemon.
#include "internal.h"
#include <errno.h>
#include <stdlib.h>

#ifdef CPIPEWIRE_IS_PRESENT
bool cpipewire_is_present(void) { return true; }
const char *cpipewire_version(void) { return pw_get_library_version(); }

static void on_error(void *data, uint32_t id, int sequence, int result, const char *message)
{
    (void)sequence;
    struct cpipewire_connection *connection = data;
    if (id != PW_ID_CORE || result != -EPIPE || connection->is_lost) return;
    connection->is_lost = true;
    connection->lost(connection->lost_context, message ? message : "");
}

static const struct pw_core_events core_events = {PW_VERSION_CORE_EVENTS, .error = on_error};

static int end(struct cpipewire_connection *connection, int result)
{
    if (connection->loop) pw_thread_loop_stop(connection->loop);
    cpipewire_registry_end(connection);
    if (connection->core) {
        spa_hook_remove(&connection->listener);
        pw_core_disconnect(connection->core);
    }
    if (connection->context) pw_context_destroy(connection->context);
    if (connection->loop) pw_thread_loop_destroy(connection->loop);
    free(connection);
    return result;
}

int cpipewire_connect(
    const char *remote, const char *application, cpipewire_lost lost, void *context, struct cpipewire_connection **result)
{
    pw_init(NULL, NULL);
    struct cpipewire_connection *connection = calloc(1, sizeof *connection);
    if (!connection) return -ENOMEM;
    connection->lost = lost;
    connection->lost_context = context;
    connection->loop = pw_thread_loop_new("pipewire", NULL);
    if (!connection->loop) return end(connection, -errno);
    struct pw_properties *properties = pw_properties_new(PW_KEY_APP_NAME, application, NULL);
    connection->context = pw_context_new(pw_thread_loop_get_loop(connection->loop), properties, 0);
    if (!connection->context) return end(connection, errno ? -errno : -ENOMEM);
    properties = pw_properties_new(PW_KEY_APP_NAME, application, NULL);
    if (remote && properties) pw_properties_set(properties, PW_KEY_REMOTE_NAME, remote);
    connection->core = pw_context_connect(connection->context, properties, 0);
    if (!connection->core) return end(connection, errno ? -errno : -EIO);
    pw_core_add_listener(connection->core, &connection->listener, &core_events, connection);
    int started = pw_thread_loop_start(connection->loop);
    if (started < 0) return end(connection, started);
    *result = connection;
    return 0;
}

void cpipewire_disconnect(struct cpipewire_connection *connection) { end(connection, 0); }
void cpipewire_lock(struct cpipewire_connection *connection) { pw_thread_loop_lock(connection->loop); }
void cpipewire_unlock(struct cpipewire_connection *connection) { pw_thread_loop_unlock(connection->loop); }
#else
bool cpipewire_is_present(void) { return false; }
const char *cpipewire_version(void) { return ""; }
int cpipewire_connect(
    const char *remote, const char *application, cpipewire_lost lost, void *context, struct cpipewire_connection **connection)
{
    (void)remote, (void)application, (void)lost, (void)context, (void)connection;
    return -ENOSYS;
}
void cpipewire_disconnect(struct cpipewire_connection *connection) { (void)connection; }
void cpipewire_lock(struct cpipewire_connection *connection) { (void)connection; }
void cpipewire_unlock(struct cpipewire_connection *connection) { (void)connection; }
#endif
