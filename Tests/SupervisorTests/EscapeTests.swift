// A driver that was taken over tries to get out, to harm others, to wear the supervisor down. Each try is a test.

import FrameRing
import Glibc
import Testing
import Wire

@testable import Supervisor

@Suite(.serialized, .timeLimit(.minutes(15)), EscapeScope()) struct EscapeTests {
    private func attempt(_ name: String, _ expected: Outcome) async throws {
        try await #require(EscapeBench.shared).attempt(name, expected)
    }

    @Test(arguments: [
        "read_shadow", "read_passwd", "list_home", "list_root", "read_scratch", "read_own_memory", "read_supervisors_environment",
        "read_supervisors_descriptor", "read_other_node",
    ]) func filesCannotBeRead(name: String) async throws { try await attempt(name, .fails(EACCES)) }

    @Test(arguments: [
        ("open_other_node", "openat"), ("write_file", "openat"), ("write_library", "openat"), ("append_file", "openat"),
        ("open_path", "openat"), ("open_nameless", "openat"), ("open_how", "openat2"), ("open_handle", "open_by_handle_at"),
        ("truncate_file", "truncate"), ("make_folder", "mkdirat"), ("make_node", "mknodat"), ("remove_file", "unlinkat"),
        ("move_file", "renameat2"), ("link_file", "linkat"), ("symlink_file", "symlinkat"), ("change_mode", "fchmodat"),
        ("change_owner", "fchownat"), ("change_folder", "chdir"), ("change_root", "chroot"), ("mount_something", "mount"),
        ("memory_file", "memfd_create"), ("watch_files", "inotify_init1"),
    ]) func nothingCanBeWritten(name: String, call: String) async throws { try await attempt(name, .forbidden(call)) }

    @Test(arguments: [
        ("connect_tcp", "socket"), ("send_udp", "socket"), ("connect_supervisor", "socket"), ("connect_abstract", "socket"),
        ("open_netlink", "socket"), ("open_packet", "socket"), ("pair_of_sockets", "socketpair"), ("reconnect_channel", "connect"),
        ("bind_channel", "bind"), ("listen_channel", "listen"), ("send_elsewhere", "sendto"), ("send_fast_open", "sendmsg"),
        ("own_ring_of_calls", "io_uring_setup"),
    ]) func nobodyCanBeReached(name: String, call: String) async throws { try await attempt(name, .forbidden(call)) }

    @Test(arguments: [
        ("fork_child", "clone"), ("execute_shell", "execve"), ("execute_at", "execveat"), ("new_namespace", "unshare"),
        ("join_namespace", "setns"), ("new_filter", "seccomp"), ("listen_to_calls", "seccomp"),
        ("keep_otherwise", "clone"), ("close_null", "close_range"), ("be_root", "setuid"), ("leave_session", "setsid"),
    ]) func noProcessIsStartedOrChanged(name: String, call: String) async throws { try await attempt(name, .forbidden(call)) }

    #if arch(x86_64)
        @Test(arguments: [("fork_plainly", "fork"), ("fork_sharing", "vfork")]) func noProcessIsForked(name: String, call: String)
            async throws
        {
            try await attempt(name, .forbidden(call))
        }
        /// The second ABI of the machine is no way round the list.
        @Test func theOtherArchitectureIsClosed() async throws { try await attempt("other_architecture", .ends("SIG")) }
    #endif

    @Test func newCallsForProcessesAreUnknown() async throws { try await attempt("fork_newly", .fails(ENOSYS)) }

    /// A driver's keeper shares its memory; that it is the only one is the driver's own filter's doing.
    @Test func noSecondKeeperIsStarted() async throws { try await attempt("keep_again", .fails(EPERM)) }

    /// What libraries ask, on this release or on the next one, is answered as on a kernel that does not know it, and ends nothing.
    @Test(arguments: [
        ("ask_bounding_set", EINVAL), ("ask_ambient_set", EINVAL), ("ask_capabilities", EPERM), ("ask_memory_policy", ENOSYS),
        ("ask_new_terminal", ENOTTY), ("ask_processor", EINVAL), ("droppable_memory", EINVAL), ("lock_memory", EPERM),
        ("seal_memory", ENOSYS), ("shadow_stack", ENOSYS), ("ask_groups", 0), ("ask_parent", 0),
    ]) func questionsAreRefused(name: String, errno: Int32) async throws { try await attempt(name, .fails(errno)) }

    /// The number that the filter allows has nobody behind it, and nobody gets there.
    @Test(arguments: [("execute_again", EBADF), ("place_executable", EINVAL)]) func theExecutionWasTheOnlyOne(name: String, errno: Int32)
        async throws
    { try await attempt(name, .fails(errno)) }

    @Test(arguments: [
        ("trace_supervisor", "ptrace"), ("trace_bystander", "ptrace"), ("be_traced", "ptrace"), ("kill_supervisor", "kill"),
        ("kill_bystander", "kill"), ("kill_everybody", "kill"), ("kill_bystanders_thread", "tgkill"), ("kill_any_thread", "tkill"),
        ("queue_signal", "rt_sigqueueinfo"), ("hold_bystander", "pidfd_open"), ("signal_by_owner", "fcntl"), ("signal_by_number", "fcntl"),
        ("read_memory", "process_vm_readv"), ("write_memory", "process_vm_writev"), ("real_time", "sched_setscheduler"),
        ("raise_limit", "prlimit64"), ("limit_supervisor", "prlimit64"), ("be_dumpable", "prctl"), ("survive_supervisor", "prctl"),
    ]) func othersAreOutOfReach(name: String, call: String) async throws { try await attempt(name, .forbidden(call)) }

    /// Neither its own user nor, as it has no capabilities, root gets a debugger or a core dump of it.
    @Test func theProcessIsNotDumpable() async throws {
        let text = String(decoding: try StateFile.read("/proc/sys/fs/suid_dumpable", maximumBytes: 10), as: UTF8.self)
        let kernels = try #require(Int(text.filter(\.isNumber)))
        try #require(kernels != 1, "fs.suid_dumpable makes every process dumpable")
        try await attempt("ask_dumpable", .returns(kernels...kernels))
    }

    @Test(arguments: [
        ("writable_code", "mmap"), ("anonymous_code", "mmap"), ("shared_code", "mmap"), ("page_to_code", "mprotect"),
        ("uncounted_memory", "mmap"), ("fault_handler", "userfaultfd"), ("shared_segment", "shmget"), ("shrink_page", "ftruncate"),
    ]) func memoryStaysData(name: String, call: String) async throws { try await attempt(name, .forbidden(call)) }

    @Test(arguments: [
        ("shrink_ring", Outcome.forbidden("ftruncate")), ("grow_ring", .forbidden("fallocate")), ("seal_ring", .forbidden("fcntl")),
        ("write_ring", .ends("SIGXFSZ")),
    ]) func theRingKeepsItsShape(name: String, outcome: Outcome) async throws {
        let bench = try #require(EscapeBench.shared)
        let (client, reader) = try await bench.watchHostile()
        try await bench.attempt(name, outcome)
        #expect(reader.newestSequence == 0)
        client.socket.shutdown()
    }

    @Test(arguments: [
        ("load_program", "bpf"), ("load_module", "init_module"), ("read_keys", "keyctl"), ("watch_performance", "perf_event_open"),
        ("read_kernel_log", "syslog"), ("set_clock", "settimeofday"), ("set_host_name", "sethostname"), ("switch_off", "reboot"),
        ("unknown_call", "system call 1999"),
    ]) func theKernelIsLeftAlone(name: String, call: String) async throws { try await attempt(name, .forbidden(call)) }

    @Test(arguments: [
        "detach_driver", "set_configuration", "claim_port", "signal_on_unplug", "type_into_terminal", "own_sockets_signals",
    ]) func requestsBeyondTheDeviceAreForbidden(name: String) async throws { try await attempt(name, .forbidden("ioctl")) }

    @Test(arguments: [("all_memory", 16...512), ("all_descriptors", 10...63), ("all_threads", 1...100)])
    func thereIsNoMoreThanItsShare(name: String, range: ClosedRange<Int>) async throws {
        // Half a gigabyte takes a slow machine longer than a driver may be silent.
        let bench = try await EscapeBench { $0.timing.heartbeatLimit = .seconds(100) }
        try await bench.attempt(name, .returns(range))
        await bench.stop()
    }

    @Test(arguments: [
        ("spin", Outcome.ends("no heartbeat")), ("fill_log", .harmless), ("floods-channel", .harmless),
        ("floods-log", .harmless), ("floods-events", .harmless), ("control-characters", .returns(0...0)),
        ("odd-descriptors", .harmless), ("garbage", .ends("broke the channel's contract")),
        ("empty", .ends("broke the channel's contract")), ("deep", .ends("broke the channel's contract")),
        ("enormous", .ends("broke the channel's contract")), ("greets-again", .ends("must say hello first, and once")),
        ("starts-again", .ends("started something it was not given")), ("answers-unasked", .returns(0...0)), ("closes-channel", .ends("")),
        ("lies-in-statistics", .returns(0...0)), ("enormous-record", .returns(0...0)), ("enormous-ring", .returns(0...0)),
        ("thousand-rings", .harmless), ("closes-foreign-rings", .returns(0...0)), ("scribbles-page", .returns(0...0)),
        ("scribbles-page-and-dies", .ends("exit 44")),
    ]) func theSupervisorIsNotWornDown(name: String, outcome: Outcome) async throws { try await attempt(name, outcome) }

    @Test(arguments: ["fills-ring-with-ones", "fills-ring-with-zeroes", "fills-ring-at-random", "lies-about-lengths"])
    func aWatcherSurvivesEveryLie(name: String) async throws {
        let bench = try #require(EscapeBench.shared)
        let (client, reader) = try await bench.watchHostile()
        try await bench.attempt(name, .returns(0...0))
        var sequence: UInt64 = 0
        for _ in 0..<1000 {
            switch reader.next(after: sequence, timeout: .zero) {
            case .frame(let frame):
                #expect(frame.length <= 4096)
                _ = frame.copy()
                sequence = frame.sequence
            case .gap(let gap): sequence = gap.last
            case .timedOut: break
            }
        }
        if let latest = reader.latest { #expect(latest.length <= 4096) }
        client.socket.shutdown()
    }
}
