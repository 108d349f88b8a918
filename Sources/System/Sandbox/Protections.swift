// What a sandbox protects with on some kernel, and what that kernel lacks, in words.

/// What protects a process, each in a few words. Every status shows both lists: nothing is silently weaker.
public struct Protections: Hashable, Sendable {
    public var applied: [String]
    /// What the kernel lacks, with the version that has it.
    public var missing: [String]

    public init(_ features: KernelFeatures = .present) {
        applied = ["no new privileges", "no capabilities", "resource limits"]
        missing = []
        for addition in LandlockRuleset.additions {
            if addition.version <= features.landlock {
                applied.append("Landlock: \(addition.name)")
            } else {
                missing.append("Landlock: \(addition.name) (\(addition.kernel))")
            }
        }
        if features.filters { applied.append("system-call filter") } else { missing.append("system-call filter (CONFIG_SECCOMP_FILTER)") }
        if features.filters, features.stops {
            applied.append("naming of forbidden calls")
        } else {
            missing.append("naming of forbidden calls (Linux 5.0)")
        }
    }
}
