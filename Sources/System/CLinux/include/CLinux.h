// Linux for Swift: system calls that Glibc's module does not carry, one header a topic; inline where nothing needs _GNU_SOURCE.
// Functions return what the system call returns, with -errno in place of -1 (so that Swift never reads errno too late).
#pragma once
#include "atomics.h"
#include "closing.h"
#include "crash.h"
#include "files.h"
#include "gadget.h"
#include "keeper.h"
#include "memory.h"
#include "process.h"
#include "sandbox.h"
#include "signals.h"
#include "sockets.h"
#include "tcp.h"
#include "trace.h"
#include "usbfs.h"
#include "wait.h"
