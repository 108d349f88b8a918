// What Avahi is told: a service _uscan._tcp for each scanner, on the loopback interface alone.
#define _GNU_SOURCE
#include "announce.h"
#include <avahi-client/client.h>
#include <avahi-client/publish.h>
#include <avahi-common/alternative.h>
#include <avahi-common/domain.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-common/strlst.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

struct service {
    uint16_t port;  // 0: this place is free
    char *name;     // as Avahi has it: another one after a collision
    AvahiStringList *strings;
    AvahiEntryGroup *group;
};

static struct service services[MOST_SERVICES];
static AvahiClient *client;
static AvahiIfIndex loopback;
/// Names that are tried for a scanner before it is given up.
static const int most_names = 100;

// MARK: One scanner

static bool is_gone(int error) { return error == AVAHI_ERR_DISCONNECTED || error == AVAHI_ERR_NO_DAEMON; }

static void fail(const struct service *service, int error) {
    say("The scanner at port %d can't be announced: %s.", service->port, avahi_strerror(error));
    end(is_gone(error) ? GONE : FAILED);
}

static void rename_service(struct service *service) {
    char *other = avahi_alternative_service_name(service->name);
    avahi_free(service->name);
    service->name = other;
}

static void group_changed(AvahiEntryGroup *group, AvahiEntryGroupState state, void *data);

static void publish(struct service *service, AvahiClient *with) {
    if (avahi_client_get_state(with) != AVAHI_CLIENT_S_RUNNING) return;
    if (service->group == NULL) service->group = avahi_entry_group_new(with, group_changed, service);
    if (service->group == NULL) {
        fail(service, avahi_client_errno(with));
        return;
    }
    int error = avahi_entry_group_is_empty(service->group) ? AVAHI_OK : avahi_entry_group_reset(service->group);
    for (int tries = 0; error == AVAHI_OK && tries < most_names; tries++) {
        // IPv4: nobody listens at ::1.
        error = avahi_entry_group_add_service_strlst(
            service->group, loopback, AVAHI_PROTO_INET, 0, service->name, "_uscan._tcp", NULL, NULL, service->port, service->strings);
        if (error != AVAHI_ERR_COLLISION) break;
        rename_service(service);
        error = service->name ? AVAHI_OK : AVAHI_ERR_NO_MEMORY;
    }
    if (error == AVAHI_OK) error = avahi_entry_group_commit(service->group);
    if (error != AVAHI_OK) fail(service, error);
}

static void group_changed(AvahiEntryGroup *group, AvahiEntryGroupState state, void *data) {
    struct service *service = data;
    switch (state) {
    case AVAHI_ENTRY_GROUP_ESTABLISHED:
        say("The scanner at port %d is announced as \"%s\".", service->port, service->name);
        return;
    case AVAHI_ENTRY_GROUP_COLLISION:
        rename_service(service);
        if (service->name) publish(service, avahi_entry_group_get_client(group));
        else end(FAILED);
        return;
    case AVAHI_ENTRY_GROUP_FAILURE:
        fail(service, avahi_client_errno(avahi_entry_group_get_client(group)));
        return;
    case AVAHI_ENTRY_GROUP_UNCOMMITED:
    case AVAHI_ENTRY_GROUP_REGISTERING:
        return;
    }
}

static void clear(struct service *service) {
    if (service->group) avahi_entry_group_free(service->group);
    avahi_string_list_free(service->strings);
    avahi_free(service->name);
    *service = (struct service){0};
}

// MARK: Avahi

static void client_changed(AvahiClient *with, AvahiClientState state, void *data) {
    (void)data;
    switch (state) {
    case AVAHI_CLIENT_S_RUNNING:
        for (int i = 0; i < MOST_SERVICES; i++) if (services[i].port) publish(&services[i], with);
        return;
    // The machine is about to go by another name: services are announced with it, and again.
    case AVAHI_CLIENT_S_COLLISION:
    case AVAHI_CLIENT_S_REGISTERING:
        for (int i = 0; i < MOST_SERVICES; i++) if (services[i].group) avahi_entry_group_reset(services[i].group);
        return;
    case AVAHI_CLIENT_CONNECTING:
        say("Avahi does not run: scanners are announced when it does.");
        return;
    case AVAHI_CLIENT_FAILURE: {
        int error = avahi_client_errno(with);
        say("Avahi can't be talked to any more: %s.", avahi_strerror(error));
        end(is_gone(error) ? GONE : FAILED);
    }
    }
}

static AvahiIfIndex find_loopback(void) {
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0) return AVAHI_IF_UNSPEC;
    unsigned found = 0;
    for (struct ifaddrs *entry = all; entry && found == 0; entry = entry->ifa_next) {
        if (entry->ifa_flags & IFF_LOOPBACK) found = if_nametoindex(entry->ifa_name);
    }
    freeifaddrs(all);
    return found ? (AvahiIfIndex)found : AVAHI_IF_UNSPEC;
}

bool services_open(const AvahiPoll *poll) {
    loopback = find_loopback();
    if (loopback == AVAHI_IF_UNSPEC) {
        say("Scanners can't be announced: there is no loopback interface.");
        return false;
    }
    int error = AVAHI_OK;
    client = avahi_client_new(poll, AVAHI_CLIENT_NO_FAIL | AVAHI_CLIENT_IGNORE_USER_CONFIG, client_changed, NULL, &error);
    if (client == NULL) say("Scanners can't be announced: there is no way to Avahi over the system's message bus (%s).", avahi_strerror(error));
    return client != NULL;
}

// MARK: The table

static struct service *find(uint16_t port) {
    for (int i = 0; i < MOST_SERVICES; i++) if (services[i].port == port) return &services[i];
    return NULL;
}

static bool is_text(const char *text) {
    for (; *text; text++) if ((unsigned char)*text < 0x20 || *text == 0x7f) return false;
    return true;
}

bool services_announce(uint16_t port, const char *name, const char *const *strings, size_t count) {
    if (!is_text(name) || !avahi_is_valid_service_name(name) || count > MOST_STRINGS) return false;
    AvahiStringList *list = NULL;
    for (size_t i = count; i > 0; i--) {
        const char *string = strings[i - 1];
        const char *equals = strchr(string, '=');
        bool is_entry = equals && equals != string && strlen(string) <= LONGEST_STRING && is_text(string);
        AvahiStringList *longer = is_entry ? avahi_string_list_add(list, string) : NULL;
        if (longer == NULL) {
            avahi_string_list_free(list);
            return false;
        }
        list = longer;
    }
    struct service *service = find(port);
    if (service) clear(service);
    else service = find(0);
    char *copy = service ? avahi_strdup(name) : NULL;
    if (copy == NULL) {
        avahi_string_list_free(list);
        return false;
    }
    *service = (struct service){.port = port, .name = copy, .strings = list};
    publish(service, client);
    return true;
}

void services_withdraw(uint16_t port) {
    struct service *service = find(port);
    if (service) clear(service);
}
