// Reads a frame ring: see ring.h. Whoever writes it is not trusted: frames within the capacity,
// gaps or nothing come out of it.
#define _GNU_SOURCE
#include "ring.h"

#include <string.h>
#include <sys/stat.h>

#include "system.h"

enum { PAGE = 4096, HEADER = 4096, SLOT_HEADER = 128, GAPS = 64, GAP_TABLE = 1024, GAP_SIZE = 40 };
enum { PUBLISHED = 8, WAKE = 16, GAPS_RECORDED = 32, FIRST = 40, NEXT = 48 };
enum { SLOT_STATE = 0, SLOT_LENGTH = 8, SLOT_CAPTURED = 16, SLOT_PUBLISHED = 24, SLOT_FLAGS = 44 };
enum { GAP_FIRST = 0, GAP_COUNT = 8, GAP_CHECK = 32 };
static const uint64_t maximum_number = 1ull << 55;

/// Maps memory of that size, which can't change it.
static int map_sealed(int descriptor, size_t size, int protection, void **address, struct stat *status) {
    if (syscall(SYS_fstat, descriptor, status) < 0) return -errno;
    int seals = system_fcntl(descriptor, F_GET_SEALS, 0);
    if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW)) return -EINVAL;
    if (status->st_size != (off_t)size) return -EINVAL;
    *address = system_mmap(NULL, size, protection, MAP_SHARED, descriptor, 0);
    return *address == MAP_FAILED ? -errno : 0;
}

int ring_map(struct ring *ring, int descriptor, int report, int64_t capacity, int64_t slots) {
    *ring = (struct ring){0};
    if (capacity <= 0 || capacity > 256 << 20 || slots < 2 || slots > 256) return -EINVAL;
    ring->capacity = (uint64_t)capacity;
    ring->slots = (uint32_t)slots;
    ring->stride = ((size_t)capacity + PAGE - 1) / PAGE * PAGE;
    ring->data = (HEADER + (size_t)slots * SLOT_HEADER + PAGE - 1) / PAGE * PAGE;
    ring->size = ring->data + (size_t)slots * ring->stride;
    if (ring->size > 1 << 30) return -EINVAL;
    struct stat status, page_status;
    void *address, *page = NULL;
    int result = map_sealed(descriptor, ring->size, PROT_READ, &address, &status);
    if (result) return result;
    // Without its page a reader says nothing, and loses nothing by it.
    if (report >= 0 && map_sealed(report, PAGE, PROT_READ | PROT_WRITE, &page, &page_status)) page = NULL;
    ring->base = address;
    ring->report = page;
    ring->device = status.st_dev;
    ring->inode = status.st_ino;
    return 0;
}

void ring_unmap(struct ring *ring) {
    if (ring->base) syscall(SYS_munmap, ring->base, ring->size);
    if (ring->report) syscall(SYS_munmap, ring->report, PAGE);
    *ring = (struct ring){0};
}

static uint64_t word64(const struct ring *ring, size_t offset) {
    return __atomic_load_n((const uint64_t *)(ring->base + offset), __ATOMIC_ACQUIRE);
}
static uint32_t word32(const struct ring *ring, size_t offset) {
    return __atomic_load_n((const uint32_t *)(ring->base + offset), __ATOMIC_ACQUIRE);
}
static size_t slot_header(uint32_t slot) { return HEADER + (size_t)slot * SLOT_HEADER; }
static uint64_t whole(uint64_t sequence) { return sequence * 2 + 2; }

void ring_passed(const struct ring *ring, uint64_t number) {
    if (ring->report) __atomic_store_n(ring->report, number, __ATOMIC_RELEASE);
}

uint64_t ring_newest(const struct ring *ring) {
    uint64_t number = word64(ring, PUBLISHED);
    return number <= maximum_number ? number : 0;
}

uint64_t ring_origin(const struct ring *ring) {
    uint64_t first = word64(ring, FIRST);
    return first >= 1 && first - 1 <= ring_newest(ring) ? first - 1 : 0;
}

bool ring_end(const struct ring *ring, uint64_t *last) {
    *last = ring_newest(ring);
    return word64(ring, NEXT) == *last + 1;
}

bool ring_follows(const struct ring *ring, const struct ring *other) {
    uint64_t last;
    return ring_end(other, &last) && word64(ring, FIRST) == last + 1;
}

uint32_t ring_wake_count(const struct ring *ring) { return word32(ring, WAKE); }
const uint32_t *ring_wake_word(const struct ring *ring) { return (const uint32_t *)(ring->base + WAKE); }

/// The number of the whole frame in a slot, 0 where there is none.
static uint64_t number_in(const struct ring *ring, uint32_t slot) {
    uint64_t state = word64(ring, slot_header(slot) + SLOT_STATE);
    return state >= 4 && !(state & 1) && state / 2 - 1 <= maximum_number ? state / 2 - 1 : 0;
}

static bool facts(const struct ring *ring, uint64_t number, uint32_t slot, struct ring_frame *frame) {
    size_t header = slot_header(slot);
    uint64_t length = word64(ring, header + SLOT_LENGTH);
    *frame = (struct ring_frame){
        .sequence = number,
        .captured = word64(ring, header + SLOT_CAPTURED),
        .published = word64(ring, header + SLOT_PUBLISHED),
        .length = length < ring->capacity ? length : ring->capacity,
        .flags = word32(ring, header + SLOT_FLAGS),
        .slot = slot,
    };
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return word64(ring, header + SLOT_STATE) == whole(number);
}

enum ring_outcome ring_next(const struct ring *ring, uint64_t number, struct ring_frame *frame) {
    uint64_t newest = ring_newest(ring), origin = ring_origin(ring);
    if (number < origin) number = origin;
    if (newest == number) return RING_NOTHING;
    if (newest < number) {
        *frame = (struct ring_frame){.sequence = newest};
        return RING_RENUMBERED;
    }
    number++;
    uint64_t following = newest + 1;  // the first later number of which something is known
    for (uint32_t slot = 0; slot < ring->slots; slot++) {
        uint64_t found = number_in(ring, slot);
        if (found < number || found > newest) continue;
        if (found == number && facts(ring, number, slot, frame)) return RING_FRAME;
        if (found > number && found < following) following = found;
    }
    uint64_t recorded = word64(ring, GAPS_RECORDED);
    for (uint64_t back = 1; recorded <= maximum_number && back <= GAPS && back <= recorded; back++) {
        size_t entry = GAP_TABLE + (recorded - back) % GAPS * GAP_SIZE;
        uint64_t check = word64(ring, entry + GAP_CHECK);
        uint64_t first = word64(ring, entry + GAP_FIRST), count = word64(ring, entry + GAP_COUNT);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (check != recorded - back + 1 || word64(ring, entry + GAP_CHECK) != check) continue;
        if (first < 1 || first > maximum_number || count < 1 || count > maximum_number) continue;
        if (first <= number && first + count > number) {
            uint64_t last = first + count - 1;
            *frame = (struct ring_frame){.sequence = last < newest ? last : newest};
            return RING_GAP;
        }
        if (first > number && first < following) following = first;
    }
    *frame = (struct ring_frame){.sequence = following - 1};
    return RING_GAP;
}

bool ring_copy(const struct ring *ring, const struct ring_frame *frame, void *to) {
    memcpy(to, ring->base + ring->data + frame->slot * ring->stride, frame->length);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return word64(ring, slot_header(frame->slot) + SLOT_STATE) == whole(frame->sequence);
}
