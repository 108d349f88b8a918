// seccomp: a policy's calls as the kernel's program, compiled by libseccomp.

import CLinux
import CSeccomp
import FileDescriptors
import Glibc

/// A program that looks at each system call.
struct SystemCallFilter: Sendable {
    /// `struct sock_filter`, 8 bytes each.
    var instructions: [UInt64]
    /// Those whose constant is to become the process's own number.
    var ownProcess: [UInt32]

    /// Stands for the process's number until it is known.
    private static let placeholder: UInt32 = 0x7d1d_fade
    /// BPF_JMP | BPF_JEQ | BPF_K
    private static let jumpIfEqual: UInt64 = 0x15

    /// Calls without a rule are stopped and told to a listener, or end the process where the kernel has none (`stops`).
    init(_ rules: [SystemCallRule], stops: Bool) throws(SandboxError) {
        let forbidden = stops ? UInt32(SCMP_ACT_NOTIFY) : UInt32(SCMP_ACT_KILL_PROCESS)
        guard let context = seccomp_init(forbidden) else { throw SandboxError(errno: ENOMEM, operation: "seccomp_init") }
        defer { seccomp_release(context) }
        // Calls of another architecture (32 bits on a 64-bit machine) are as forbidden; a tree instead of a list of comparisons.
        for (attribute, value) in [(SCMP_FLTATR_ACT_BADARCH, forbidden), (SCMP_FLTATR_CTL_OPTIMIZE, 2)] {
            let result = seccomp_attr_set(context, attribute, value)
            guard result == 0 else { throw SandboxError(errno: -result, operation: "seccomp_attr_set(\(attribute.rawValue))") }
        }
        for rule in rules {
            for name in rule.names { try Self.add(rule, name, to: context) }
        }
        let program = try Self.program(of: context)
        instructions = program
        ownProcess = program.indices.filter {
            program[$0] & 0xffff == Self.jumpIfEqual && program[$0] >> 32 == UInt64(Self.placeholder)
        }.map(UInt32.init)
    }

    /// Numbers of calls for which libseccomp 2.5 has no names, the same on every architecture; `nil` for those of some architectures alone.
    private static let unnamed: [String: Int32?] = [
        "cachestat": 451, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455, "futex_requeue": 456, "statmount": 457,
        "listmount": 458, "lsm_get_self_attr": 459, "lsm_list_modules": 461, "mseal": 462, "riscv_hwprobe": nil,
    ]

    private static func add(_ rule: SystemCallRule, _ name: String, to context: scmp_filter_ctx) throws(SandboxError) {
        var number = seccomp_syscall_resolve_name(name)
        if number == __NR_SCMP_ERROR {
            guard let known = unnamed[name] else { preconditionFailure("libseccomp knows no system call \(name)") }
            number = known ?? -1
        }
        // This architecture has no such call (`open` on ARM).
        guard number >= 0 else { return }
        let action =
            switch rule.outcome {
            case .allowed: UInt32(SCMP_ACT_ALLOW)
            case .failing(let errno): cseccomp_act_errno(UInt32(errno))
            case .pretended: cseccomp_act_errno(0)
            }
        let comparisons = rule.conditions.map { condition in
            switch condition.test {
            case .masked(let mask, let value):
                scmp_arg_cmp(arg: condition.argument, op: SCMP_CMP_MASKED_EQ, datum_a: mask, datum_b: value)
            case .different(let value): scmp_arg_cmp(arg: condition.argument, op: SCMP_CMP_NE, datum_a: value, datum_b: 0)
            case .ownProcess: scmp_arg_cmp(arg: condition.argument, op: SCMP_CMP_EQ, datum_a: UInt64(placeholder), datum_b: 0)
            }
        }
        let result = seccomp_rule_add_array(context, action, number, UInt32(comparisons.count), comparisons)
        guard result == 0 else { throw SandboxError(errno: -result, operation: "seccomp_rule_add(\(name))") }
    }

    private static func program(of context: scmp_filter_ctx) throws(SandboxError) -> [UInt64] {
        let made = clinux_memfd("filter", 0)
        guard let memory = OwnedDescriptor(opened: made) else { throw SandboxError(errno: -made, operation: "memfd_create(filter)") }
        let result = seccomp_export_bpf(context, memory.number)
        guard result == 0 else { throw SandboxError(errno: -result, operation: "seccomp_export_bpf") }
        var status = stat()
        guard fstat(memory.number, &status) == 0 else { throw SandboxError(errno: errno, operation: "fstat(filter)") }
        var instructions = [UInt64](repeating: 0, count: Int(status.st_size) / 8)
        let count = instructions.withUnsafeMutableBytes { pread(memory.number, $0.baseAddress, $0.count, 0) }
        guard count == instructions.count * 8 else { throw SandboxError(errno: EIO, operation: "pread(filter)") }
        return instructions
    }
}
