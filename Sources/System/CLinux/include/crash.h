// Last words: a fatal signal's handler that writes number, address and return addresses into shared
// memory, which survives the process.
#pragma once
#include <stdint.h>

#define CLINUX_CRASH_FRAMES 64
#define CLINUX_CRASH_OBJECTS 24
#define CLINUX_CRASH_MAGIC 0x3130485341524355ull  // "UCRASH01"

/// One page, written by the driver and read by the supervisor, which trusts none of it.
struct clinux_last_words {
    uint64_t magic;         // set at installation
    uint32_t signal_number; // 0 until a fatal signal was caught
    uint32_t frame_count;
    uint64_t fault_address;
    uint64_t frames[CLINUX_CRASH_FRAMES];  // innermost first: the faulting instruction, then return addresses
    uint32_t object_count;
    uint32_t reserved;
    struct {
        uint64_t base;  // what to subtract from an address to get one of the ELF file
        uint64_t start, end;
        char path[96];  // empty for the executable itself
    } objects[CLINUX_CRASH_OBJECTS];
};

/// Gives the calling thread a stack of its own for signal handlers, so that a stack overflow can be told. Call once a thread.
void clinux_use_alternate_stack(void);

/// Gives it back, at the thread's end.
void clinux_release_alternate_stack(void);

/// From now on fatal signals leave their last words in `page` (at least `sizeof(struct clinux_last_words)` bytes, shared).
void clinux_install_crash_handler(void *page);
