// The attempts: see CAttempts.h.
#define _GNU_SOURCE
#include "CAttempts.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/usbdevice_fs.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static long raw(long number, long a, long b, long c, long d, long e, long f) {
    long r = syscall(number, a, b, c, d, e, f);
    return r < 0 ? -errno : r;
}
#define CALL6(number, a, b, c, d, e, f, ...) raw(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL(number, ...) CALL6(number, __VA_ARGS__, 0, 0, 0, 0, 0, 0)

typedef const struct circumstances *around;
static char path_buffer[256];
static const char *scratch(around a, const char *name) {
    snprintf(path_buffer, sizeof path_buffer, "%s/%s", a->scratch, name);
    return path_buffer;
}
static long open_for(const char *path, int flags) { return CALL(SYS_openat, AT_FDCWD, path, flags, 0600); }

// Files.
static long read_shadow(around a) { (void)a; return open_for("/etc/shadow", O_RDONLY); }
static long read_passwd(around a) { (void)a; return open_for("/etc/passwd", O_RDONLY); }
static long list_home(around a) { (void)a; return open_for("/root", O_RDONLY | O_DIRECTORY); }
static long list_root(around a) { (void)a; return open_for("/", O_RDONLY | O_DIRECTORY); }
static long read_scratch(around a) { return open_for(scratch(a, "secret"), O_RDONLY); }
static long read_own_memory(around a) { (void)a; return open_for("/proc/self/mem", O_RDONLY); }
static long read_supervisors_environment(around a) {
    snprintf(path_buffer, sizeof path_buffer, "/proc/%d/environ", a->supervisor);
    return open_for(path_buffer, O_RDONLY);
}
static long read_supervisors_descriptor(around a) {
    snprintf(path_buffer, sizeof path_buffer, "/proc/%d/fd/0", a->supervisor);
    return open_for(path_buffer, O_RDONLY);
}
static long read_other_node(around a) { (void)a; return open_for("/dev/zero", O_RDONLY); }
static long open_other_node(around a) { (void)a; return open_for("/dev/zero", O_RDWR); }
static long write_file(around a) { return open_for(scratch(a, "new"), O_WRONLY | O_CREAT); }
static long write_library(around a) { (void)a; return open_for("/usr/lib/os-release", O_WRONLY); }
static long append_file(around a) { return open_for(scratch(a, "secret"), O_RDONLY | O_APPEND | O_TRUNC); }
static long open_path(around a) { (void)a; return open_for("/etc", O_PATH); }
static long open_nameless(around a) { return open_for(a->scratch, O_RDWR | O_TMPFILE); }
static long open_how(around a) {
    uint64_t how[3] = {O_RDONLY, 0, 0};
    (void)a;
    return CALL(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof how);
}
static long open_handle(around a) {
    struct { unsigned bytes; int type; char handle[8]; } handle = {8, 1, {0}};
    (void)a;
    return CALL(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY);
}
static long truncate_file(around a) { return CALL(SYS_truncate, scratch(a, "secret"), 0); }
static long make_folder(around a) { return CALL(SYS_mkdirat, AT_FDCWD, scratch(a, "folder"), 0700); }
static long make_node(around a) { return CALL(SYS_mknodat, AT_FDCWD, scratch(a, "node"), S_IFCHR | 0600, 0x101); }
static long remove_file(around a) { return CALL(SYS_unlinkat, AT_FDCWD, scratch(a, "secret"), 0); }
static long move_file(around a) { return CALL(SYS_renameat2, AT_FDCWD, scratch(a, "secret"), AT_FDCWD, "/tmp/moved", 0); }
static long link_file(around a) { return CALL(SYS_linkat, AT_FDCWD, scratch(a, "secret"), AT_FDCWD, "/tmp/linked", 0); }
static long symlink_file(around a) { return CALL(SYS_symlinkat, "/etc", AT_FDCWD, scratch(a, "symlink")); }
static long change_mode(around a) { return CALL(SYS_fchmodat, AT_FDCWD, scratch(a, "secret"), 0666); }
static long change_owner(around a) { return CALL(SYS_fchownat, AT_FDCWD, scratch(a, "secret"), 1, 1, 0); }
static long change_folder(around a) { (void)a; return CALL(SYS_chdir, "/"); }
static long change_root(around a) { return CALL(SYS_chroot, a->scratch); }
static long mount_something(around a) { return CALL(SYS_mount, "none", a->scratch, "tmpfs", 0, 0); }
static long memory_file(around a) { (void)a; return CALL(SYS_memfd_create, "code", 0); }
static long watch_files(around a) { (void)a; return CALL(SYS_inotify_init1, 0); }

