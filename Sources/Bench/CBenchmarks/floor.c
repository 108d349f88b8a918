// A minimal assembler and what is played to it.
#define _GNU_SOURCE
#include "CBenchmarks.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

static uint64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t cbenchmarks_thread_time(void) { return now(CLOCK_THREAD_CPUTIME_ID); }

void cbenchmarks_sleep_until(uint64_t time) {
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    struct timespec end = {(time_t)(time / 1000000000u), (long)(time % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, 0) == EINTR) {}
}

uint64_t cbenchmarks_ticks(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return now(CLOCK_MONOTONIC);
#endif
}

double cbenchmarks_ticks_to_nanoseconds(uint64_t ticks) {
    static double rate;
    if (rate == 0) {
        struct timespec pause = {0, 20000000};
        uint64_t start = now(CLOCK_MONOTONIC), first = cbenchmarks_ticks();
        nanosleep(&pause, 0);
        uint64_t ticks = cbenchmarks_ticks() - first;
        rate = (double)(now(CLOCK_MONOTONIC) - start) / (double)ticks;
    }
    return (double)ticks * rate;
}

void cbenchmarks_measured(struct cbenchmarks_meter *meter, uint64_t ticks, uint64_t bytes) {
    bytes += 1000;
    if (meter->bytes > 4000000) {
        uint64_t expected = (uint64_t)((double)meter->ticks / (double)meter->bytes * (double)bytes);
        if (ticks > 4 * expected + 4000) ticks = expected;
    }
    meter->ticks += ticks;
    meter->bytes += bytes;
}

__attribute__((noinline)) uint32_t cbenchmarks_play(uint8_t *buffer, const struct cbenchmarks_transfer *transfer, uint32_t *outcomes) {
    if (!transfer->packet_count) {
        memcpy(buffer, transfer->bytes, transfer->length);
        return transfer->length;
    }
    uint32_t total = 0;
    for (uint32_t i = 0; i < transfer->packet_count; i++) {
        const struct cbenchmarks_packet *packet = &transfer->packets[i];
        if (packet->length) memcpy(buffer + packet->offset, transfer->bytes + packet->offset, packet->length);
        outcomes[3 * i + 1] = packet->length;
        outcomes[3 * i + 2] = (uint32_t)packet->status;
        total += packet->length;
    }
    return total;
}

struct assembly {
    uint8_t **slots;
    uint32_t slot_count, capacity, slot, length, payload, maximum_payload;
    uint8_t frame_id, flags;
    _Atomic uint64_t published;
};

static inline void publish(struct assembly *frame) {
    if (!frame->length) return;
    atomic_fetch_add(&frame->published, 1);
    frame->slot = (frame->slot + 1) % frame->slot_count;
    frame->length = 0;
}

static inline void append(struct assembly *frame, const uint8_t *bytes, uint32_t count) {
    uint32_t room = frame->capacity - frame->length;
    if (count > room) count = room;
    memcpy(frame->slots[frame->slot] + frame->length, bytes, count);
    frame->length += count;
}

/// A payload's header: where its data begins, 0 for none.
static inline uint32_t begin(struct assembly *frame, const uint8_t *payload, uint32_t length) {
    if (length < 2 || payload[0] < 2 || payload[0] > length) return 0;
    if ((payload[1] & 1) != frame->frame_id) {
        publish(frame);
        frame->frame_id = payload[1] & 1;
    }
    frame->flags = payload[1];
    return payload[0];
}

static inline void end(struct assembly *frame) {
    if (!(frame->flags & 2)) return;
    publish(frame);
    frame->frame_id ^= 1;
    frame->flags = 0;
}

static void isochronous(struct assembly *frame, const uint8_t *bytes, const struct cbenchmarks_packet *packets, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (packets[i].status != 0) continue;
        const uint8_t *payload = bytes + packets[i].offset;
        uint32_t header = begin(frame, payload, packets[i].length);
        if (!header) continue;
        append(frame, payload + header, packets[i].length - header);
        end(frame);
    }
}

