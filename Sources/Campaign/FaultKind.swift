// What is done to a driver, and how.

import CLinux
import Glibc

/// A fault. Raw values are what people type.
enum FaultKind: String, CaseIterable, Codable, Sendable {
    /// Ends at once.
    case kill
    /// Crashes, with last words.
    case segv
    case abort
    /// An end that looks wanted.
    case term
    /// Stands still: a hang.
    case stop
    /// A bit of its writable memory flips; what that does is anybody's guess.
    case flip
    /// The same in the memory that it shares with its successor: frames, transfers, checkpoints.
    case ring
    /// The process that waits to take its place is killed, and then it is.
    case standby

    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }

    /// Whether the driver certainly ends by it.
    var ends: Bool {
        switch self {
        case .kill, .segv, .abort, .stop, .standby: true
        case .term, .flip, .ring: false
        }
    }

    /// Whether it may change frames' bytes without anything going wrong.
    var alters: Bool { self == .flip || self == .ring }

    /// False where the process is gone already. `inUse`: processes that drive devices.
    func inject(into process: Int32, inUse: Set<Int32>, random: inout SplitMix) -> Bool {
        switch self {
        case .kill: return Glibc.kill(process, SIGKILL) == 0
        case .segv: return Glibc.kill(process, SIGSEGV) == 0
        case .abort: return Glibc.kill(process, SIGABRT) == 0
        case .term: return Glibc.kill(process, SIGTERM) == 0
        case .stop: return Glibc.kill(process, SIGSTOP) == 0
        case .flip: return ProcessMemory(process)?.flip(shared: false, random: &random) ?? false
        case .ring: return ProcessMemory(process)?.flip(shared: true, random: &random) ?? false
        case .standby:
            for other in Processes.siblings(of: process) where !inUse.contains(other) { _ = Glibc.kill(other, SIGKILL) }
            return Glibc.kill(process, SIGKILL) == 0
        }
    }
}
