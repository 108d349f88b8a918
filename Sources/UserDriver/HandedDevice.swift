// Makes a device handle of the descriptor that the supervisor handed over.

import Glibc
import LibUSBHost
import USB
import USBIPHost
import Wire

enum HandedDevice {
    /// The handle owns the descriptor from here on. The driver above can't tell one transport from the other.
    static func open(_ start: DriverStart, descriptor: Int32) throws -> any USBDeviceHandle {
        let information = try start.device.decoded(as: USBDeviceInformation.self)
        switch start.transport {
        case .usbfs: return try LibUSBDevice(wrapping: descriptor, information: information)
        case .usbip: return try USBIPDevice(adopting: descriptor, information: information, deviceID: start.usbipDeviceID)
        }
    }
}
