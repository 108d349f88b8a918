// The policies: which calls the loader, the C library, Swift's runtime, the channel and a device take, each with its reason where it has limits.

import CLinux
import Glibc

extension SandboxPolicy {
    /// Where the loader finds the system's libraries.
    public static let systemLibraryFolders = ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64"]

    /// The policy for a driver of this kind (`"webcam"`). Every driver has one device, of usbfs or behind a USB/IP socket that it is handed, and
    /// the channel to its supervisor; a kind that needs more has a case of its own here.
    /// - Parameter survivesSupervisor: it may choose not to be ended by the kernel when its
    ///   supervisor ends.
    public static func driver(kind: String, survivesSupervisor: Bool = false) -> SandboxPolicy {
        switch kind {
        default:
            SandboxPolicy(
                name: "driver", calls: loading + runtime + channel + socket + usbfs + keeping + (survivesSupervisor ? surviving : []),
                limits: driverLimits, libraryFolders: systemLibraryFolders)
        }
    }

    /// The policy of `usbip-proxy`, which has a device's socket and its driver's, and memory to
    /// share: all of a driver's but usbfs.
    public static let port = SandboxPolicy(
        name: "port", calls: loading + runtime + channel + socket, limits: driverLimits, libraryFolders: systemLibraryFolders)

    /// The policy of the process that looks up names for a crash report: files that it was handed, and one pipe. What it reads was chosen by a
    /// driver, so its memory and time are what a report is worth.
    public static let names = SandboxPolicy(
        // A filter's listener is sent over a socket that goes with the execution.
        name: "names", calls: loading + runtime + channel,
        limits: driverLimits.filter { $0.resource != limit(RLIMIT_DATA) } + [
            Limit(resource: limit(RLIMIT_DATA), value: 96 << 20),
            Limit(resource: limit(RLIMIT_CPU), value: 4),
        ], libraryFolders: systemLibraryFolders)

    /// The policy of `userdriver-video`'s server, which shows cameras to the kernel: sockets that it was handed, the daemon's socket, and
    /// memory to look at. It opens no file.
    public static let video = SandboxPolicy(
        name: "video", calls: loading + runtime.filter { $0.names != ["futex_waitv"] } + channel + socket + daemonClient,
        limits: driverLimits.filter { $0.resource != limit(RLIMIT_DATA) && $0.resource != limit(RLIMIT_NOFILE) } + [
            // A camera's pictures, and three threads for each node that streams.
            Limit(resource: limit(RLIMIT_DATA), value: 2 << 30),
            // Five for each node that streams; below `CLINUX_EXECUTABLE_DESCRIPTOR` as a driver's.
            Limit(resource: limit(RLIMIT_NOFILE), value: 126),
        ], libraryFolders: systemLibraryFolders)

    private static let driverLimits = [
        // Private memory that can be written to. Thread stacks count in full, 8 MiB each.
        Limit(resource: limit(RLIMIT_DATA), value: 512 << 20),
        // What is mapped at all: each thread's malloc arena reserves 64 MiB of addresses and uses next to none.
        Limit(resource: limit(RLIMIT_AS), value: 16 << 30),
        // Below `CLINUX_EXECUTABLE_DESCRIPTOR`, which is what makes the execution a single one.
        Limit(resource: limit(RLIMIT_NOFILE), value: 64),
        // Processes and threads of the whole user, so a bound on a flood and no more; new processes are the filter's business.
        Limit(resource: limit(__RLIMIT_NPROC), value: 4096),
        Limit(resource: limit(RLIMIT_CORE), value: 0),
        // No file can be made longer by writing to it.
        Limit(resource: limit(RLIMIT_FSIZE), value: 0),
        Limit(resource: limit(__RLIMIT_RTPRIO), value: 0),
        Limit(resource: limit(__RLIMIT_NICE), value: 0),
        Limit(resource: limit(__RLIMIT_MSGQUEUE), value: 0),
    ]

    private static func limit(_ resource: __rlimit_resource) -> Int32 { Int32(resource.rawValue) }

    /// From the execution to `main`: what the loader needs, and what libraries only ask (`questions`).
    private static let loading: [SystemCallRule] = loader + questions

