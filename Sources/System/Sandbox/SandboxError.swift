// Why a sandbox could not be made.

import Glibc

/// A step of making a sandbox that failed, on a kernel that knows what was asked for.
public struct SandboxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A Linux errno.
    public var errno: Int32
    /// `"seccomp_rule_add(openat)"`
    public var operation: String

    public var description: String { "\(operation): \(String(cString: strerror(errno)))" }
}
