// What this kernel can take away from a process.

import CLinux

/// The features of the kernel's that sandboxes are made of.
public struct KernelFeatures: Hashable, Sendable {
    /// The version of Landlock's interface, 0 if it is absent or off.
    public var landlock: Int
    /// seccomp's programs.
    public var filters: Bool
    /// A stopped call is reported to another process instead of silently ending this one (Linux 5.0).
    public var stops: Bool

    public init(landlock: Int, filters: Bool, stops: Bool) {
        self.landlock = landlock
        self.filters = filters
        self.stops = stops
    }

    /// Of the running kernel.
    public static let present = KernelFeatures(
        landlock: Int(max(0, clinux_landlock_abi())), filters: clinux_seccomp_knows(UInt32(SECCOMP_RET_KILL_PROCESS)) != 0,
        stops: clinux_seccomp_knows(UInt32(SECCOMP_RET_USER_NOTIF)) != 0)
}
