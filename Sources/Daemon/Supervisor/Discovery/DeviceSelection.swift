// Which device a person means.

import Wire

/// A device as it is looked for.
struct SelectableDevice: Hashable, Sendable {
    var id: String
    /// `"046d:0825"`
    var vendorProduct: String
    var bus: String
    var name: String
    var isAttached: Bool
    /// It is of a kind that suits the call.
    var isSuitable: Bool
}

enum DeviceSelection {
    /// The index of the one device that `text` means: an id, `vid:pid`, a bus path, a serial number, part of a name or of an id, in that order; left
    /// out, the only suitable one.
    ///
    /// Of several, those that are attached go before those that were. Throws `NoSuchDevice`, or `AmbiguousDevice` with the list.
    static func choose(_ text: String?, among devices: [SelectableDevice]) throws(CallError) -> Int {
        let everything = Array(devices.indices)
        guard let text, !text.isEmpty else {
            return try only(everything.filter { devices[$0].isSuitable }, of: devices) {
                devices.isEmpty ? "No device is attached." : "No device here can do that. " + inventory(devices)
            }
        }
        let wanted = text.lowercased()
        let ways: [(SelectableDevice) -> Bool] = [
            { $0.id == text }, { $0.id.lowercased() == wanted }, { $0.vendorProduct == wanted },
            { $0.bus == text || $0.bus.lowercased() == wanted }, { $0.bus.lowercased().hasSuffix("/" + wanted) },
            { $0.id.lowercased().hasSuffix(":" + wanted) && !$0.id.contains("@") },
            { $0.name.lowercased().contains(wanted) }, { $0.id.lowercased().contains(wanted) },
        ]
        for way in ways {
            let found = everything.filter { way(devices[$0]) }
            if !found.isEmpty { return try only(found, of: devices) { "" } }
        }
        throw CallError("NoSuchDevice", "No device is called \"\(text.prefix(200))\". " + inventory(devices))
    }

    /// What could have been meant: `"There is 046d:0825@1-2 (Webcam C270)."`
    private static func inventory(_ devices: [SelectableDevice]) -> String {
        let attached = devices.filter(\.isAttached)
        let known = attached.isEmpty ? devices : attached
        guard !known.isEmpty else { return "None is attached." }
        let list = known.prefix(20).map { $0.name.isEmpty ? $0.id : "\($0.id) (\($0.name))" }
        let more = known.count > list.count ? " and \(known.count - list.count) more" : ""
        return "There \(known.count == 1 ? "is" : "are") \(list.joined(separator: ", "))\(more)."
    }

    private static func only(_ found: [Int], of devices: [SelectableDevice], none: () -> String) throws(CallError) -> Int {
        let attached = found.filter { devices[$0].isAttached }
        let candidates = attached.isEmpty ? found : attached
        guard let first = candidates.first else { throw CallError("NoSuchDevice", none()) }
        guard candidates.count == 1 else {
            let list = candidates.prefix(20).map { "\(devices[$0].id) (\(devices[$0].name), \(devices[$0].bus))" }.joined(separator: "; ")
            throw CallError("AmbiguousDevice", "Several devices match; say which one: \(list).")
        }
        return first
    }
}
