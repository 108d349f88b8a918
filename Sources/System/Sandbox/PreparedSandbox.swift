// A policy made ready for the kernel, to be put on any number of processes at their birth.

package import CLinux
import Glibc

/// A sandbox as this kernel can make it. What it can't do is named, for the status.
public final class PreparedSandbox: Sendable {
    public let policy: SandboxPolicy
    public let protections: Protections
    private let ruleset: LandlockRuleset?
    private let filter: SystemCallFilter?
    private let stops: Bool

    /// Takes a few milliseconds; the result is kept and used again. `features` other than the kernel's make a weaker sandbox, for tests.
    public init(_ policy: SandboxPolicy, features: KernelFeatures = .present) throws(SandboxError) {
        self.policy = policy
        ruleset = features.landlock > 0 ? try LandlockRuleset(version: features.landlock, libraryFolders: policy.libraryFolders) : nil
        filter = features.filters ? try SystemCallFilter(policy.calls, stops: features.stops) : nil
        stops = features.filters && features.stops
        protections = Protections(features)
    }

    /// What a child hands to the kernel before it executes (`clinux_spawn`).
    package func withDescription<Result>(_ body: (UnsafePointer<clinux_sandbox>) -> Result) -> Result {
        let limits = policy.limits.map { clinux_limit(resource: $0.resource, value: $0.value) }
        // A copy, as the child writes its number into it; C wants it mutable.
        var instructions = filter?.instructions ?? []
        return limits.withUnsafeBufferPointer { limits in
            instructions.withUnsafeMutableBytes { instructions in
                (filter?.ownProcess ?? []).withUnsafeBufferPointer { ownProcess in
                    var sandbox = clinux_sandbox(
                        ruleset: ruleset?.descriptor ?? -1, filter: filter == nil ? nil : instructions.baseAddress,
                        filter_length: UInt32(instructions.count / 8), own_process: ownProcess.baseAddress,
                        own_process_count: UInt32(ownProcess.count), stops: stops ? 1 : 0, limits: limits.baseAddress,
                        limit_count: Int32(limits.count))
                    return withUnsafePointer(to: &sandbox, body)
                }
            }
        }
    }
}
