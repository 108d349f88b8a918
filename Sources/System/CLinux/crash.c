// Last words: see crash.h.
#define _GNU_SOURCE
#include "crash.h"
#include <link.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static struct clinux_last_words *clinux_last_words_page;

static void clinux_crash_note(uint64_t address) {
    struct clinux_last_words *page = clinux_last_words_page;
    if (page->frame_count < CLINUX_CRASH_FRAMES) page->frames[page->frame_count++] = address;
}

/// The object that an address lies in: 0 none, 1 a shared object, 2 the executable itself.
static int clinux_crash_place(uint64_t address) {
    struct clinux_last_words *page = clinux_last_words_page;
    for (uint32_t i = 0; i < page->object_count; i++)
        if (address >= page->objects[i].start && address < page->objects[i].end) return page->objects[i].path[0] ? 1 : 2;
    return 0;
}

/// Whether a frame record (the caller's frame pointer, then the return address) may lie there.
static int clinux_crash_is_record(uint64_t at, uint64_t reach) {
    const uint64_t *record = (const uint64_t *)at;
    return at % 8 == 0 && clinux_crash_place(record[1]) && (record[0] == 0 || (record[0] > at && record[0] - at < reach));
}

// Async-signal-safe: it reads registers and the chain of frame pointers and writes into one page. A chain that leads astray faults
// again, and with the default action by then: the process ends with what has been noted up to there.
static void clinux_crash_handler(int number, siginfo_t *info, void *context) {
    struct clinux_last_words *page = clinux_last_words_page;
    if (page && !page->signal_number) {
        ucontext_t *user = (ucontext_t *)context;
#if defined(__x86_64__)
        uint64_t pc = (uint64_t)user->uc_mcontext.gregs[REG_RIP];
        uint64_t frame = (uint64_t)user->uc_mcontext.gregs[REG_RBP];
        uint64_t stack = (uint64_t)user->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
        uint64_t pc = user->uc_mcontext.pc, frame = user->uc_mcontext.regs[29], stack = user->uc_mcontext.sp;
#else
#error "no frame-pointer walk for this processor"
#endif
        page->fault_address = (uint64_t)info->si_addr;
        page->frame_count = 0;
        page->signal_number = (uint32_t)number;
        clinux_crash_note(pc);
        // C libraries keep no frame pointers. Where the signal came while one ran (abort), its callers are guessed: words a little up the
        // stack that point into the executable, up to the first frame record.
        if (clinux_crash_place(pc) != 2) {
            uint64_t end = stack + 4096, at = stack, noted = 0;
            int known = frame > stack && frame < end && clinux_crash_is_record(frame, 64u << 10);
            for (; at < end && at != (known ? frame : 0); at += 8) {
                uint64_t word = *(const uint64_t *)at;
                if (!known && clinux_crash_is_record(at, 64u << 10) && *(const uint64_t *)at && clinux_crash_is_record(word, 1u << 20)) break;
                if (clinux_crash_place(word) == 2 && noted++ < 4) clinux_crash_note(word);
            }
            if (!known && at < end) frame = at;
        }
        uint64_t limit = stack + (64u << 20);
        while (frame >= stack && frame + 16 <= limit && frame % 8 == 0) {
            const uint64_t *record = (const uint64_t *)frame;
            if (!record[1]) break;
            clinux_crash_note(record[1]);
            if (record[0] <= frame || page->frame_count >= CLINUX_CRASH_FRAMES) break;
            frame = record[0];
        }
    }
    // SA_RESETHAND has put the default action back: let the signal end the process as it would have.
    raise(number);
}

static int clinux_note_object(struct dl_phdr_info *info, size_t size, void *data) {
    struct clinux_last_words *page = (struct clinux_last_words *)data;
    (void)size;
    if (page->object_count >= CLINUX_CRASH_OBJECTS) return 1;
    uint64_t start = ~0ull, end = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        uint64_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, to = from + info->dlpi_phdr[i].p_memsz;
        if (from < start) start = from;
        if (to > end) end = to;
    }
    uint32_t n = page->object_count++;
    page->objects[n].base = info->dlpi_addr;
    page->objects[n].start = start;
    page->objects[n].end = end;
    strncpy(page->objects[n].path, info->dlpi_name ? info->dlpi_name : "", sizeof page->objects[n].path - 1);
    return 0;
}

void clinux_use_alternate_stack(void) {
    stack_t stack;
    memset(&stack, 0, sizeof stack);
    stack.ss_size = 64 << 10;
    stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp != MAP_FAILED) sigaltstack(&stack, NULL);
}

void clinux_release_alternate_stack(void) {
    stack_t none, old;
    memset(&none, 0, sizeof none);
    none.ss_flags = SS_DISABLE;
    if (sigaltstack(&none, &old) == 0 && !(old.ss_flags & SS_DISABLE)) munmap(old.ss_sp, old.ss_size);
}

void clinux_install_crash_handler(void *page) {
    struct clinux_last_words *words = (struct clinux_last_words *)page;
    memset(words, 0, sizeof *words);
    dl_iterate_phdr(clinux_note_object, words);
    words->magic = CLINUX_CRASH_MAGIC;
    clinux_last_words_page = words;
    clinux_use_alternate_stack();
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = clinux_crash_handler;
    action.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_ONSTACK | SA_NODEFER);
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    for (unsigned i = 0; i < sizeof fatal / sizeof *fatal; i++) sigaction(fatal[i], &action, NULL);
}