/// A payload may span transfers, and a transfer several payloads.
static void bulk(struct assembly *frame, const uint8_t *bytes, uint32_t length, uint32_t requested) {
    for (uint32_t at = 0; at < length;) {
        uint32_t header = 0, count = frame->maximum_payload - frame->payload;
        if (count > length - at) count = length - at;
        if (!frame->payload && !(header = begin(frame, bytes + at, count))) return;
        append(frame, bytes + at + header, count - header);
        frame->payload += count;
        at += count;
        if (frame->payload < frame->maximum_payload && (at < length || length == requested)) continue;
        frame->payload = 0;
        end(frame);
    }
}

double cbenchmarks_floor(
    uint8_t **buffers, uint32_t buffer_count, uint8_t **slots, uint32_t slot_count, uint32_t capacity,
    const struct cbenchmarks_transfer *transfers, uint32_t count, uint32_t turns, uint32_t maximum_payload) {
    struct assembly frame = {.slots = slots, .slot_count = slot_count, .capacity = capacity, .maximum_payload = maximum_payload, .frame_id = 1};
    uint32_t requested = 0, outcomes[3 * 128];
    for (uint32_t i = 0; i < count; i++)
        if (transfers[i].length > requested) requested = transfers[i].length;
    struct cbenchmarks_meter in_kernel = {0, 0};
    uint64_t start = cbenchmarks_thread_time();
    uint32_t buffer = 0;
    for (uint32_t turn = 0; turn < turns; turn++)
        for (uint32_t i = 0; i < count; i++) {
            uint64_t before = cbenchmarks_ticks();
            uint32_t length = cbenchmarks_play(buffers[buffer], &transfers[i], outcomes);
            cbenchmarks_measured(&in_kernel, cbenchmarks_ticks() - before, length);
            if (transfers[i].packet_count) isochronous(&frame, buffers[buffer], transfers[i].packets, transfers[i].packet_count);
            else bulk(&frame, buffers[buffer], length, requested);
            buffer = (buffer + 1) % buffer_count;
        }
    return (double)(cbenchmarks_thread_time() - start) - cbenchmarks_ticks_to_nanoseconds(in_kernel.ticks);
}

double cbenchmarks_copy(
    uint8_t **buffers, uint32_t buffer_count, uint8_t **slots, uint32_t slot_count, uint32_t capacity,
    const struct cbenchmarks_transfer *transfers, uint32_t count, uint32_t turns) {
    struct cbenchmarks_meter in_kernel = {0, 0};
    uint64_t start = cbenchmarks_thread_time();
    uint32_t buffer = 0, slot = 0, filled = 0, outcomes[3 * 128];
    for (uint32_t turn = 0; turn < turns; turn++)
        for (uint32_t i = 0; i < count; i++) {
            uint64_t before = cbenchmarks_ticks();
            uint32_t length = cbenchmarks_play(buffers[buffer], &transfers[i], outcomes);
            cbenchmarks_measured(&in_kernel, cbenchmarks_ticks() - before, length);
            uint32_t pieces = transfers[i].packet_count ? transfers[i].packet_count : 1;
            for (uint32_t piece = 0; piece < pieces; piece++) {
                uint32_t offset = transfers[i].packet_count ? transfers[i].packets[piece].offset : 0;
                uint32_t size = transfers[i].packet_count ? transfers[i].packets[piece].length : length;
                if (size <= 12) continue;
                if (filled + size > capacity) { filled = 0; slot = (slot + 1) % slot_count; }
                memcpy(slots[slot] + filled, buffers[buffer] + offset + 12, size - 12);
                filled += size - 12;
            }
            buffer = (buffer + 1) % buffer_count;
        }
    return (double)(cbenchmarks_thread_time() - start) - cbenchmarks_ticks_to_nanoseconds(in_kernel.ticks);
}

double cbenchmarks_kernel(
    uint8_t **buffers, uint32_t buffer_count, const struct cbenchmarks_transfer *transfers, uint32_t count, uint32_t turns) {
    uint64_t start = cbenchmarks_thread_time();
    uint32_t buffer = 0, outcomes[3 * 128];
    for (uint32_t turn = 0; turn < turns; turn++)
        for (uint32_t i = 0; i < count; i++) {
            cbenchmarks_play(buffers[buffer], &transfers[i], outcomes);
            buffer = (buffer + 1) % buffer_count;
        }
    return (double)(cbenchmarks_thread_time() - start);
}
