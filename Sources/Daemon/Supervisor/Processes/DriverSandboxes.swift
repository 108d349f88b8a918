// The sandboxes of drivers and ports, one for each kind, made when it is first needed.

import Sandbox
import Wire

/// Knows what holds a driver in, and what to say of it.
@SupervisorActor
final class DriverSandboxes {
    private let isOn: Bool
    private let libraryFolders: [String]
    private let features: KernelFeatures
    private let survivesSupervisor: Bool
    private var prepared: [SandboxPolicy: PreparedSandbox] = [:]

    init(_ configuration: SupervisorConfiguration) {
        isOn = configuration.sandboxesDrivers
        libraryFolders = configuration.libraryFolders
        features = configuration.kernelFeatures
        survivesSupervisor = configuration.store != nil
    }

    /// For a driver. `nil` where sandboxes are switched off.
    func sandbox(kind: String) throws(SandboxError) -> PreparedSandbox? {
        try sandbox(.driver(kind: kind, survivesSupervisor: survivesSupervisor))
    }

    /// For a `usbip-proxy`.
    func port() throws(SandboxError) -> PreparedSandbox? { try sandbox(.port) }

    /// For the process that looks up names in `executable`. Where sandboxes are switched off it has its limits still.
    func names(executable: String) throws(SandboxError) -> PreparedSandbox {
        var policy = SandboxPolicy.names
        // Unlike a driver's sealed memory it is a file, which has to be among those that may be executed.
        policy.libraryFolders.append(executable)
        return try prepare(policy, isOn ? features : KernelFeatures(landlock: 0, filters: false, stops: false))
    }

    private func sandbox(_ policy: SandboxPolicy) throws(SandboxError) -> PreparedSandbox? {
        isOn ? try prepare(policy, features) : nil
    }

    private func prepare(_ policy: SandboxPolicy, _ features: KernelFeatures) throws(SandboxError) -> PreparedSandbox {
        var policy = policy
        policy.libraryFolders += libraryFolders
        if let known = prepared[policy] { return known }
        let sandbox = try PreparedSandbox(policy, features: features)
        prepared[policy] = sandbox
        return sandbox
    }

    /// For a device's status.
    var status: DeviceStatus.Sandbox {
        guard isOn else { return DeviceStatus.Sandbox(applied: [], missing: ["everything (--no-sandbox)"]) }
        let protections = Protections(features)
        return DeviceStatus.Sandbox(applied: protections.applied, missing: protections.missing)
    }

    /// Protections that drivers go without, as a status names them.
    var warnings: [String] { isOn ? [] : ["not sandboxed"] }
}
