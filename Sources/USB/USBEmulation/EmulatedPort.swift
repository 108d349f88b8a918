// A device with the name it is offered under.

import Synchronization
import Threads
import USB
import USBIP

/// One device of a server, and the thread that runs its current connection.
final class EmulatedPort: Sendable {
    let busID: String
    let device: any EmulatedDevice
    /// As the device had them when the server was made.
    let descriptors: EmulatedDescriptors
    let parsed: DescriptorSet
    let record: DeviceRecord
    let signal = PortSignal()
    private let thread = Mutex<WorkerThread?>(nil)

    init(busID: String, number: Int, device: any EmulatedDevice) {
        self.busID = busID
        self.device = device
        descriptors = device.descriptors
        parsed = DescriptorSet(parsing: descriptors.device + descriptors.configurations.flatMap { $0 })
        let first = parsed.configurations.first
        record = DeviceRecord(
            path: "/sys/devices/emulated/\(busID)", busID: busID, busNumber: 1, deviceNumber: UInt32(clamping: number),
            speed: descriptors.speed, vendorID: parsed.device?.vendorID ?? 0, productID: parsed.device?.productID ?? 0,
            release: parsed.device?.deviceVersion ?? 0, deviceClass: parsed.device?.deviceClass ?? 0,
            deviceSubclass: parsed.device?.deviceSubclass ?? 0, deviceProtocol: parsed.device?.deviceProtocol ?? 0,
            configurationValue: first?.value ?? 0, configurationCount: UInt8(clamping: parsed.configurations.count),
            interfaceCount: UInt8(clamping: first?.interfaceNumbers.count ?? 0))
    }

    var listEntry: DeviceListEntry {
        let interfaces = (parsed.configurations.first?.interfaceNumbers ?? []).compactMap { number in
            parsed.configurations.first?.alternateSettings(of: number).first.map {
                InterfaceRecord(
                    interfaceClass: $0.interfaceClass, interfaceSubclass: $0.interfaceSubclass, interfaceProtocol: $0.interfaceProtocol)
            }
        }
        return DeviceListEntry(device: record, interfaces: interfaces)
    }

    /// Starts the engine of a connection that was claimed; the one before has ended, or is about to.
    func run(_ engine: @escaping @Sendable () -> Void) throws(WorkerThread.StartFailure) {
        join()
        let started = try WorkerThread(name: "usb \(busID)", engine)
        thread.withLock { $0 = started }
    }

    /// Waits for the thread of the last connection.
    func join() {
        let last = thread.withLock { stored in
            defer { stored = nil }
            return stored
        }
        last?.join()
    }
}
