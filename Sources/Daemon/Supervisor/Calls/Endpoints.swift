// Where other programs reach devices: what programs beside the daemon offer, for as long as they do.

import Wire

/// Endpoints by device, each with the call that it lasts as long as.
struct Endpoints {
    private var offers: [(device: String, endpoint: DeviceStatus.Endpoint, call: ObjectIdentifier)] = []
    static let mostOfADevice = 8
    private static let longestURL = 200
    private static let longestKind = 16
    /// They are shown to people, who follow them.
    private static let places = ["http://127.0.0.1:", "http://[::1]:", "ipp://127.0.0.1:", "ipp://[::1]:", "unix:/"]

    /// `nil` if there are none.
    func of(_ device: String) -> [DeviceStatus.Endpoint]? {
        let found = offers.filter { $0.device == device }.map(\.endpoint)
        return found.isEmpty ? nil : found
    }

    mutating func add(_ endpoint: DeviceStatus.Endpoint, of device: String, call: ObjectIdentifier) throws(CallError) {
        guard (1...Self.longestKind).contains(endpoint.kind.utf8.count),
            endpoint.kind.utf8.allSatisfy({ UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 })
        else { throw CallError("InvalidParameter", "kind must be a word of lower-case letters, as in escl.") }
        guard endpoint.url.utf8.count <= Self.longestURL, endpoint.url.utf8.allSatisfy({ 0x21...0x7e ~= $0 }),
            Self.places.contains(where: { endpoint.url.utf8.starts(with: $0.utf8) })
        else {
            throw CallError(
                "InvalidParameter",
                "url must begin with http://127.0.0.1:, ipp://127.0.0.1: or unix:/ and have at most \(Self.longestURL) bytes.")
        }
        guard offers.count(where: { $0.device == device }) < Self.mostOfADevice else {
            throw CallError("LimitReached", "The device has \(Self.mostOfADevice) endpoints already.")
        }
        offers.append((device, endpoint, call))
    }

    mutating func remove(_ call: ObjectIdentifier) { offers.removeAll { $0.call == call } }
}

extension Supervisor {
    /// Lasts until the caller hangs up.
    func offer(_ call: ClientCall) throws(CallError) {
        guard call.call.more else { return call.reply(VarlinkService.expectedMore()) }
        let device = try device(for: call) { $0.bundle != nil }
        guard let kind = try text("kind", of: call), let url = try text("url", of: call) else {
            throw CallError("InvalidParameter", "kind and url are missing.")
        }
        let (id, name, key) = (device.id, device.name, ObjectIdentifier(call))
        try endpoints.add(DeviceStatus.Endpoint(kind: kind, url: url), of: id, call: key)
        call.onCancel = { [weak self] in self?.endpoints.remove(key) }
        call.reply(VarlinkReply(.object([:]), continues: true))
        tellListeners(device: id, event: "endpoint", message: "\(name) is served at \(url) (\(kind)).")
    }
}
