// The yardstick for a frame's way: the least that a C program has to do, and what is done in the
// kernel's place.
#pragma once
#include <stdint.h>

struct cbenchmarks_packet {
    uint32_t offset, length;
    int32_t status;
};

/// A transfer as it completes: isochronous with packets, bulk with `length` bytes.
struct cbenchmarks_transfer {
    const uint8_t *bytes;
    uint32_t length;
    const struct cbenchmarks_packet *packets;
    uint32_t packet_count;
};

/// CLOCK_THREAD_CPUTIME_ID in nanoseconds.
uint64_t cbenchmarks_thread_time(void);

/// Waits until a time of CLOCK_MONOTONIC, in nanoseconds, and no longer than it has to: the thread's
/// timer slack is 1 ns from then on.
void cbenchmarks_sleep_until(uint64_t time);

/// The processor's own counter, which costs next to nothing to read, and what it makes of
/// nanoseconds.
uint64_t cbenchmarks_ticks(void);
double cbenchmarks_ticks_to_nanoseconds(uint64_t ticks);

/// What was done in the kernel's place took this long. A time in which the thread was put aside
/// counts as the others did.
struct cbenchmarks_meter {
    uint64_t ticks, bytes;
};
void cbenchmarks_measured(struct cbenchmarks_meter *meter, uint64_t ticks, uint64_t bytes);

/// In the kernel's place: a transfer's bytes appear in `buffer`, and its packets' outcomes in
/// `outcomes`, as usbfs writes them (`struct usbdevfs_iso_packet_desc`: length, actual length,
/// status). How many bytes.
uint32_t cbenchmarks_play(uint8_t *buffer, const struct cbenchmarks_transfer *transfer, uint32_t *outcomes);

/// A minimal assembler (header length, FID, EOF, a bound, one memcpy a payload) over `turns`
/// through all transfers, which go round in `buffer_count` buffers. Nanoseconds of the thread's
/// processor time without what `cbenchmarks_play` took.
double cbenchmarks_floor(
    uint8_t **buffers, uint32_t buffer_count, uint8_t **slots, uint32_t slot_count, uint32_t capacity,
    const struct cbenchmarks_transfer *transfers, uint32_t count, uint32_t turns, uint32_t maximum_payload);

/// The payloads' bytes copied, and nothing else looked at but where they lie.
double cbenchmarks_copy(
    uint8_t **buffers, uint32_t buffer_count, uint8_t **slots, uint32_t slot_count, uint32_t capacity,
    const struct cbenchmarks_transfer *transfers, uint32_t count, uint32_t turns);

/// `cbenchmarks_play` alone.
double cbenchmarks_kernel(
    uint8_t **buffers, uint32_t buffer_count, const struct cbenchmarks_transfer *transfers, uint32_t count, uint32_t turns);

/// A payload with its header; or a frame.
struct cbenchmarks_payload {
    const uint8_t *bytes;
    uint32_t length;
};

/// A stream as libuvc is shown it, one payload a packet or, over bulk, a transfer.
struct cbenchmarks_libuvc_stream {
    const struct cbenchmarks_payload *payloads;
    uint32_t payload_count;
    uint32_t is_bulk, is_mjpeg, width, height;
    /// Bytes: of the largest payload (a packet's room, `dwMaxPayloadTransferSize`), of the largest
    /// frame.
    uint32_t maximum_payload, capacity;
    /// What each frame has to be, in turn; NULL where none is looked at.
    const struct cbenchmarks_payload *frames;
    uint32_t frame_count;
};

/// `turns` through all payloads by the installed libuvc, until its callback has each frame.
/// Nanoseconds of the process's processor time without the kernel's part; negative where it can't
/// be used or a frame was another. Not in this library: in `libuvc-yardstick.so`, which `make bench`
/// builds where libuvc's headers are (Sources/Bench/libuvc-yardstick).
double cbenchmarks_libuvc(const struct cbenchmarks_libuvc_stream *stream, uint32_t turns);
