// The devices of this machine: found through libusb, opened as usbfs nodes whose privileges are dropped.

import CLinux
import Glibc
import LibUSBHost
import Synchronization
import USB
import Wire

/// Hotplug through libusb; a driver gets a usbfs descriptor that can claim its own interfaces and nothing else. What was taken from the
/// kernel's drivers is given back when the source ends.
final class USBFSSource: DeviceSource {
    private struct Taken {
        var device: USBDeviceInformation
        /// Bit n: interface n had a driver of the kernel.
        var interfaces: UInt32
    }

    private let host: LibUSBHost
    private let takes: @Sendable (USBDeviceInformation) async -> Bool
    /// By the device's path.
    private let taken = Mutex<[String: Taken]>([:])

    /// - Parameter takes: whether a device may be taken from the kernel's driver.
    init(takes: @escaping @Sendable (USBDeviceInformation) async -> Bool) throws(USBError) {
        host = try LibUSBHost()
        self.takes = takes
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
                case .left(let path):
                    taken.withLock { $0[path] = nil }
                    await report(.left(path: path))
                }
            }
        } onCancel: {
            host.close()
        }
        await giveBack(report)
    }

    /// Lets the kernel's drivers have their devices again. The drivers that were started here have ended by now.
    private func giveBack(_ report: @escaping @Sendable (DeviceSourceEvent) async -> Void) async {
        let all = taken.withLock { taken in
            defer { taken = [:] }
            return taken.values.sorted { $0.device.path < $1.device.path }
        }
        for one in all {
            do throws(DeviceOpenFailure) {
                try Self.connect(one)
            } catch {
                if case .gone = error { continue }
                await report(.remark("The kernel's driver does not get \(one.device.path) back: \(error)"))
            }
        }
    }

    func giveBack(_ device: USBDeviceInformation) async throws(DeviceOpenFailure) {
        taken.withLock { $0[device.path] = nil }
        // Every interface, whoever took it: a daemon that was killed left no record of what it took.
        var interfaces: UInt32 = 0
        for interface in DescriptorSet(parsing: device.descriptors).configurations.first?.interfaces ?? [] where interface.number < 32 {
            interfaces |= 1 << UInt32(interface.number)
        }
        try Self.connect(Taken(device: device, interfaces: interfaces))
    }

    /// Lets the kernel look for drivers of the interfaces again.
    private static func connect(_ one: Taken) throws(DeviceOpenFailure) {
        let opened = try open(one.device)
        for interface in UInt32(0)..<32 where one.interfaces & (1 << interface) != 0 {
            let result = clinux_usbfs_connect(opened.descriptor, interface)
            // A driver of several interfaces took this one when it got the first.
            guard result < 0, result != -EBUSY else { continue }
            throw result == -ENODEV ? .gone("it was unplugged") : .refused("interface \(interface): \(String(cString: strerror(-result)))")
        }
    }

    func open(_ device: USBDeviceInformation, _ grant: DeviceGrant) async throws(DeviceOpenFailure) -> OpenedDevice {
        let mayTake = await takes(device)
        // The kernel's driver of a device that was just plugged in may still be on its way; it is not to lose a race.
        if !mayTake { await UdevQueue.settle() }
        if grant.resets { try Self.reset(device) }
        try takeFromKernel(grant.interfaces, of: device, mayTake: mayTake)
        let stream = try Self.open(device)
        try Self.restrict(stream.descriptor, to: grant.streaming)
        let duplicate = clinux_duplicate(stream.descriptor)
        guard duplicate >= 0 else { throw .refused("dup: \(String(cString: strerror(-duplicate)))") }
        return try open(device, grant, held: DeviceHold(.file(duplicate, interfaces: grant.streaming)))
    }

    /// A fresh file for control and status beside the streaming interfaces' file, on which everything goes on.
    func reopen(_ device: USBDeviceInformation, _ grant: DeviceGrant, held: DeviceHold) async throws(DeviceOpenFailure) -> OpenedDevice {
        try open(device, grant, held: held)
    }

    private func open(_ device: USBDeviceInformation, _ grant: DeviceGrant, held: DeviceHold) throws(DeviceOpenFailure) -> OpenedDevice {
        let opened = try Self.open(device, held: held)
        try Self.restrict(opened.descriptor, to: grant.interfaces & ~grant.streaming)
        return opened
    }

    /// Before any privilege is dropped, which a reset needs.
    private static func reset(_ device: USBDeviceInformation) throws(DeviceOpenFailure) {
        let result = clinux_usbfs_reset(try open(device).descriptor)
        guard result < 0 else { return }
        throw result == -ENODEV
            ? .gone("it did not come back from a reset") : .refused("USBDEVFS_RESET: \(String(cString: strerror(-result)))")
    }

    func released(_ device: USBDeviceInformation) async {}

    func node(of device: USBDeviceInformation) -> (path: String, problem: String?)? {
        let path = LibUSBHost.node(of: device)
        let isAccessible = faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0
        return (path, isAccessible ? nil : String(cString: strerror(errno)))
    }

    private static func open(_ device: USBDeviceInformation, held: DeviceHold? = nil) throws(DeviceOpenFailure) -> OpenedDevice {
        let opened: OpenedDevice
        do {
            opened = OpenedDevice(descriptor: try LibUSBHost.openDescriptor(of: device), transport: .usbfs, hold: held)
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
        return opened
    }

    private static func restrict(_ descriptor: Int32, to interfaces: UInt32) throws(DeviceOpenFailure) {
        let result = clinux_usbfs_drop_privileges(descriptor, interfaces)
        guard result == 0 else { throw .refused("USBDEVFS_DROP_PRIVILEGES: \(String(cString: strerror(-result)))") }
    }

    /// Takes the kernel's drivers off the interfaces, where that is wanted.
    private func takeFromKernel(_ interfaces: UInt32, of device: USBDeviceInformation, mayTake: Bool) throws(DeviceOpenFailure) {
        let opened = try Self.open(device)
        var name = [CChar](repeating: 0, count: 256)
        for interface in UInt32(0)..<32 where interfaces & (1 << interface) != 0 {
            guard clinux_usbfs_driver(opened.descriptor, interface, &name) == 0 else { continue }
            let driver = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if driver == "usbfs" { continue }
            guard mayTake else {
                throw .leftToKernel(
                    "The kernel's driver \(driver) has interface \(interface) of \(device.path). `userdriver take` gives the device to UserDriver; userdriverd --detach-kernel-drivers takes all."
                )
            }
            let result = clinux_usbfs_disconnect(opened.descriptor, interface)
            guard result == 0 || result == -ENODATA else {
                throw .refused(
                    "the kernel's driver \(driver) can't be taken off interface \(interface): \(String(cString: strerror(-result)))")
            }
            taken.withLock { taken in
                let before = taken[device.path].map { $0.device == device ? $0.interfaces : 0 } ?? 0
                taken[device.path] = Taken(device: device, interfaces: before | 1 << interface)
            }
        }
    }
}
