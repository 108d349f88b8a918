// The function of the same name that would be called without this library.
#pragma once
#include <dlfcn.h>

#pragma GCC visibility push(hidden)

/// Looked for once; two threads that look at once find the same.
#define NEXT(name)                                                        \
    ({                                                                    \
        static __typeof__(&name) next;                                    \
        if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);     \
        next;                                                             \
    })

#pragma GCC visibility pop
