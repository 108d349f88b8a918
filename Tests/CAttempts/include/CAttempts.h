// What a driver that somebody has taken over might try, as bare system calls: no library between the try and the kernel.
#pragma once

/// What is around to be attacked.
struct circumstances {
    int supervisor;           // process numbers
    int bystander;
    int tcp_port, udp_port;   // at 127.0.0.1, where a test listens
    const char *socket_path;  // the supervisor's
    const char *abstract_name;
    const char *scratch;      // a folder that the user may write to
    int ring;                 // a frame ring's descriptor, -1 for none
};

/// Tries `name`. What the system call returned, -errno where it failed; -99999 for a name that isn't known.
long attempt(const char *name, const struct circumstances *around);
