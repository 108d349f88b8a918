// The management interface's calls about objects.

import FileDescriptors
import Glibc
import ObjectStore
import Wire

extension Supervisor {
    private static let objectMethods: Set<String> = [
        "OpenJob", "DiscardJob", "Objects", "OpenObject", "AcknowledgeObject", "WatchObjects",
    ]

    /// Answers a call about objects. False if it is about something else.
    func manageObjects(_ call: ClientCall) throws(CallError) -> Bool {
        guard Self.objectMethods.contains(call.call.methodName) else { return false }
        let viewer = ObjectKeeper.Viewer(
            user: call.peer.userID, seesAll: ClientRights.of(user: call.peer.userID, daemonUser: geteuid()) == .managing)
        switch call.call.methodName {
        case "OpenJob":
            let device = try device(for: call).id
            let job = try objects.openJob(try required("job", of: call), device: device, user: viewer.user)
            call.succeed(["job": .string(job.token), "device": .string(device)])
        case "DiscardJob":
            objects.forget(try objects.job(try required("job", of: call), of: viewer))
            call.succeed()
        case "Objects":
            let after = try number("after", of: call) ?? 0
            let (list, next) = try objects.list(
                device: try objectsDevice(of: call), job: try text("job", of: call), after: after, viewer: viewer)
            var reply: [String: JSONValue] = ["objects": try encode(list)]
            if let next { reply["next"] = .int(Int64(next)) }
            call.succeed(.object(reply))
        case "OpenObject":
            try openObject(call, viewer)
        case "AcknowledgeObject":
            guard let id = try number("id", of: call) else { throw CallError("InvalidParameter", "id is missing.") }
            try objects.acknowledge(id, job: try required("job", of: call), user: viewer.user)
            call.succeed()
        case "WatchObjects":
            guard call.call.more else {
                call.reply(VarlinkService.expectedMore())
                return true
            }
            let job = try text("job", of: call)
            if let job { _ = try objects.job(job, of: viewer) }
            let watch = ObjectWatch(
                call, viewer, device: try objectsDevice(of: call), job: job, interval: configuration.limits.objects.watchInterval)
            objects.watches.append(watch)
            call.onCancel = { [weak self, weak watch] in
                watch?.stop()
                self?.objects.watches.removeAll { $0 === watch }
            }
            watch.tell(objects.revision)
        default: return false
        }
        return true
    }

    private func openObject(_ call: ClientCall, _ viewer: ObjectKeeper.Viewer) throws(CallError) {
        guard let id = try number("id", of: call) else { throw CallError("InvalidParameter", "id is missing.") }
        let (status, extents, arenas) = try objects.read(id, viewer: viewer)
        var descriptors = OwnedDescriptors()
        for arena in arenas {
            do throws(ObjectStoreError) {
                descriptors.append(try arena.readOnlyDescriptor())
            } catch {
                throw CallError("DeviceError", "Object \(id) can't be passed on: \(error)")
            }
        }
        let places = extents.map { place, extent -> JSONValue in
            ["descriptor": .int(Int64(place)), "offset": .int(Int64(extent.offset)), "length": .int(Int64(extent.length))]
        }
        call.reply(VarlinkReply(["object": try encode(status), "extents": .array(places)]), descriptors: descriptors.numbers)
    }

    /// Objects stay when their device has gone, and when nothing else is known of it.
    private func objectsDevice(of call: ClientCall) throws(CallError) -> String? {
        guard let text = try text("device", of: call) else { return nil }
        if objects.jobs.values.contains(where: { $0.owner.device == text }) { return text }
        return try device(for: call).id
    }

    private func required(_ name: String, of call: ClientCall) throws(CallError) -> String {
        guard let text = try text(name, of: call) else { throw CallError("InvalidParameter", "\(name) is missing.") }
        return text
    }

    private func number(_ name: String, of call: ClientCall) throws(CallError) -> UInt64? {
        switch call.call.parameters[name] {
        case nil, .null: return nil
        case .int(let value) where value >= 0: return UInt64(value)
        default: throw CallError("InvalidParameter", "\(name) must be a whole number.")
        }
    }
}
