// userdriver-announce: what its parts offer each other. Lines come in (main.c), Avahi is told of
// scanners and printers (services.c), and nothing else can be done (confine.c).
#pragma once
#include <avahi-common/watch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MOST_SERVICES = 64,
    /// A name and as many strings as a device's record has, each as long as DNS lets it be.
    LONGEST_LINE = 8192,
    MOST_STRINGS = 24,
    LONGEST_STRING = 255,  // RFC 6763 §6.1
};

/// Exit statuses. GONE: whoever started this process may try again.
enum { DONE = 0, FAILED = 1, MALFORMED = 2, GONE = 3 };

/// Connects to the system's message bus and waits for Avahi there. Whatever happens is said on
/// standard output. False where there is no bus, or no loopback interface.
bool services_open(const AvahiPoll *poll);

/// Announces a service on the loopback interface, in place of the one of its type that was at this
/// port. `text` is its type, `_uscan._tcp` or `_ipp._tcp`, with the latter's subtypes behind commas. False
/// for any other, where name or strings are none that DNS-SD takes, and where there are too many.
bool services_announce(const char *text, uint16_t port, const char *name, const char *const *strings, size_t count);

/// False where the type is none, or has subtypes.
bool services_withdraw(const char *text, uint16_t port);

/// Ends the event loop with this exit status.
void end(int status);

/// A line on standard output.
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// From here on this process can do nothing but talk over what it has open. 0 or errno.
int confine(void);
