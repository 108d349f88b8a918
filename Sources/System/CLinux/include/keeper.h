// A keeper: what reads a dead driver's mapped transfers out for its successor.
#pragma once
#include <stdint.h>

/// Transfers in usbfs's own memory, which only whoever mapped it can read: one mapping a transfer. A second mapping of the file is other memory, in
/// another process too; so the bytes of what was in flight when a driver dies are had by one only that shares its memory.
///
/// Records lie in memory that this process's successor has, too. In each: `place`, 0 where its bytes lie in the ring, else who has mapped the memory
/// that they lie in; and `fetch`, where the successor says what it wants.
struct clinux_kept_ring {
    uint8_t *records; // the first one; `count` of them, each `record_size` bytes
    uint8_t *buffers; // the ring's own memory of each transfer, `buffer_stride` bytes apart
    uint8_t *mapped;  // the kernel's, `mapped_stride` bytes apart
    uint32_t *heir;   // who has the ring: `owner`, until a successor does
    uint32_t *bell;   // a futex: grows when a successor wants something
    uint32_t *answers; // a futex: grows when it was done
    uint64_t record_size, place_offset, fetch_offset, buffer_stride, mapped_stride;
    uint64_t length;  // bytes of a transfer
    uint64_t actual_offset; // in a record: how many of them came (u32), where they lie in one piece; 0 where they don't
    uint32_t *is_mapped; // of each transfer, whether the kernel's memory is mapped
    uint32_t count;
    uint32_t owner;   // what `place` says of this process's mappings; not 0
};

/// By what a filter knows the one process that it allows: CLONE_VM, CLONE_PARENT.
enum { CLINUX_KEEPER_FLAGS = 0x8100 };

/// What `fetch` says.
enum clinux_fetch {
    CLINUX_FETCH_NONE,
    /// The successor waits for the bytes; it may change its mind by putting NONE back, unless they are being copied.
    CLINUX_FETCH_WANTED,
    /// Once they lie in the ring's memory, `place` is 0.
    CLINUX_FETCH_COPYING,
};

/// Starts this process's keeper, once: a process of its own in the same memory, which runs a few lines of C. It sleeps until `watched` is readable or
/// hung up, which is a pidfd of this process (`clinux_pidfd_open`), and of which it keeps a duplicate and no other descriptor. Then it copies what
/// successors want, and ends when nothing is left; two seconds after the death if none has come, a minute after it if one has. Returns once it is confined.
///
/// - confined: it can't do anything but wait, copy, unmap and end. Takes a process that has given up new privileges; one that hasn't is in no
///   sandbox either.
/// Its process number, or -errno: -ENOSYS on a processor that it is not written for.
int clinux_keeper_start(int watched, int confined);

/// From now on no thread of this process starts a keeper: a second filter, over the sandbox's. 0, also in a process that may gain privileges still
/// and so is in no sandbox; or -errno.
int clinux_keeper_forbid(void);

/// The least of three times that it takes to read memory, eight bytes at a time: nanoseconds.
uint64_t clinux_reading_time(const void *bytes, uint64_t length);

/// The ring that it keeps from now on; NULL for none. One at a time.
void clinux_keeper_keep(const struct clinux_kept_ring *ring);
