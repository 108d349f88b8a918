// What a device says it is, byte for byte.

import Wire

/// A device's descriptors, and what the host knows of it.
public struct DeviceInspection: Hashable, Sendable {
    public var id: String
    /// Where it is plugged in: `"1-2.3"`, `"usbip://127.0.0.1:3240/1-1"`.
    public var bus: String
    /// The raw value of `USB.USBSpeed`.
    public var speed: Int
    /// The device descriptor, then every configuration.
    public var descriptors: [UInt8]
    public var manufacturer: String?
    public var product: String?
    public var serialNumber: String?

    init?(_ reply: JSONValue) {
        guard let id = reply["id"]?.stringValue, let bus = reply["bus"]?.stringValue, let text = reply["descriptors"]?.stringValue,
            let descriptors = Base64.decode(text)
        else { return nil }
        self.id = id
        self.bus = bus
        self.descriptors = descriptors
        speed = reply["speed"]?.intValue ?? 0
        manufacturer = reply["manufacturer"]?.stringValue
        product = reply["product"]?.stringValue
        serialNumber = reply["serialNumber"]?.stringValue
    }
}
