// What drivers answer: their interfaces, from the bundles, and the way of a call to the device that
// is meant.

import Bundles
import Glibc
import Wire

extension Supervisor {
    /// What can be called now. Only the management interface is this program's own; the others are
    /// those of the bundles, also of versions that a device's driver still runs.
    var service: VarlinkService {
        var interfaces = [ManagementInterface.interface] + catalog.interfaces
        for interface in functions.flatMap({ $0.bundle?.interfaces ?? [] }) where !interfaces.contains(where: { $0.name == interface.name })
        {
            interfaces.append(interface)
        }
        return VarlinkService(vendor: "UserDriver", product: "userdriverd", version: Self.version, url: "", interfaces: interfaces)
    }

    /// Calls that drivers work on now.
    var callsInFlight: Int { functions.reduce(0) { $0 + $1.tickets.count { $0.number != nil && $0.client != nil } } }

    /// A method of a driver's interface: the driver's to answer, without the parameter `device`.
    func forward(_ call: ClientCall) throws(CallError) {
        // Memory that was meant for a call goes with this one, or with none.
        let memory = Result { () throws(CallError) in try call.memory.take() }
        let name = call.call.interfaceName ?? ""
        let device = try self.device(for: call) { $0.answers(name) }
        guard let bundle = device.bundle, let interface = bundle.interface(name), let provided = bundle.manifest.provided(name) else {
            throw CallError("NotSupported", "\(device.name) has no interface \(name).")
        }
        call.interface = interface
        guard interface.method(call.call.methodName) != nil else { return call.reply(VarlinkService.methodNotFound(call.call.method)) }
        let policy = provided.policy(of: call.call.methodName)
        try ClientRights.of(user: call.peer.userID, daemonUser: geteuid()).check(call.call.method, policy.right)
        var members: [String: JSONValue] = [:]
        if case .object(let given) = call.call.parameters { members = given }
        members["device"] = nil
        try device.forward(call, parameters: .object(members), memory: try memory.get(), policy: policy)
    }
}

extension DriverFunction {
    /// Whether its driver answers calls of an interface: as its manifest says, and once it runs as
    /// it says itself.
    func answers(_ interface: String) -> Bool {
        guard bundle?.interface(interface) != nil else { return false }
        return facts?.interfaces.contains(interface) ?? true
    }

    var services: [ServiceStatus] {
        guard let bundle else { return [] }
        return bundle.interfaces.filter { answers($0.name) }.map { interface in
            let provided = bundle.manifest.provided(interface.name)
            return ServiceStatus(
                device: id, interface: interface.name,
                methods: interface.methods.map { method in
                    var policy = provided?.policy(of: method.name) ?? MethodPolicy()
                    policy.deadline = policy.deadline ?? timing.callLimit
                    return ServiceStatus.Method(method.name, policy)
                })
        }
    }
}
