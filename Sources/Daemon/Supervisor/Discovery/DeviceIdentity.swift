// Names of devices: which one is which, also after it was unplugged, and also of twins.

import USB

/// Gives ids to devices. A device's id is its serial number, or, where that is missing or not unique, where it is plugged in.
///
/// A serial number that two devices were seen with at once names neither of them from then on, so that twins never swap their names.
struct DeviceIdentity: Sendable {
    /// `vendor:product:serial` of serial numbers that are not unique, to be kept over restarts of the supervisor. Bounded.
    private(set) var ambiguous: Set<String>
    static let maximumAmbiguous = 1024
    static let maximumSerialLength = 64

    init(ambiguous: Set<String> = []) { self.ambiguous = ambiguous }

    /// `vendor:product:serial`, `nil` without a serial number.
    static func serialID(of device: USBDeviceInformation) -> String? {
        guard let serial = device.serialNumber else { return nil }
        let written = escaped(serial)
        return written.isEmpty ? nil : "\(hex(device.vendorID)):\(hex(device.productID)):\(written)"
    }

    /// `vendor:product@path`
    static func pathID(of device: USBDeviceInformation) -> String {
        "\(hex(device.vendorID)):\(hex(device.productID))@\(device.path)"
    }

    func id(of device: USBDeviceInformation) -> String {
        if let id = Self.serialID(of: device), !ambiguous.contains(id) { return id }
        return Self.pathID(of: device)
    }

    /// Learns of a device that is there now. Returns the serial id that has just turned out not to be unique, if any: devices that carry it
    /// are to be named anew.
    mutating func arrived(_ device: USBDeviceInformation, among others: some Sequence<USBDeviceInformation>) -> String? {
        guard let id = Self.serialID(of: device), !ambiguous.contains(id) else { return nil }
        guard others.contains(where: { $0.path != device.path && Self.serialID(of: $0) == id }) else { return nil }
        guard ambiguous.count < Self.maximumAmbiguous else { return nil }
        ambiguous.insert(id)
        return id
    }

    /// Four lower-case hexadecimal digits.
    static func hex(_ value: UInt16) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 4 - text.count) + text
    }

    /// A serial number as part of an id: what is no letter, digit, point, dash or underscore becomes %XX. Different ones stay different.
    private static func escaped(_ serial: String) -> String {
        var result = ""
        for byte in serial.utf8.drop(while: { $0 == UInt8(ascii: " ") }).prefix(maximumSerialLength) {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }
}
