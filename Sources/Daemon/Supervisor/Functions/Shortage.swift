// What the system may be short of for a moment, which is the fault of no device and no driver.

import Bundles
import Glibc
import Sandbox
import Spawn
import Wire

/// A system call that failed for want of something that others hold: descriptors, memory, processes, room on a disk or on the way.
struct Shortage: Hashable, Sendable {
    /// What can't be done, and what is wanting.
    let text: String

    init(_ text: String) { self.text = text }

    /// `nil` for an error that has other reasons.
    init?(_ error: any Error) {
        switch error {
        case let error as SpawnError where Self.isOne(error.errno): text = "\(error)"
        case let error as SystemFailure where Self.isOne(error.errno): text = "\(error)"
        case let error as SandboxError where Self.isOne(error.errno): text = "\(error)"
        case let error as BundleError where Self.isOne(error.systemError ?? 0): text = "\(error)"
        case let error as WireError where error.code == .shortage: text = "\(error)"
        default: return nil
        }
    }

    static func isOne(_ number: Int32) -> Bool {
        [EAGAIN, EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, EDQUOT, ETOOMANYREFS].contains(number)
    }
}
