// How a fault is done to a driver: signals, its memory through /proc, its threads through ptrace. Of our own drivers only.

import CLinux
import Glibc

extension FaultKind {
    /// False if the process, or the thread, is gone already. `inUse`: processes that drive devices.
    func inject(into process: Int32, inUse: Set<Int32>, random: inout SplitMix) -> Bool {
        switch self {
        case .kill: return Glibc.kill(process, SIGKILL) == 0
        case .segv: return Glibc.kill(process, SIGSEGV) == 0
        case .abort: return Glibc.kill(process, SIGABRT) == 0
        case .term: return Glibc.kill(process, SIGTERM) == 0
        case .stop: return Glibc.kill(process, SIGSTOP) == 0
        case .exit: return Tracing.exit(process, &random)
        case .loop: return Tracing.loop(process, &random)
        case .flip: return ProcessMemory(process)?.flip(.own, random: &random) ?? false
        case .ring: return ProcessMemory(process)?.flip(.rings, random: &random) ?? false
        case .code: return Tracing.flipCode(process, &random)
        case .registers: return Tracing.flipRegister(process, &random)
        case .standby:
            for other in Processes.siblings(of: process) where !inUse.contains(other) { _ = Glibc.kill(other, SIGKILL) }
            return Glibc.kill(process, SIGKILL) == 0
        }
    }
}

/// What is done to a driver's threads.
enum Tracing {
    /// Why this process can't trace the driver; `nil` if it can.
    static func obstacle(_ process: Int32) -> String? {
        var address: UInt64 = 0
        let result = clinux_instruction_pointer(process, &address)
        return result == 0 ? nil : String(cString: strerror(-result))
    }

    private static func thread(of process: Int32, _ random: inout SplitMix) -> Int32? {
        Processes.threads(of: process).sorted().randomElement(using: &random)
    }

    static func flipRegister(_ process: Int32, _ random: inout SplitMix) -> Bool {
        let (index, bit) = (UInt32(truncatingIfNeeded: random.next() >> 32), UInt32(truncatingIfNeeded: random.next() >> 32))
        guard let thread = thread(of: process, &random) else { return false }
        return clinux_tamper(thread, CLINUX_FLIP_REGISTER, index, bit) == 0
    }

    /// By whichever thread is in a system call: one is, as a rule.
    static func exit(_ process: Int32, _ random: inout SplitMix) -> Bool {
        Processes.threads(of: process).sorted().shuffled(using: &random).contains { clinux_tamper($0, CLINUX_EXIT, 0, 0) == 0 }
    }

    /// Every other time where one of its threads is about to go on: most of a program's code is never run.
    static func flipCode(_ process: Int32, _ random: inout SplitMix) -> Bool {
        guard random.next() % 2 == 0 else { return ProcessMemory(process)?.flip(.code, random: &random) ?? false }
        let (distance, bit) = (random.next() % 64, UInt8(random.next() % 8))
        var address: UInt64 = 0
        guard let thread = thread(of: process, &random), clinux_instruction_pointer(thread, &address) == 0 else { return false }
        return ProcessMemory.change(process, at: address &+ distance, count: 1) { $0[0] ^= 1 << bit }
    }

    /// Puts a jump to itself where a thread is about to go on: every other time the one of a stream, else any.
    static func loop(_ process: Int32, _ random: inout SplitMix) -> Bool {
        let streams = random.next() % 2 == 0
        let threads = Processes.threads(of: process).sorted()
        let chosen = streams ? threads.filter { Processes.name(of: $0) == "stream" } : threads
        var address: UInt64 = 0
        guard let thread = chosen.randomElement(using: &random), clinux_instruction_pointer(thread, &address) == 0 else { return false }
        #if arch(x86_64)
            let jump: [UInt8] = [0xeb, 0xfe]
        #else
            let jump: [UInt8] = [0x00, 0x00, 0x00, 0x14]
        #endif
        return ProcessMemory.change(process, at: address, count: jump.count) { bytes in bytes = jump }
    }
}
