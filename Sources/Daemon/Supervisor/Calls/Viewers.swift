// Programs that see a device's pictures: those that watch, those that another shows them to, and
// those that a person has cut off.

import Spawn
import Wire

/// Whom programs show a device's pictures to, each list with the call that it lasts as long as.
struct ShownViewers {
    private var lists: [(device: String, call: ClientCall, viewers: [DeviceStatus.Watcher])] = []
    static let mostCalls = 8
    static let mostViewers = 64
    private static let longestName = 64

    /// `nil` if there are none.
    func of(_ device: String) -> [DeviceStatus.Watcher]? {
        let found = lists.filter { $0.device == device }.flatMap(\.viewers)
        return found.isEmpty ? nil : found
    }

    mutating func add(_ viewers: [DeviceStatus.Watcher], of device: String, call: ClientCall) throws(CallError) {
        guard lists.count(where: { $0.device == device }) < Self.mostCalls else {
            throw CallError("LimitReached", "\(Self.mostCalls) programs show the device already.")
        }
        guard viewers.count <= Self.mostViewers, viewers.allSatisfy({ $0.pid > 0 && $0.program.utf8.count <= Self.longestName }) else {
            throw CallError(
                "InvalidParameter",
                "There can be at most \(Self.mostViewers) viewers, each with its process and a name of at most \(Self.longestName) bytes.")
        }
        let surface = ProcessFacts.name(of: call.peer.processID).printable
        let named = viewers.map { viewer in
            // Of other people's programs only root may speak.
            DeviceStatus.Watcher(
                pid: viewer.pid, uid: call.peer.userID == 0 ? viewer.uid : call.peer.userID, program: viewer.program.printable,
                through: surface)
        }
        lists.append((device, call, named))
    }

    mutating func remove(_ call: ClientCall) { lists.removeAll { $0.call === call } }

    /// The calls of those who show the device to the process.
    func calls(showing device: String, to process: Int32) -> [ClientCall] {
        lists.filter { $0.device == device && $0.viewers.contains { $0.pid == process } }.map(\.call)
    }
}

extension Supervisor {
    /// Lasts until the caller hangs up.
    func show(_ call: ClientCall) throws(CallError) {
        guard call.call.more else { return call.reply(VarlinkService.expectedMore()) }
        let device = try device(for: call) { $0.bundle != nil }
        guard let list = call.call.parameters["viewers"] else { throw CallError("InvalidParameter", "viewers is missing.") }
        let viewers: [DeviceStatus.Watcher]
        do {
            viewers = try list.decoded(as: [DeviceStatus.Watcher].self)
        } catch {
            throw CallError("InvalidParameter", "viewers can't be read: \(error)")
        }
        let (id, name) = (device.id, device.name)
        try shownViewers.add(viewers, of: id, call: call)
        call.onCancel = { [weak self, weak call] in
            guard let self, let call else { return }
            self.shownViewers.remove(call)
            self.tellListeners(device: id, event: "viewers", message: "\(name) is no longer shown to others.")
        }
        call.reply(VarlinkReply(.object([:]), continues: true))
        tellListeners(device: id, event: "viewers", message: "\(name) is shown to \(viewers.count) programs.")
    }

    /// Ends a program's watching, directly or through another.
    func revoke(_ call: ClientCall) throws(CallError) {
        let device = try device(for: call) { $0.bundle != nil }
        guard let number = call.call.parameters["process"]?.intValue, let process = Int32(exactly: number), process > 0 else {
            throw CallError("InvalidParameter", "process must be the process ID of a program that is watching.")
        }
        let others = shownViewers.calls(showing: device.id, to: process)
        for other in others { other.reply(VarlinkReply(["revoked": .int(Int64(process))], continues: true)) }
        guard device.revoke(process) || !others.isEmpty else {
            throw CallError("InvalidParameter", "Process \(process) is not watching \(device.name).")
        }
        call.succeed()
    }
}

extension DriverFunction {
    /// Ends the process's watching and lets it watch no more; false if it does not watch.
    func revoke(_ process: Int32) -> Bool {
        var program: String?
        for stream in streams.values {
            for watcher in stream.watchers where watcher.call.peer.processID == process {
                program = watcher.program
                cutOff(stream, watcher, Self.revocation)
            }
        }
        guard let program else { return false }
        revoked = revoked.filter { ProcessIdentity($0.process) == $0 }
        if let identity = ProcessIdentity(process) { revoked.insert(identity) }
        announce("revoked", "\(name): \(program.isEmpty ? "a program" : program) (process \(process)) was cut off.")
        return true
    }

    /// Throws `NotPermitted` for a process that was cut off.
    func checkNotRevoked(_ process: Int32) throws(CallError) {
        guard !revoked.isEmpty, let identity = ProcessIdentity(process), revoked.contains(identity) else { return }
        throw CallError("NotPermitted", Self.revocation)
    }

    private static let revocation = "The program was cut off with `userdriver revoke`; start it again to watch again."
}
