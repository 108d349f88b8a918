// Closing what may wait: see closing.h.
#define _GNU_SOURCE
#include "closing.h"
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/// Nobody else's in our programs; the C library keeps the first ones for itself.
static int alarm_signal(void) { return SIGRTMIN + 7; }

static void only_interrupt(int number) { (void)number; }

static void install(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = only_interrupt;
    sigaction(alarm_signal(), &action, NULL);
}

void clinux_close_impatiently(int fd, unsigned milliseconds) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, alarm_signal());
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);

    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = alarm_signal();
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    timer_t timer;
    int armed = timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
    // Again and again: one signal may come before the wait begins.
    const struct timespec step = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    const struct itimerspec times = {.it_interval = step, .it_value = step};
    if (armed) timer_settime(timer, 0, &times, NULL);
    close(fd);
    if (armed) timer_delete(timer);
}