    private static let loader: [SystemCallRule] = [
        // The one execution: afterwards no descriptor can have that number.
        .allow("execveat", when: .word(0, is: UInt64(CLINUX_EXECUTABLE_DESCRIPTOR)), .word(4, is: UInt64(Flags.emptyPath))),
        // Open for reading, without any side effect; which files is Landlock's business.
        .allow("open", when: .bits(1, of: Flags.beyondReading)),
        .allow("openat", when: .bits(2, of: Flags.beyondReading)),
        // libusb, which drivers of others may have, looks whether there are nodes and what is mounted at /sys, and does without.
        .fail("open", with: EACCES, when: .bits(1, of: Flags.beyondReadingFolders | O_DIRECTORY, are: O_DIRECTORY)),
        .fail("openat", with: EACCES, when: .bits(2, of: Flags.beyondReadingFolders | O_DIRECTORY, are: O_DIRECTORY)),
        .fail("statfs", with: EACCES),
        // Once a second libdispatch reads /proc/THREAD/stat of its workers where work waits, and ends the process if it can't. Nobody else opens
        // with exactly these flags. It is given descriptor 0, which is /dev/null for life, and learns nothing.
        .pretend("open", when: .word(1, is: UInt64(O_NONBLOCK))),
        .pretend("openat", when: .word(2, is: UInt64(O_NONBLOCK))),
        .pretend("close", when: .word(0, is: 0)),
        // The loader's questions: is there a file that preloads libraries, which folder is the executable in?
        .fail("access", "faccessat", "faccessat2", with: EACCES),
        .fail("readlink", "readlinkat", with: EACCES),
        .allow("fstat", "stat", "newfstatat", "lseek", "pread64"),
        .fail("statx", with: ENOSYS),
        // Code comes from files only and is never writable; a page that is written never becomes code.
        .allow(
            "mmap", when: .bits(2, of: PROT_EXEC | PROT_WRITE, are: PROT_EXEC), .bits(3, of: MAP_ANONYMOUS | MAP_TYPE, are: MAP_PRIVATE)),
        // Memory is private, or a file's: what is shared and anonymous, or grows down, is not counted by RLIMIT_DATA.
        .allow("mmap", when: .bits(2, of: PROT_EXEC), .bits(3, of: MAP_ANONYMOUS | Flags.growsDown)),
        .allow(
            "mmap", when: .bits(2, of: PROT_EXEC),
            .bits(3, of: MAP_ANONYMOUS | Flags.growsDown | MAP_TYPE, are: MAP_ANONYMOUS | MAP_PRIVATE)),
        .allow("mprotect", when: .bits(2, of: PROT_EXEC)),
        .allow("brk", "munmap", "mremap", "madvise"),
        .allow("arch_prctl", when: .word(0, is: 0x1002)),  // ARCH_SET_FS: thread-local storage
        .fail("arch_prctl", with: EINVAL, when: .word(0, is: 0x3001)),  // ARCH_CET_STATUS
        .allow("set_tid_address", "set_robust_list", "rseq", "getrandom", "uname", "sysinfo"),
        .allow("getuid", "geteuid", "getgid", "getegid"),
        // Limits are read, not set.
        .allow("prlimit64", when: .full(2, is: 0)),
        .allow("getrlimit"),
    ]

