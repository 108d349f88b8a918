// The devices of this machine: found through libusb, opened as usbfs nodes whose privileges are dropped.

import CLinux
import Glibc
import LibUSBHost
import USB
import Wire

/// Hotplug through libusb; a driver gets a usbfs descriptor that can claim its own interfaces and nothing else.
final class USBFSSource: DeviceSource {
    private let host: LibUSBHost
    private let detachesKernelDrivers: Bool

    init(detachesKernelDrivers: Bool) throws(USBError) {
        host = try LibUSBHost()
        self.detachesKernelDrivers = detachesKernelDrivers
    }

    func run(_ report: @escaping @Sendable (DeviceSourceEvent) async -> Void) async {
        let events: AsyncStream<USBHotplugEvent>
        do {
            events = try host.hotplugEvents()
        } catch {
            await report(.remark("Devices of this machine are not found: \(error)"))
            return
        }
        await withTaskCancellationHandler {
            for await event in events {
                switch event {
                case .arrived(let device): await report(.arrived(device))
                case .left(let path): await report(.left(path: path))
                }
            }
        } onCancel: {
            host.close()
        }
    }

    func open(_ device: USBDeviceInformation, interfaces: UInt32) async throws(DeviceOpenFailure) -> OpenedDevice {
        let opened: OpenedDevice
        do {
            opened = OpenedDevice(descriptor: try await host.openDescriptor(path: device.path), transport: .usbfs)
        } catch {
            switch error.code {
            case .noDevice, .notFound: throw .gone("\(error)")
            default: throw .refused("\(error)")
            }
        }
        // A node's number is given again to the next device that comes: what was opened must be what was meant.
        var bytes = [UInt8](repeating: 0, count: 18)
        let count = pread(opened.descriptor, &bytes, bytes.count, 0)
        guard count == bytes.count, bytes.elementsEqual(device.descriptors.prefix(18)) else {
            throw .gone("another device is plugged in at \(device.path) by now")
        }
        try restrict(opened, to: interfaces, of: device)
        return opened
    }

    func released(_ device: USBDeviceInformation) async {}

    private func restrict(_ opened: OpenedDevice, to interfaces: UInt32, of device: USBDeviceInformation) throws(DeviceOpenFailure) {
        var name = [CChar](repeating: 0, count: 256)
        for interface in UInt32(0)..<32 where interfaces & (1 << interface) != 0 {
            guard clinux_usbfs_driver(opened.descriptor, interface, &name) == 0 else { continue }
            let driver = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if driver == "usbfs" { continue }
            guard detachesKernelDrivers else {
                throw .refused(
                    "the kernel's driver \(driver) has interface \(interface) of \(device.path); start userdriverd with --detach-kernel-drivers to take it off"
                )
            }
            let result = clinux_usbfs_disconnect(opened.descriptor, interface)
            guard result == 0 || result == -ENODATA else {
                throw .refused(
                    "the kernel's driver \(driver) can't be taken off interface \(interface): \(String(cString: strerror(-result)))")
            }
        }
        let result = clinux_usbfs_drop_privileges(opened.descriptor, interfaces)
        guard result == 0 else { throw .refused("USBDEVFS_DROP_PRIVILEGES: \(String(cString: strerror(-result)))") }
    }
}