// Network.
static struct sockaddr_in local(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return address;
}
static long connect_to(int family, int type, const void *address, unsigned length) {
    long s = CALL(SYS_socket, family, type, 0);
    return s < 0 ? s : CALL(SYS_connect, s, address, length);
}
static long connect_tcp(around a) {
    struct sockaddr_in address = local(a->tcp_port);
    return connect_to(AF_INET, SOCK_STREAM, &address, sizeof address);
}
static long send_udp(around a) {
    struct sockaddr_in address = local(a->udp_port);
    long s = CALL(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    return s < 0 ? s : CALL(SYS_sendto, s, "out", 3, 0, &address, sizeof address);
}
static long connect_unix(const char *name, int is_abstract) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + is_abstract, name, sizeof address.sun_path - 2);
    unsigned length = offsetof(struct sockaddr_un, sun_path) + (unsigned)is_abstract + (unsigned)strlen(name) + (unsigned)!is_abstract;
    return connect_to(AF_UNIX, SOCK_STREAM, &address, length);
}
static long connect_supervisor(around a) { return connect_unix(a->socket_path, 0); }
static long connect_abstract(around a) { return connect_unix(a->abstract_name, 1); }
static long open_netlink(around a) { (void)a; return CALL(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT); }
static long open_packet(around a) { (void)a; return CALL(SYS_socket, AF_PACKET, SOCK_RAW, 0); }
static long pair_of_sockets(around a) { int pair[2]; (void)a; return CALL(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair); }
static long reconnect_channel(around a) { struct sockaddr_in address = local(a->tcp_port); return CALL(SYS_connect, 3, &address, sizeof address); }
static long bind_channel(around a) { struct sockaddr_in address = local(0); (void)a; return CALL(SYS_bind, 3, &address, sizeof address); }
static long listen_channel(around a) { (void)a; return CALL(SYS_listen, 3, 1); }
static long send_elsewhere(around a) {
    struct sockaddr_in address = local(a->udp_port);
    return CALL(SYS_sendto, 3, "out", 3, 0, &address, sizeof address);
}
static long send_fast_open(around a) {
    struct sockaddr_in address = local(a->tcp_port);
    struct iovec part = {"out", 3};
    struct msghdr message = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &part, .msg_iovlen = 1};
    return CALL(SYS_sendmsg, 3, &message, MSG_FASTOPEN);
}
static long own_ring_of_calls(around a) { struct io_uring_params parameters; (void)a; memset(&parameters, 0, sizeof parameters); return CALL(SYS_io_uring_setup, 8, &parameters); }