    /// Threads, time, waiting, signals to oneself, the end.
    private static let runtime: [SystemCallRule] = [
        .allow("read", "readv", "write", "writev", "dup", "pause"),
        .allow("close", when: .full(0, isNot: 0)),
        .allow("futex", "sched_yield", "sched_getaffinity", "getcpu", "membarrier"),
        .fail("futex_waitv", with: ENOSYS),
        // A thread of this process, with the flags of glibc's pthread_create. Those of clone3 lie in memory, where a filter can't look.
        .fail("clone3", with: ENOSYS),
        .allow("clone", when: .full(0, is: Flags.thread)),
        .allow("exit", "exit_group", "restart_syscall"),
        .allow("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
        .allow("getpid", "gettid"),
        .allow("tgkill", when: .ownProcess(0)),
        .allow("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time"),
        .allow("epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2"),
        .allow("timerfd_create", "timerfd_settime", "poll", "ppoll"),
        // Not F_SETOWN and F_SETSIG, which make the kernel send signals, nor F_ADD_SEALS.
        .allow("fcntl", when: .word(1, is: UInt64(F_GETFD))),
        .allow("fcntl", when: .word(1, is: UInt64(F_SETFD))),
        .allow("fcntl", when: .word(1, is: UInt64(F_GETFL))),
        .allow("fcntl", when: .word(1, is: UInt64(F_SETFL)), .bits(2, of: O_ASYNC)),
        .allow("fcntl", when: .word(1, is: UInt64(F_DUPFD_CLOEXEC))),
        .allow("fcntl", when: .word(1, is: UInt64(F_GET_SEALS))),
        .allow("prctl", when: .word(0, is: 15)),  // PR_SET_NAME
        .allow("prctl", when: .word(0, is: 3)),  // PR_GET_DUMPABLE
        .fail("prctl", with: EINVAL, when: .word(0, is: 0x5356_4d41)),  // PR_SET_VMA: names for malloc's memory
        // libdispatch raises its manager's thread and writes to the system's log where it can't.
        .pretend("setpriority"),
        // The C library asks whether standard output is a terminal (TCGETS).
        .fail("ioctl", with: ENOTTY, when: .word(1, is: 0x5401)),
    ]

    /// An end by the clock instead of the parent's, and back: `clinux_survive_parent`.
    private static let surviving: [SystemCallRule] = [
        .allow("prctl", when: .word(0, is: 1), .full(1, is: 0)),  // PR_SET_PDEATHSIG
        .allow("prctl", when: .word(0, is: 1), .full(1, is: UInt64(SIGKILL))),
        .allow("setitimer", when: .word(0, is: 0)),  // ITIMER_REAL
    ]

    /// The keeper of its transfers (`clinux_keeper_start`): one process, in the same memory and behind the same filter. Once it runs, and before the
    /// device has had a word, a filter of the driver's own forbids another; what it may do itself is less than this.
    private static let keeping: [SystemCallRule] = [
        .allow("clone", when: .full(0, is: UInt64(CLINUX_KEEPER_FLAGS))),
        .allow("pidfd_open", when: .ownProcess(0), .full(1, is: 0)),
        .allow("close_range", when: .full(0, isNot: 0), .full(2, is: 0)),
        // SECCOMP_SET_MODE_FILTER, for this thread or for all (TSYNC): what is given up is given up.
        .allow("seccomp", when: .word(0, is: 1), .full(1, is: 0)),
        .allow("seccomp", when: .word(0, is: 1), .full(1, is: 1)),
    ]

    /// Messages on sockets that the process was given. MSG_FASTOPEN would connect.
    private static let channel: [SystemCallRule] = [
        .allow("sendmsg", when: .bits(2, of: Flags.fastOpen)),
        .allow("recvmsg"),
    ]

    /// A USB/IP server's connection.
    private static let socket: [SystemCallRule] = [
        .allow("sendto", when: .bits(3, of: Flags.fastOpen), .full(4, is: 0)),
        .allow("recvfrom", "shutdown"),
    ]

    /// Finding the daemon, again and again, and waiting for frames beside news.
    private static let daemonClient: [SystemCallRule] = [
        // Sockets in the file system; which can be reached is their files' business.
        .allow("socket", when: .word(0, is: UInt64(AF_UNIX)), .bits(1, of: 0xf, are: 1)),  // SOCK_STREAM
        .allow("connect"),
        // The folder of the daemon's socket is watched. Nothing is read by it.
        .allow("inotify_init1", "inotify_add_watch", "inotify_rm_watch"),
        .allow("futex_waitv"),
    ]

    /// What a device's node is asked: by our own framework (`USBFS`), and by libusb for drivers of others. Which interfaces can be claimed was settled by the supervisor (USBDEVFS_DROP_PRIVILEGES); drivers of
    /// the kernel are neither attached nor detached, and the configuration stays.
    private static let usbfs: [SystemCallRule] = [
        CLINUX_USBFS_CONTROL, CLINUX_USBFS_BULK, CLINUX_USBFS_RESETEP, CLINUX_USBFS_SETINTERFACE, CLINUX_USBFS_SUBMITURB,
        CLINUX_USBFS_DISCARDURB, CLINUX_USBFS_REAPURB, CLINUX_USBFS_REAPURBNDELAY, CLINUX_USBFS_CLAIMINTERFACE,
        CLINUX_USBFS_RELEASEINTERFACE,
        CLINUX_USBFS_CONNECTINFO, CLINUX_USBFS_RESET, CLINUX_USBFS_CLEAR_HALT, CLINUX_USBFS_GET_CAPABILITIES, CLINUX_USBFS_GET_SPEED,
    ].map { .allow("ioctl", when: .word(1, is: UInt64($0))) }
}

private enum Flags {
    static let emptyPath = 0x1000  // AT_EMPTY_PATH
    /// Any of these makes `open` more than reading a folder. O_PATH and the bit of O_TMPFILE are not in Glibc's module.
    static let beyondReadingFolders = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | 0o20_000_000 | 0o10_000_000
    /// And more than reading a file; O_NONBLOCK is libdispatch's mark.
    static let beyondReading = beyondReadingFolders | O_NONBLOCK | O_DIRECTORY
    /// CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID
    static let thread: UInt64 = 0x3d_0f00
    static let fastOpen: Int32 = 0x2000_0000
    /// MAP_GROWSDOWN
    static let growsDown: Int32 = 0x100
}
