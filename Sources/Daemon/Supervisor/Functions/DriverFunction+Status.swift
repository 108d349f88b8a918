// What is said of a device.

import Bundles
import FoundationEssentials
import Trust
import USB
import Wire

extension DriverFunction {
    /// A name a person recognises: the driver's, else the device's own, else its numbers.
    var name: String {
        guard let own = device.name(of: self) else { return deviceName }
        return "\(deviceName): \(own)"
    }

    private var deviceName: String {
        if let name = facts?.name, !name.isEmpty { return name }
        if let product = information.product, !product.isEmpty { return product }
        return "Device \(DeviceIdentity.hex(information.vendorID)):\(DeviceIdentity.hex(information.productID))"
    }

    var kind: String { facts?.kind ?? bundle?.manifest.kind ?? "" }

    private var warnings: [String] {
        guard let bundle else { return [] }
        let own = bundle.verdict.warnings
        return (dependencies.configuration.allowsUnsigned && own.isEmpty ? ["with unsigned drivers allowed"] : own)
            + dependencies.sandboxes.warnings
    }

    var status: DeviceStatus {
        var status = DeviceStatus(
            id: id, bus: path, vendorId: DeviceIdentity.hex(information.vendorID), productId: DeviceIdentity.hex(information.productID),
            name: name, kind: kind, driver: bundle?.manifest.id ?? "", state: state, pid: incarnation?.processID ?? 0, restarts: restarts,
            streams: streamStatus, reason: reason,
            warnings: warnings, sandbox: bundle.map { _ in dependencies.sandboxes.status }, signer: bundle?.verdict.signer?.name,
            drivenSince: drivenSince, shown: shown)
        status.function = DeviceStatus.Function(
            interface: Int(function.firstInterface), name: information.interfaceNames[function.firstInterface], device: device.id)
        status.activities = incarnation?.activities ?? []
        return status
    }

    /// What the driver has open or is opening, also where nobody watches it (any more): whoever is filmed should know.
    private var streamStatus: [DeviceStatus.Stream] {
        let closing = asked.filter { streams[$0] == nil }.map(ManagedStream.init)
        return (streams.values.filter { $0.isOpen || $0.ring != nil } + closing).sorted { $0.name < $1.name }.map(Self.status)
    }

    /// What the driver says of its frames is passed on unread.
    private static func status(of stream: ManagedStream) -> DeviceStatus.Stream {
        var shown: [String: JSONValue] = [:]
        if case .object(let members) = stream.description { shown = members }
        let viewers = stream.viewers
        return DeviceStatus.Stream(
            name: stream.name, frames: stream.statistics.frames, lost: stream.statistics.lost, clients: viewers.count,
            watchers: viewers.map {
                DeviceStatus.Watcher(pid: $0.call.peer.processID, uid: $0.call.peer.userID, program: $0.program)
            }, shown: shown)
    }

    /// The reply of `Inspect`.
    var inspection: JSONValue {
        var members: [String: JSONValue] = [
            "id": .string(id), "bus": .string(path), "speed": .int(Int64(information.speed.rawValue)),
            "descriptors": .string(Data(information.descriptors).base64EncodedString()),
        ]
        if let text = information.manufacturer { members["manufacturer"] = .string(text) }
        if let text = information.product { members["product"] = .string(text) }
        if let text = information.serialNumber { members["serialNumber"] = .string(text) }
        return .object(members)
    }
}
