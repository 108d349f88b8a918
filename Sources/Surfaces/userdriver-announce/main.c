// userdriver-announce: tells Avahi of the scanners and printers that it is told of on standard input.
// Started by `userdriver-escl`.
//
// A line is `announce<TAB>TYPE[,SUBTYPE…]<TAB>PORT<TAB>NAME<TAB>KEY=VALUE…` or
// `withdraw<TAB>TYPE<TAB>PORT`. What becomes of it is said on standard output, in words. The end of standard input is this process's end, and with
// it Avahi forgets what it was told. So is Avahi's own end: then the next process tells it again.
#define _GNU_SOURCE
#include "announce.h"
#include <avahi-common/simple-watch.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static AvahiSimplePoll *loop;
static int status = -1;
static char line[LONGEST_LINE];
static size_t length;

void end(int with) {
    if (status < 0) status = with;
    avahi_simple_poll_quit(loop);
}

void say(const char *format, ...) {
    char text[512];
    va_list values;
    va_start(values, format);
    int count = vsnprintf(text, sizeof text - 1, format, values);
    va_end(values);
    if (count < 0) return;
    if (count > (int)sizeof text - 2) count = sizeof text - 2;
    text[count++] = '\n';
    // Nobody may be left to hear it.
    if (write(STDOUT_FILENO, text, (size_t)count) < 0) return;
}

static uint16_t port_number(const char *text) {
    char *rest;
    if (text == NULL || *text < '0' || *text > '9') return 0;
    unsigned long number = strtoul(text, &rest, 10);
    return *rest == 0 && number <= UINT16_MAX ? (uint16_t)number : 0;
}

/// Does what a line says. False where that can't be made out.
static bool take(char *text) {
    char *rest = text;
    const char *word = strsep(&rest, "\t");
    const char *type = strsep(&rest, "\t");
    uint16_t port = port_number(strsep(&rest, "\t"));
    if (port == 0) return false;
    if (strcmp(word, "withdraw") == 0) return rest == NULL && services_withdraw(type, port);
    if (strcmp(word, "announce") != 0) return false;
    const char *name = strsep(&rest, "\t");
    const char *strings[MOST_STRINGS];
    size_t count = 0;
    while (rest) {
        if (count == MOST_STRINGS) return false;
        strings[count++] = strsep(&rest, "\t");
    }
    return name && services_announce(type, port, name, strings, count);
}

/// Reads what there is. A line that can't be made out, and one that is too long, end this process.
static void input_ready(AvahiWatch *watch, int input, AvahiWatchEvent event, void *data) {
    (void)watch, (void)event, (void)data;
    ssize_t count = read(input, line + length, sizeof line - length);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) {
        end(count == 0 ? DONE : FAILED);
        return;
    }
    length += (size_t)count;
    char *start = line;
    for (char *newline; status < 0 && (newline = memchr(start, '\n', length)) != NULL;) {
        size_t taken = (size_t)(newline - start) + 1;
        *newline = 0;
        if (strlen(start) != taken - 1 || !take(start)) {
            say("A line can't be understood.");
            end(MALFORMED);
            return;
        }
        start += taken;
        length -= taken;
    }
    memmove(line, start, length);
    if (length == sizeof line) {
        say("A line is too long.");
        end(MALFORMED);
    }
}

int main(int count, char **arguments) {
    (void)arguments;
    if (count != 1) {
        fputs("usage: userdriver-announce\nIt is started by `userdriver-escl`, and reads what to announce from standard input.\n", stderr);
        return MALFORMED;
    }
    // Whoever started it says when it is over.
    for (int signals[] = {SIGPIPE, SIGINT, SIGHUP}, i = 0; i < 3; i++) signal(signals[i], SIG_IGN);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    loop = avahi_simple_poll_new();
    if (loop == NULL) return FAILED;
    const AvahiPoll *poll = avahi_simple_poll_get(loop);
    if (!services_open(poll)) return GONE;
    int error = confine();
    if (error != 0) {
        say("The sandbox can't be set up: %s.", strerror(error));
        return FAILED;
    }
    if (poll->watch_new(poll, STDIN_FILENO, AVAHI_WATCH_IN | AVAHI_WATCH_HUP, input_ready, NULL) == NULL) return FAILED;
    int result = status < 0 ? avahi_simple_poll_loop(loop) : 0;
    return status >= 0 ? status : result < 0 ? FAILED : GONE;
}
