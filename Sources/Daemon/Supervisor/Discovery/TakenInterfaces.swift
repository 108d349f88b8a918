// What was taken from the kernel's drivers, kept in a file: a supervisor that was killed leaves it to the next one to give back.

import Glibc
import USB
import Wire

struct TakenInterfaces {
    /// A device as it was plugged in: its number changes when it is plugged in again, and with it all of this is void.
    struct Entry: Codable, Hashable {
        var path: String
        var busNumber: UInt32
        var deviceNumber: UInt32
        /// 18 bytes.
        var deviceDescriptor: [UInt8]
        /// Bit n: interface n had a driver of the kernel.
        var interfaces: UInt32

        /// As much of the device as is written down: enough to open it and to see that it is the same.
        var device: USBDeviceInformation {
            USBDeviceInformation(
                path: path, speed: .unknown, descriptors: deviceDescriptor, busNumber: busNumber, deviceNumber: deviceNumber)
        }
    }

    private static let mostBytes = 256 << 10

    let path: String

    static func path(in stateDirectory: String) -> String { stateDirectory + "/taken.json" }
    private(set) var entries: [Entry] = []
    /// What kept them from being written last was a shortage: a full disk, say.
    private(set) var isShort = false

    init(path: String) { self.path = path }

    /// Reads what another supervisor left. The reason why that fails, for a person; nothing was taken then.
    mutating func read() -> String? {
        guard access(path, F_OK) == 0 else { return nil }
        do {
            entries = try JSON.decode([Entry].self, from: try StateFile.read(path, maximumBytes: Self.mostBytes))
            return nil
        } catch {
            return "The list of what an earlier supervisor took from the kernel's drivers can't be read, so nothing is given back: \(error)"
        }
    }

    /// The reason why it can't be kept.
    mutating func add(_ device: USBDeviceInformation, interfaces: UInt32) -> String? {
        var entry = Entry(
            path: device.path, busNumber: device.busNumber, deviceNumber: device.deviceNumber,
            deviceDescriptor: Array(device.descriptors.prefix(18)), interfaces: 0)
        if let index = entries.firstIndex(where: { $0.path == device.path }) {
            let before = entries.remove(at: index)
            if before.busNumber == entry.busNumber, before.deviceNumber == entry.deviceNumber,
                before.deviceDescriptor == entry.deviceDescriptor
            {
                entry.interfaces = before.interfaces
            }
        }
        entry.interfaces |= interfaces
        entries.append(entry)
        return write()
    }

    /// Any of the interfaces in the mask.
    func has(_ device: USBDeviceInformation, interfaces: UInt32 = .max) -> Bool {
        entries.contains {
            $0.interfaces & interfaces != 0 && $0.path == device.path && $0.busNumber == device.busNumber
                && $0.deviceNumber == device.deviceNumber
                && $0.deviceDescriptor.elementsEqual(device.descriptors.prefix(18))
        }
    }

    /// The device has left, or has its drivers back.
    mutating func forget(path: String) -> String? {
        guard let index = entries.firstIndex(where: { $0.path == path }) else { return nil }
        entries.remove(at: index)
        return write()
    }

    /// Those interfaces have their drivers back.
    mutating func forget(path: String, interfaces: UInt32) -> String? {
        guard let index = entries.firstIndex(where: { $0.path == path && $0.interfaces & interfaces != 0 }) else { return nil }
        entries[index].interfaces &= ~interfaces
        if entries[index].interfaces == 0 { entries.remove(at: index) }
        return write()
    }

    private mutating func write() -> String? {
        isShort = false
        do {
            try StateFile.write(try JSON.encode(entries), to: path)
            return nil
        } catch {
            isShort = Shortage(error) != nil
            return "The list of what is taken from the kernel's drivers can't be saved: \(error)"
        }
    }
}
