// Who may ask for what, by the user at the other end of a connection.

import Wire

/// What a caller may do. Whoever can connect at all is let in by the socket file's mode: its owner, root, and its group.
enum ClientRights: Hashable, Sendable {
    /// Watch, call drivers, restart them: all that concerns the devices that are there.
    case using
    /// Also decide whose drivers run and where the daemon connects to.
    case managing

    /// Methods of the management interface that take more than membership in the group.
    private static let managingMethods: Set<String> = ["Attach", "Detach", "ReloadDrivers"]

    /// The rights of a user, where the daemon runs as `daemonUser`.
    static func of(user: UInt32, daemonUser: UInt32) -> ClientRights { user == 0 || user == daemonUser ? .managing : .using }

    /// Throws `NotPermitted` if a driver's manifest leaves the method to others.
    func check(_ method: String, _ right: MethodPolicy.Right) throws(CallError) {
        guard self != .managing, right == .administrator else { return }
        throw CallError("NotPermitted", "\(method) is only for root and the daemon's own user.")
    }

    /// Throws `NotPermitted`.
    func check(_ call: VarlinkCall) throws(CallError) {
        guard self != .managing, call.interfaceName == ManagementInterface.name, Self.managingMethods.contains(call.methodName)
        else { return }
        throw CallError(
            "NotPermitted",
            "\(call.methodName) is only for root and the daemon's own user; members of its group may watch, control and restart."
        )
    }
}
