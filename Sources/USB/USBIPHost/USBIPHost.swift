// One USB/IP server as a way to devices.

import Synchronization
public import USB
public import USBIP

/// The devices that one server offers.
///
/// A server's list gives only vendor, product and classes: `descriptors` of what `devices` returns hold only the device descriptor that
/// follows from them. Everything is known once a device is open.
public final class USBIPHost: USBHost {
    public let host: String
    public let port: UInt16
    /// USB/IP tells of no arrivals: `hotplugEvents` asks for the list this often.
    public let pollInterval: Duration

    public init(host: String, port: UInt16 = USBIPAddress.standardPort, pollInterval: Duration = .seconds(1)) {
        self.host = host
        self.port = port
        self.pollInterval = pollInterval
    }

    /// What a server offers, in USB/IP's own words.
    public static func deviceList(
        host: String, port: UInt16 = USBIPAddress.standardPort, timeout: Duration = .seconds(5)
    ) async throws(USBError) -> [DeviceListEntry] {
        try await USBIPConnection.deviceList(host: host, port: port, timeout: timeout)
    }

    public func devices() async throws(USBError) -> [USBDeviceInformation] {
        try await Self.deviceList(host: host, port: port).map { information($0.device) }
    }

    /// Imports and opens a device, by its path (`usbip://HOST:PORT/BUSID`) or its bus id alone.
    public func open(path: String) async throws(USBError) -> any USBDeviceHandle {
        let address = USBIPAddress(path) ?? USBIPAddress(host: host, port: port, busID: path)
        return try await USBIPDevice.open(
            try await USBIPConnection.importDevice(host: address.host, port: address.port, busID: address.busID))
    }

    /// Arrivals and departures in the server's list, asked for every `pollInterval`. A server that can't be reached has no devices. Linux's
    /// server leaves out imported devices: they are reported as having left. Ends when the stream is dropped.
    public func hotplugEvents() throws(USBError) -> AsyncStream<USBHotplugEvent> {
        AsyncStream { continuation in
            let task = Task {
                var known: Set<String> = []
                while !Task.isCancelled {
                    var found: [USBDeviceInformation] = []
                    do throws(USBError) { found = try await devices() } catch {
                        // Unreachable, which is the same as empty: it may come back.
                    }
                    let paths = Set(found.map(\.path))
                    for path in known.subtracting(paths).sorted() { continuation.yield(.left(path: path)) }
                    for device in found where !known.contains(device.path) { continuation.yield(.arrived(device)) }
                    known = paths
                    do { try await Task.sleep(for: pollInterval) } catch { break }
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func information(_ record: DeviceRecord) -> USBDeviceInformation {
        func bytes(_ word: UInt16) -> [UInt8] { [UInt8(word & 0xff), UInt8(word >> 8)] }
        let descriptor: [UInt8] =
            [18, DescriptorType.device, 0x00, 0x02, record.deviceClass, record.deviceSubclass, record.deviceProtocol, 64]
            + bytes(record.vendorID) + bytes(record.productID) + bytes(record.release) + [0, 0, 0, record.configurationCount]
        return USBDeviceInformation(
            path: USBIPAddress(host: host, port: port, busID: record.busID).description, speed: record.speed, descriptors: descriptor,
            busNumber: record.busNumber, deviceNumber: record.deviceNumber)
    }
}
