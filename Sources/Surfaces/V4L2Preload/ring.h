// A frame ring's memory, read only: the layout of Sources/Planes/FrameRing/FrameRingLayout.swift.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

struct ring {
    const unsigned char *base;
    size_t size, stride, data;
    uint64_t capacity;
    uint32_t slots;
    /// This reader's page, NULL where it has none: what it is done with.
    uint64_t *report;
    /// The memory itself: a ring that is handed over again is the same one.
    dev_t device;
    ino_t inode;
};

enum { RING_DAMAGED = 1 << 0, RING_STILL = 1 << 1 };

struct ring_frame {
    uint64_t sequence, captured, published, length;
    uint32_t flags, slot;
};

enum ring_outcome { RING_FRAME, RING_GAP, RING_RENUMBERED, RING_NOTHING };

/// Maps the memory after a look at its size and seals, so that nothing that happens to it later is
/// a signal. The descriptors stay the caller's; `report` is -1 where there is no page. 0 or an error,
/// negative.
int ring_map(struct ring *ring, int descriptor, int report, int64_t capacity, int64_t slots);
void ring_unmap(struct ring *ring);

/// The reader is done with everything up to that number: the driver may write over it.
void ring_passed(const struct ring *ring, uint64_t number);
/// The newest number that was given, 0 before the first.
uint64_t ring_newest(const struct ring *ring);
/// The number that reading begins after.
uint64_t ring_origin(const struct ring *ring);
/// Whether the stream goes on in another ring, and the last number of this one.
bool ring_end(const struct ring *ring, uint64_t *last);
/// Whether `ring` goes on where `other` ends.
bool ring_follows(const struct ring *ring, const struct ring *other);
/// Grows with all news; to be read before looking, and waited for with what was read.
uint32_t ring_wake_count(const struct ring *ring);
const uint32_t *ring_wake_word(const struct ring *ring);

/// What came after `number`. RING_GAP: frames that never came or are gone, up to `frame->sequence`.
/// RING_RENUMBERED: read on after that.
enum ring_outcome ring_next(const struct ring *ring, uint64_t number, struct ring_frame *frame);
/// Copies the frame; false where it was overwritten meanwhile, and what was copied is to be
/// forgotten. `frame->length` has to fit.
bool ring_copy(const struct ring *ring, const struct ring_frame *frame, void *to);

#pragma GCC visibility pop
