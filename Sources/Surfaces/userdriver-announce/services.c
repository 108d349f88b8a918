// What Avahi is told: a service _uscan._tcp for each scanner and _ipp._tcp for each printer, on the
// loopback interface alone.
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
#include <stdio.h>
#include <string.h>

enum { MOST_SUBTYPES = 2 };

/// What can be announced.
static const struct type {
    const char *name;
    const char *subtypes[MOST_SUBTYPES];
    const char *device;  // in words
} types[] = {
    {.name = "_uscan._tcp", .device = "scanner"},
    {.name = "_ipp._tcp", .subtypes = {"_print", "_universal"}, .device = "printer"},
};

struct service {
    uint16_t port;  // 0: this place is free
    const struct type *type;
    unsigned subtypes;  // a bit for each of its type's
    char *name;     // as Avahi has it: another one after a collision
    AvahiStringList *strings;
    AvahiEntryGroup *group;
};

static struct service services[MOST_SERVICES];
static AvahiClient *client;
static AvahiIfIndex loopback;
/// Names that are tried for a service before it is given up.
static const int most_names = 100;

// MARK: Types

static bool is_word(const char *text, size_t length, const char *word) {
    return word && strlen(word) == length && memcmp(text, word, length) == 0;
}

/// Sets the bit of a subtype that is one of this type's, and was not named before.
static bool add_subtype(const struct type *type, const char *text, size_t length, unsigned *subtypes) {
    for (unsigned i = 0; i < MOST_SUBTYPES; i++) {
        if (!is_word(text, length, type->subtypes[i])) continue;
        bool is_new = (*subtypes & 1u << i) == 0;
        *subtypes |= 1u << i;
        return is_new;
    }
    return false;
}

/// The type of `TYPE[,SUBTYPE…]`; NULL for what is none.
static const struct type *find_type(const char *text, unsigned *subtypes) {
    *subtypes = 0;
    size_t length = strcspn(text, ",");
    const struct type *type = NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) if (is_word(text, length, types[i].name)) type = &types[i];
    while (type && text[length] == ',') {
        text += length + 1;
        length = strcspn(text, ",");
        if (!add_subtype(type, text, length, subtypes)) return NULL;
    }
    return type;
}

// MARK: One service

static bool is_gone(int error) { return error == AVAHI_ERR_DISCONNECTED || error == AVAHI_ERR_NO_DAEMON; }

static void fail(const struct service *service, int error) {
    say("The %s at port %d can't be announced: %s.", service->type->device, service->port, avahi_strerror(error));
    end(is_gone(error) ? GONE : FAILED);
}

static void rename_service(struct service *service) {
    char *other = avahi_alternative_service_name(service->name);
    avahi_free(service->name);
    service->name = other;
}

static void group_changed(AvahiEntryGroup *group, AvahiEntryGroupState state, void *data);

static int add_subtypes(const struct service *service) {
    for (unsigned i = 0; i < MOST_SUBTYPES; i++) {
        if ((service->subtypes & 1u << i) == 0) continue;
        char subtype[64];
        snprintf(subtype, sizeof subtype, "%s._sub.%s", service->type->subtypes[i], service->type->name);
        int error = avahi_entry_group_add_service_subtype(
            service->group, loopback, AVAHI_PROTO_INET, 0, service->name, service->type->name, NULL, subtype);
        if (error != AVAHI_OK) return error;
    }
    return AVAHI_OK;
}

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
            service->group, loopback, AVAHI_PROTO_INET, 0, service->name, service->type->name, NULL, NULL, service->port, service->strings);
        if (error != AVAHI_ERR_COLLISION) break;
        rename_service(service);
        error = service->name ? AVAHI_OK : AVAHI_ERR_NO_MEMORY;
    }
    if (error == AVAHI_OK) error = add_subtypes(service);
    if (error == AVAHI_OK) error = avahi_entry_group_commit(service->group);
    if (error != AVAHI_OK) fail(service, error);
}

static void group_changed(AvahiEntryGroup *group, AvahiEntryGroupState state, void *data) {
    struct service *service = data;
    switch (state) {
    case AVAHI_ENTRY_GROUP_ESTABLISHED:
        say("The %s at port %d is announced as \"%s\".", service->type->device, service->port, service->name);
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
        say("Avahi is not running: scanners and printers will be announced when it is.");
        return;
    case AVAHI_CLIENT_FAILURE: {
        int error = avahi_client_errno(with);
        say("The connection to Avahi was lost: %s.", avahi_strerror(error));
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
        say("Nothing can be announced: there is no loopback interface.");
        return false;
    }
    int error = AVAHI_OK;
    client = avahi_client_new(poll, AVAHI_CLIENT_NO_FAIL | AVAHI_CLIENT_IGNORE_USER_CONFIG, client_changed, NULL, &error);
    if (client == NULL) say("Nothing can be announced: Avahi can't be reached over the system's message bus (%s).", avahi_strerror(error));
    return client != NULL;
}

// MARK: The table

static struct service *find(uint16_t port, const struct type *type) {
    for (int i = 0; i < MOST_SERVICES; i++) if (services[i].port == port && services[i].type == type) return &services[i];
    return NULL;
}

static bool is_text(const char *text) {
    for (; *text; text++) if ((unsigned char)*text < 0x20 || *text == 0x7f) return false;
    return true;
}

bool services_announce(const char *text, uint16_t port, const char *name, const char *const *strings, size_t count) {
    unsigned subtypes;
    const struct type *type = find_type(text, &subtypes);
    if (type == NULL || !is_text(name) || !avahi_is_valid_service_name(name) || count > MOST_STRINGS) return false;
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
    struct service *service = find(port, type);
    if (service) clear(service);
    else service = find(0, NULL);
    char *copy = service ? avahi_strdup(name) : NULL;
    if (copy == NULL) {
        avahi_string_list_free(list);
        return false;
    }
    *service = (struct service){.port = port, .type = type, .subtypes = subtypes, .name = copy, .strings = list};
    publish(service, client);
    return true;
}

bool services_withdraw(const char *text, uint16_t port) {
    unsigned subtypes;
    const struct type *type = find_type(text, &subtypes);
    struct service *service = type ? find(port, type) : NULL;
    if (service) clear(service);
    return type && subtypes == 0;
}