// Processes.
static long fork_child(around a) {
    (void)a;
    long r = CALL(SYS_clone, SIGCHLD);
    if (r == 0) CALL(SYS_exit_group, 0);
    return r;
}
#ifdef SYS_fork
static long fork_plainly(around a) { (void)a; long r = CALL(SYS_fork, 0); if (r == 0) CALL(SYS_exit_group, 0); return r; }
static long fork_sharing(around a) { (void)a; return CALL(SYS_vfork, 0); }
#else
#define fork_plainly fork_child
#define fork_sharing fork_child
#endif
static long fork_newly(around a) { uint64_t arguments[8] = {[4] = SIGCHLD}; (void)a; return CALL(SYS_clone3, arguments, sizeof arguments); }
// The one process that a driver may start shares its memory, and closes its own descriptors. The real driver forbids itself another before its
// device has had a word.
int clinux_keeper_forbid(void);
static long keep_again(around a) {
    (void)a;
    long r = clinux_keeper_forbid();
    return r < 0 ? r : CALL(SYS_clone, CLONE_VM | CLONE_PARENT, 0);
}
static long keep_otherwise(around a) { (void)a; return CALL(SYS_clone, CLONE_VM | CLONE_PARENT | CLONE_FILES, 0); }
static long close_null(around a) { (void)a; return CALL(SYS_close_range, 0, 0, 0); }
static long listen_to_calls(around a) {
    struct sock_filter filter[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, filter};
    (void)a;
    return CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}
static char *nothing[] = {NULL};
static long execute_shell(around a) { (void)a; return CALL(SYS_execve, "/bin/sh", nothing, nothing); }
static long execute_again(around a) { (void)a; return CALL(SYS_execveat, 128, "", nothing, nothing, AT_EMPTY_PATH); }
static long execute_at(around a) { (void)a; return CALL(SYS_execveat, AT_FDCWD, "/bin/sh", nothing, nothing, 0); }
static long place_executable(around a) { (void)a; return CALL(SYS_fcntl, 3, F_DUPFD_CLOEXEC, 128); }
static long trace(int process) { return CALL(SYS_ptrace, PTRACE_ATTACH, process, 0, 0); }
static long trace_supervisor(around a) { return trace(a->supervisor); }
static long trace_bystander(around a) { return trace(a->bystander); }
static long be_traced(around a) { (void)a; return CALL(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); }
static long kill_supervisor(around a) { return CALL(SYS_kill, a->supervisor, SIGUSR1); }
static long kill_bystander(around a) { return CALL(SYS_kill, a->bystander, SIGKILL); }
static long kill_everybody(around a) { (void)a; return CALL(SYS_kill, -1, 0); }
static long kill_bystanders_thread(around a) { return CALL(SYS_tgkill, a->bystander, a->bystander, SIGKILL); }
static long kill_any_thread(around a) { return CALL(SYS_tkill, a->bystander, SIGKILL); }
static long queue_signal(around a) { siginfo_t info = {.si_code = SI_QUEUE}; return CALL(SYS_rt_sigqueueinfo, a->bystander, SIGKILL, &info); }
static long hold_bystander(around a) { return CALL(SYS_pidfd_open, a->bystander, 0); }
static long signal_by_owner(around a) { return CALL(SYS_fcntl, 3, F_SETOWN, a->bystander); }
static long signal_by_number(around a) { (void)a; return CALL(SYS_fcntl, 3, F_SETSIG, SIGKILL); }
static long read_memory(around a) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    return CALL(SYS_process_vm_readv, a->supervisor, &here, 1, &there, 1, 0);
}
static long write_memory(around a) {
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    return CALL(SYS_process_vm_writev, a->bystander, &here, 1, &there, 1, 0);
}
static long new_namespace(around a) { (void)a; return CALL(SYS_unshare, CLONE_NEWUSER); }
static long join_namespace(around a) { (void)a; return CALL(SYS_setns, 3, 0); }
static long real_time(around a) { struct sched_param p = {1}; (void)a; return CALL(SYS_sched_setscheduler, 0, SCHED_FIFO, &p); }
static long raise_limit(around a) { struct rlimit limit = {4096, 4096}; (void)a; return CALL(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, 0); }
static long limit_supervisor(around a) { struct rlimit limit = {0, 0}; return CALL(SYS_prlimit64, a->supervisor, RLIMIT_NOFILE, &limit, 0); }
static long be_dumpable(around a) { (void)a; return CALL(SYS_prctl, PR_SET_DUMPABLE, 1); }
static long ask_dumpable(around a) { (void)a; return CALL(SYS_prctl, PR_GET_DUMPABLE, 0); }
static long survive_supervisor(around a) { (void)a; return CALL(SYS_prctl, PR_SET_PDEATHSIG, 0); }
static long new_filter(around a) { uint32_t action = SECCOMP_RET_ALLOW; (void)a; return CALL(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action); }
static long be_root(around a) { (void)a; return CALL(SYS_setuid, 0); }
static long leave_session(around a) { (void)a; return CALL(SYS_setsid, 0); }

