// Closing what may wait.
#pragma once

/// Closes `fd` and drops what goes with it. Where that waits for somebody (a lingering socket), the calling thread interrupts the wait after
/// `milliseconds`, and each one after it: what is left is then the kernel's business. Not for threads that mind a signal.
void clinux_close_impatiently(int fd, unsigned milliseconds);
