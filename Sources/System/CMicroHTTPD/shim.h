// libmicrohttpd for Swift, which can't call functions with a variable number of arguments.
#pragma once
#include <microhttpd.h>
#include <sys/socket.h>

/// One thread of the library's own waits for all sockets. `limits`: connections, connections of one address, seconds of silence, bytes of
/// memory a connection. NULL with errno where it can't listen.
static inline struct MHD_Daemon *cmicrohttpd_start(
    const struct sockaddr *address, const unsigned int limits[4], MHD_AccessHandlerCallback handler, MHD_RequestCompletedCallback completed,
    void *context)
{
    unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (address->sa_family == AF_INET6) flags |= MHD_USE_IPv6;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, handler, context, MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT, limits[0],
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, limits[1], MHD_OPTION_CONNECTION_TIMEOUT, limits[2], MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)limits[3], MHD_OPTION_NOTIFY_COMPLETED, completed, context, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
}

/// The same with a socket that listens already, which is the daemon's from here on.
static inline struct MHD_Daemon *cmicrohttpd_start_on(
    int listener, const unsigned int limits[4], MHD_AccessHandlerCallback handler, MHD_RequestCompletedCallback completed, void *context)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handler, context, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_CONNECTION_LIMIT, limits[0], MHD_OPTION_CONNECTION_TIMEOUT, limits[2], MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)limits[3], MHD_OPTION_NOTIFY_COMPLETED, completed, context, MHD_OPTION_END);
}

/// 0 where it can't be told.
static inline unsigned short cmicrohttpd_port(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}

static const uint64_t cmicrohttpd_unknown_size = MHD_SIZE_UNKNOWN;
static const ssize_t cmicrohttpd_end_of_stream = MHD_CONTENT_READER_END_OF_STREAM;
static const ssize_t cmicrohttpd_end_with_error = MHD_CONTENT_READER_END_WITH_ERROR;
static const enum MHD_RequestTerminationCode cmicrohttpd_completed = MHD_REQUEST_TERMINATED_COMPLETED_OK;
static const enum MHD_Result cmicrohttpd_yes = MHD_YES;
static const enum MHD_Result cmicrohttpd_no = MHD_NO;

/// The connection's socket, -1 where it can't be told.
static inline int cmicrohttpd_socket(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static inline const char *cmicrohttpd_header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static inline const char *cmicrohttpd_argument(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static inline const char *cmicrohttpd_cookie(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, name);
}

/// Cut off after so many seconds without a byte, unlike other connections.
static inline void cmicrohttpd_set_silence(struct MHD_Connection *connection, unsigned int seconds)
{
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

/// The bytes are copied.
static inline struct MHD_Response *cmicrohttpd_response(const void *bytes, size_t count)
{
    return MHD_create_response_from_buffer(count, (void *)bytes, MHD_RESPMEM_MUST_COPY);
}