// Memory.
static long mapped(long prot, long flags, long fd) { return CALL(SYS_mmap, 0, 4096, prot, flags, fd, 0); }
static long writable_code(around a) { (void)a; return mapped(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1); }
static long anonymous_code(around a) { (void)a; return mapped(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1); }
static long shared_code(around a) { (void)a; return mapped(PROT_READ | PROT_EXEC, MAP_SHARED, 4); }
static long page_to_code(around a) {
    (void)a;
    long page = mapped(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    return page < 0 && page > -4096 ? page : CALL(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC);
}
static long uncounted_memory(around a) { (void)a; return mapped(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1); }
static long fault_handler(around a) { (void)a; return CALL(SYS_userfaultfd, 0); }
static long shared_segment(around a) { (void)a; return CALL(SYS_shmget, 0, 4096, 01600); }
static long shrink_page(around a) { (void)a; return CALL(SYS_ftruncate, 4, 0); }
static long shrink_ring(around a) { return CALL(SYS_ftruncate, a->ring, 0); }
static long grow_ring(around a) { return CALL(SYS_fallocate, a->ring, 0, 0, 1l << 40); }
static long seal_ring(around a) { return CALL(SYS_fcntl, a->ring, F_ADD_SEALS, F_SEAL_WRITE); }
static long write_ring(around a) { return CALL(SYS_write, a->ring, "out of order", 12); }
static long all_memory(around a) {
    (void)a;
    long total = 0;
    while (1) {
        char *more = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED) return total >> 20;
        // A page in 16: enough to have it, and kind to the machine that tests.
        for (long i = 0; i < 16 << 20; i += 65536) more[i] = 1;
        total += 16 << 20;
        if (total > 2l << 30) return total >> 20;
    }
}
static long all_descriptors(around a) {
    (void)a;
    long last = 0, next;
    while ((next = CALL(SYS_dup, 3)) >= 0) last = next;
    return last;
}
static void *sleeper(void *unused) { pause(); return unused; }
static long all_threads(around a) {
    pthread_t thread;
    (void)a;
    for (long n = 0; n < 5000; n++) if (pthread_create(&thread, NULL, sleeper, NULL) != 0) return n;
    return 5000;
}

