// userdriver-announce: what its parts offer each other. Lines come in (main.c), Avahi is told of
// scanners (services.c), and nothing else can be done (confine.c).
#pragma once
#include <avahi-common/watch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MOST_SERVICES = 32,
    /// A name and as many strings as a scanner's record has, each as long as DNS lets it be.
    LONGEST_LINE = 8192,
    MOST_STRINGS = 24,
    LONGEST_STRING = 255,  // RFC 6763 §6.1
};

/// Exit statuses. GONE: whoever started this process may try again.
enum { DONE = 0, FAILED = 1, MALFORMED = 2, GONE = 3 };

/// Connects to the system's message bus and waits for Avahi there. Whatever happens is said on
/// standard output. False where there is no bus, or no loopback interface.
bool services_open(const AvahiPoll *poll);

/// Announces a scanner on the loopback interface, in place of the one that was at this port. False
/// where name or strings are none that DNS-SD takes, or there are too many.
bool services_announce(uint16_t port, const char *name, const char *const *strings, size_t count);

void services_withdraw(uint16_t port);

/// Ends the event loop with this exit status.
void end(int status);

/// A line on standard output.
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// From here on this process can do nothing but talk over what it has open. 0 or errno.
int confine(void);
