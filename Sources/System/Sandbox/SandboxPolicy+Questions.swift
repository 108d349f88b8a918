// What libraries ask when they are loaded and can do without: refused in the kernel's own words instead of ending the process.

import Glibc

extension SandboxPolicy {
    /// Questions of the loader's, of libraries' constructors and of C libraries newer or older than the one that this was made on. None of them
    /// is made: each fails as on a kernel that does not know it, or as for somebody who may not ask. What would give a driver
    /// anything is no question and is not here. One that is missing here is refused by the supervisor while a process loads (`CallListener.refuse`).
    static let questions: [SystemCallRule] =
        processQuestions + machineQuestions + memoryQuestions + newerCalls
        // Values that `prctl` only reads.
        + readingOperations.map { .fail("prctl", with: EINVAL, when: .word(0, is: $0)) }
        // 32-bit x86 and CET: what glibc asks before it knows whether the processor has a shadow stack, and what it would switch on.
        + (0x5001...0x5005).map { .fail("arch_prctl", with: EINVAL, when: .word(0, is: $0)) }
        + (0x1021...0x1025).map { .fail("arch_prctl", with: EINVAL, when: .word(0, is: $0)) }  // ARCH_GET_XCOMP_SUPP…: AMX
        + (0x4001...0x4003).map { .fail("arch_prctl", with: EINVAL, when: .word(0, is: $0)) }  // ARCH_GET_UNTAG_MASK…: LAM

    private static let readingOperations: [UInt64] = [
        2,  // PR_GET_PDEATHSIG
        7,  // PR_GET_KEEPCAPS
        16,  // PR_GET_NAME
        21,  // PR_GET_SECCOMP: libraries with a sandbox of their own
        23,  // PR_CAPBSET_READ: libcap's constructor, which systemd's libraries load since 254
        25,  // PR_GET_TSC
        27,  // PR_GET_SECUREBITS
        30,  // PR_GET_TIMERSLACK
        34,  // PR_MCE_KILL_GET
        37,  // PR_GET_CHILD_SUBREAPER
        39,  // PR_GET_NO_NEW_PRIVS
        40,  // PR_GET_TID_ADDRESS
        42,  // PR_GET_THP_DISABLE: malloc's hugetlb tunable, jemalloc
        46,  // PR_GET_FP_MODE (MIPS)
        47,  // PR_CAP_AMBIENT: libcap's constructor asks for what is set; there is nothing to set
        51,  // PR_SVE_GET_VL (ARM)
        52,  // PR_GET_SPECULATION_CTRL
        56,  // PR_GET_TAGGED_ADDR_CTRL: glibc's memory tagging on ARM
        58,  // PR_GET_IO_FLUSHER
        61,  // PR_PAC_GET_ENABLED_KEYS (ARM)
        64,  // PR_SME_GET_VL (ARM)
        66,  // PR_GET_MDWE
        70,  // PR_RISCV_V_GET_CONTROL
        74,  // PR_GET_SHADOW_STACK_STATUS (ARM, RISC-V)
        0x4155_5856,  // PR_GET_AUXV
    ]

    private static let processQuestions: [SystemCallRule] = [
        // libcap: which version of capabilities, and what has this process? Nothing.
        .fail("capget", with: EPERM),
        // As `getuid`, which are allowed: glibc's __libc_enable_secure, libraries that are wary of set-user-ID programs.
        .allow("getresuid", "getresgid"),
        // Groups, and the parent's number: none that could be named here.
        .pretend("getgroups", "getppid"),
        .fail("getpgid", "getsid", "getpriority", "ioprio_get", "getrusage", "times", with: ENOSYS),
        .fail("sched_getparam", "sched_getscheduler", "sched_getattr", with: EPERM),
        .allow("sched_get_priority_max", "sched_get_priority_min"),
        // personality(0xffffffff) asks; sanitizers and jemalloc do.
        .fail("personality", with: EPERM),
        .fail("getcwd", with: EACCES),
        .allow("timerfd_gettime"),
    ]

    private static let machineQuestions: [SystemCallRule] = [
        // Where is this file mounted? As `statfs`.
        .fail("fstatfs", with: EACCES),
        // Advice on how a file will be read can be left.
        .pretend("fadvise64", "readahead"),
        // Is that a terminal, by glibc 2.42's name for it (TCGETS2), and how wide is it (TIOCGWINSZ)?
        .fail("ioctl", with: ENOTTY, when: .word(1, is: 0x802c_542a)),
        .fail("ioctl", with: ENOTTY, when: .word(1, is: 0x5413)),
    ]

    private static let memoryQuestions: [SystemCallRule] = [
        // libnuma's constructor.
        .fail("get_mempolicy", with: ENOSYS),
        // Unwinders and malloc: is there a page at this address?
        .fail("mincore", "msync", with: ENOMEM),
        // Cryptographic libraries keep keys off the disk; there is no right to.
        .fail("mlock", "mlock2", with: EPERM),
        .fail("pkey_alloc", with: ENOSPC),
        // glibc 2.41 keeps what getrandom's vDSO needs in memory that may be dropped (MAP_DROPPABLE), and does without on kernels before 6.11.
        .fail("mmap", with: EINVAL, when: .bits(3, of: MAP_ANONYMOUS | MAP_TYPE, are: MAP_ANONYMOUS | 0x08)),
    ]

    /// Calls that kernels have got since Debian 12's 6.1, which C libraries try and do without where they are missing.
    private static let newerCalls: [SystemCallRule] = [
        .fail("cachestat", "map_shadow_stack", "futex_wake", "futex_wait", "futex_requeue", with: ENOSYS),
        .fail("statmount", "listmount", "lsm_get_self_attr", "lsm_list_modules", with: ENOSYS),
        // The loader seals what it has mapped, since glibc 2.42.
        .fail("mseal", with: ENOSYS),
        // What can this processor do?
        .fail("riscv_hwprobe", with: ENOSYS),
    ]
}