// The kernel itself, and devices.
static long load_program(around a) { char attributes[64] = {0}; (void)a; return CALL(SYS_bpf, 5, attributes, sizeof attributes); }
static long load_module(around a) { (void)a; return CALL(SYS_init_module, "", 0, ""); }
static long read_keys(around a) { (void)a; return CALL(SYS_keyctl, 0, 0, 0); }
static long watch_performance(around a) { char attributes[64] = {0}; (void)a; return CALL(SYS_perf_event_open, attributes, 0, -1, -1, 0); }
static long read_kernel_log(around a) { (void)a; return CALL(SYS_syslog, 3, 0, 0); }
static long set_clock(around a) { (void)a; return CALL(SYS_settimeofday, 0, 0); }
static long set_host_name(around a) { (void)a; return CALL(SYS_sethostname, "mine", 4); }
static long switch_off(around a) { (void)a; return CALL(SYS_reboot, 0, 0, 0); }
static long detach_driver(around a) { struct usbdevfs_ioctl r = {0, USBDEVFS_DISCONNECT, NULL}; (void)a; return CALL(SYS_ioctl, 3, USBDEVFS_IOCTL, &r); }
static long set_configuration(around a) { int n = 0; (void)a; return CALL(SYS_ioctl, 3, USBDEVFS_SETCONFIGURATION, &n); }
static long claim_port(around a) { int n = 1; (void)a; return CALL(SYS_ioctl, 3, USBDEVFS_CLAIM_PORT, &n); }
static long signal_on_unplug(around a) { struct usbdevfs_disconnectsignal s = {SIGKILL, NULL}; (void)a; return CALL(SYS_ioctl, 3, USBDEVFS_DISCSIGNAL, &s); }
static long type_into_terminal(around a) { (void)a; return CALL(SYS_ioctl, 0, 0x5412, "x"); }
static long own_sockets_signals(around a) { int n = a->bystander; return CALL(SYS_ioctl, 3, 0x8902, &n); }
static long unknown_call(around a) { (void)a; return CALL(1999, 0); }
// What libraries ask and can do without.
static long ask_bounding_set(around a) { (void)a; return CALL(SYS_prctl, PR_CAPBSET_READ, 0); }
static long ask_ambient_set(around a) { (void)a; return CALL(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0); }
static long ask_capabilities(around a) { unsigned header[2] = {0x20080522, 0}, data[6]; (void)a; return CALL(SYS_capget, header, data); }
static long ask_groups(around a) { (void)a; return CALL(SYS_getgroups, 0, 0); }
static long ask_parent(around a) { (void)a; return CALL(SYS_getppid, 0); }
static long ask_memory_policy(around a) { (void)a; return CALL(SYS_get_mempolicy, 0, 0, 0, 0, 0); }
static long ask_new_terminal(around a) { char state[64]; (void)a; return CALL(SYS_ioctl, 0, 0x802c542a, state); }
static long ask_processor(around a) { unsigned long features; (void)a; return CALL(SYS_arch_prctl, 0x5005, &features); }
static long droppable_memory(around a) { (void)a; return CALL(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | 0x08, -1, 0); }
static long lock_memory(around a) { (void)a; return CALL(SYS_mlock, path_buffer, 64); }
static long seal_memory(around a) { (void)a; return CALL(462, 0, 0, 0); }
static long shadow_stack(around a) { (void)a; return CALL(453, 0, 4096, 0); }

// What a library's constructor asks of which no policy has heard: a call that no kernel has, one that this process must never be able to make,
// one whose answer is on no list. As many times as the driver's name says.
static long loading_answers;
__attribute__((constructor)) static void ask_while_loading(void) {
    const char *name = getenv("USERDRIVER_DRIVER");
    if (!name || strncmp(name, "asks-", 5) != 0) return;
    int rounds = strcmp(name, "asks-without-end") == 0 ? 1000000 : 1;
    for (int i = 0; i < rounds; i++) {
        if (CALL(1999, 0) == -ENOSYS && CALL(SYS_socket, AF_UNIX, SOCK_STREAM, 0) == -ENOSYS && CALL(SYS_acct, 0) == -ENOSYS) loading_answers++;
    }
}
static long answers_while_loading(around a) { (void)a; return loading_answers; }
static long other_architecture(around a) {
    (void)a;
#if defined(__x86_64__)
    // The 32-bit ABI's number 20 is getpid; the 64-bit one's is writev, which is allowed.
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20l) : "memory", "r8", "r9", "r10", "r11");
    return r;
#else
    return CALL(1999, 0);
#endif
}

// Itself.
static long spin(around a) { (void)a; for (volatile long n = 0;; n++) {} return 0; }
static long fill_log(around a) {
    (void)a;
    static char line[4096];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 4096; i++) if (write(2, line, sizeof line) < 0) return -errno;
    return 0;
}

static const struct { const char *name; long (*attempt)(around); } table[] = {
#define ENTRY(name) {#name, name}
    ENTRY(read_shadow), ENTRY(read_passwd), ENTRY(list_home), ENTRY(list_root), ENTRY(read_scratch), ENTRY(read_own_memory),
    ENTRY(read_supervisors_environment), ENTRY(read_supervisors_descriptor), ENTRY(read_other_node), ENTRY(open_other_node),
    ENTRY(write_file), ENTRY(write_library), ENTRY(append_file), ENTRY(open_path), ENTRY(open_nameless), ENTRY(open_how),
    ENTRY(open_handle), ENTRY(truncate_file), ENTRY(make_folder), ENTRY(make_node), ENTRY(remove_file), ENTRY(move_file),
    ENTRY(link_file), ENTRY(symlink_file), ENTRY(change_mode), ENTRY(change_owner), ENTRY(change_folder), ENTRY(change_root),
    ENTRY(mount_something), ENTRY(memory_file), ENTRY(watch_files), ENTRY(connect_tcp), ENTRY(send_udp), ENTRY(connect_supervisor),
    ENTRY(connect_abstract), ENTRY(open_netlink), ENTRY(open_packet), ENTRY(pair_of_sockets), ENTRY(reconnect_channel),
    ENTRY(bind_channel), ENTRY(listen_channel), ENTRY(send_elsewhere), ENTRY(send_fast_open), ENTRY(own_ring_of_calls),
    ENTRY(fork_child), ENTRY(fork_plainly), ENTRY(fork_sharing), ENTRY(fork_newly), ENTRY(keep_again), ENTRY(keep_otherwise), ENTRY(close_null), ENTRY(listen_to_calls), ENTRY(execute_shell), ENTRY(execute_again),
    ENTRY(execute_at), ENTRY(place_executable), ENTRY(trace_supervisor), ENTRY(trace_bystander), ENTRY(be_traced),
    ENTRY(kill_supervisor), ENTRY(kill_bystander), ENTRY(kill_everybody), ENTRY(kill_bystanders_thread), ENTRY(kill_any_thread),
    ENTRY(queue_signal), ENTRY(hold_bystander), ENTRY(signal_by_owner), ENTRY(signal_by_number), ENTRY(read_memory),
    ENTRY(write_memory), ENTRY(new_namespace), ENTRY(join_namespace), ENTRY(real_time), ENTRY(raise_limit), ENTRY(limit_supervisor),
    ENTRY(be_dumpable), ENTRY(ask_dumpable), ENTRY(survive_supervisor), ENTRY(new_filter), ENTRY(be_root), ENTRY(leave_session), ENTRY(writable_code),
    ENTRY(anonymous_code), ENTRY(shared_code), ENTRY(page_to_code), ENTRY(uncounted_memory), ENTRY(fault_handler),
    ENTRY(shared_segment), ENTRY(shrink_page), ENTRY(shrink_ring), ENTRY(grow_ring), ENTRY(seal_ring), ENTRY(write_ring),
    ENTRY(all_memory), ENTRY(all_descriptors), ENTRY(all_threads), ENTRY(load_program), ENTRY(load_module), ENTRY(read_keys),
    ENTRY(watch_performance), ENTRY(read_kernel_log), ENTRY(set_clock), ENTRY(set_host_name), ENTRY(switch_off),
    ENTRY(detach_driver), ENTRY(set_configuration), ENTRY(claim_port), ENTRY(signal_on_unplug), ENTRY(type_into_terminal),
    ENTRY(own_sockets_signals), ENTRY(unknown_call), ENTRY(ask_bounding_set), ENTRY(ask_ambient_set), ENTRY(ask_capabilities),
    ENTRY(ask_groups), ENTRY(ask_parent), ENTRY(ask_memory_policy), ENTRY(ask_new_terminal), ENTRY(ask_processor), ENTRY(droppable_memory),
    ENTRY(lock_memory), ENTRY(seal_memory), ENTRY(shadow_stack), ENTRY(answers_while_loading), ENTRY(other_architecture), ENTRY(spin), ENTRY(fill_log),
};

long attempt(const char *name, const struct circumstances *around) {
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0) return table[i].attempt(around);
    return -99999;
}
