// The devices of this machine: found through libusb, opened as usbfs nodes whose privileges are dropped.

import CLinux
import Glibc
import LibUSBHost
import Synchronization
import Threads
import USB
import Wire

/// Hotplug through libusb; a driver gets a usbfs descriptor that can claim its own interfaces and nothing else. What was taken from the
/// kernel's drivers is given back when the source ends, also what a supervisor before this one took and did not live to give back.
final class USBFSSource: DeviceSource {
    private let taken: Mutex<TakenInterfaces>
    private let takenProblem: String?
    private let givesBack: Bool

    /// - Parameters:
    ///   - stateDirectory: where it is kept what was taken.
    ///   - givesBack: whether what was taken is given back when the source ends. Otherwise it is the next supervisor's, or `giveBackAll`'s.
    init(stateDirectory: String, givesBack: Bool) {
        self.givesBack = givesBack
        var taken = TakenInterfaces(path: TakenInterfaces.path(in: stateDirectory))
        takenProblem = taken.read()
        self.taken = Mutex(taken)
    }

    func run(_ report: @escaping @Sendable (DeviceSourceEvent) async -> Void) async {
        if let takenProblem { await report(.remark(takenProblem)) }
        let host: LibUSBHost
        let events: AsyncStream<USBHotplugEvent>
        do {
            host = try LibUSBHost()
            events = try host.hotplugEvents()
        } catch {
            await report(.remark("This machine's devices can't be found: \(error)"))
            return
        }
        await withTaskCancellationHandler {
            for await event in events {
                switch event {
                case .arrived(let device):
                    // A camera that is one of ours already, shown to the kernel by `userdriver-video`.
                    if !OwnNodes.contains(device.path) { await report(.arrived(device)) }
                case .left(let path):
                    if let problem = taken.withLock({ $0.forget(path: path) }) { await report(.remark(problem)) }
                    await report(.left(path: path))
                }
            }
        } onCancel: {
            host.close()
        }
        if givesBack { await giveBack(report) }
    }

    /// Lets the kernel's drivers have their devices again. The drivers that were started here have ended by now.
    private func giveBack(_ report: @escaping @Sendable (DeviceSourceEvent) async -> Void) async {
        for one in taken.withLock({ $0.entries }) {
            do throws(DeviceOpenFailure) {
                try await blocking("connect") { () throws(DeviceOpenFailure) in try Self.connect(one) }
            } catch {
                if case .unavailable = error { await report(.remark("\(one.path) can't be given back to the kernel's driver: \(error)")) }
            }
            if let problem = taken.withLock({ $0.forget(path: one.path) }) { await report(.remark(problem)) }
        }
    }

    func giveBack(_ device: USBDeviceInformation, function: USBFunction) async throws(DeviceOpenFailure) {
        // Every interface of the function, whoever took it. The kernel's driver asks the device
        // this and that before it returns.
        try await blocking("connect") { () throws(DeviceOpenFailure) in try Self.connect(device, function.mask) }
        if let problem = taken.withLock({ $0.forget(path: device.path, interfaces: function.mask) }) { throw .refused(problem) }
    }

    static func connect(_ one: TakenInterfaces.Entry) throws(DeviceOpenFailure) { try connect(one.device, one.interfaces) }

    /// Lets the kernel look for drivers of the interfaces again.
    private static func connect(_ device: USBDeviceInformation, _ interfaces: UInt32) throws(DeviceOpenFailure) {
        let opened = try open(device)
        for interface in UInt32(0)..<32 where interfaces & (1 << interface) != 0 {
            let result = clinux_usbfs_connect(opened.descriptor, interface)
            // A driver of several interfaces took this one when it got the first.
            guard result < 0, result != -EBUSY else { continue }
            throw result == -ENODEV ? .gone("it was unplugged") : .refused("interface \(interface): \(String(cString: strerror(-result)))")
        }
    }

    func open(_ device: USBDeviceInformation, _ grant: DeviceGrant) async throws(DeviceOpenFailure) -> OpenedDevice {
        if !grant.mayTake {
            // What was taken under another policy is not ours to have any more.
            if hasTaken(device, function: grant.function) { try await giveBack(device, function: grant.function) }
            // The kernel's driver of a device that was just plugged in may still be on its way; it is not to lose a race.
            await UdevQueue.settle()
        }
        return try await blocking("open") { [self] () throws(DeviceOpenFailure) in try openAnew(device, grant) }
    }

    private func openAnew(_ device: USBDeviceInformation, _ grant: DeviceGrant) throws(DeviceOpenFailure) -> OpenedDevice {
        if grant.resets { try Self.reset(device) }
        try Self.configure(device, grant.function.configuration)
        let stream = try Self.open(device)
        let bound = try toTake(grant.interfaces, of: device, stream.descriptor, mayTake: grant.mayTake)
        let duplicate = clinux_duplicate(stream.descriptor)
        guard duplicate >= 0 else { throw .failed("dup", errno: -duplicate) }
        // Each interface is claimed by the file that it is for, in the moment in which its driver loses it.
        let opened = try open(device, grant, held: DeviceHold(.file(duplicate, interfaces: grant.streaming)), taking: bound)
        try Self.take(bound, within: grant.streaming, stream.descriptor)
        try Self.restrict(stream.descriptor, to: grant.streaming)
        return opened
    }

    /// A fresh file for control and status beside the streaming interfaces' file, on which everything goes on.
    func reopen(_ device: USBDeviceInformation, _ grant: DeviceGrant, held: DeviceHold) async throws(DeviceOpenFailure) -> OpenedDevice {
        try await blocking("open") { [self] () throws(DeviceOpenFailure) in try open(device, grant, held: held) }
    }

    private func open(
        _ device: USBDeviceInformation, _ grant: DeviceGrant, held: DeviceHold, taking bound: [Bound] = []
    ) throws(DeviceOpenFailure) -> OpenedDevice {
        let opened = try Self.open(device, held: held)
        try Self.take(bound, within: grant.interfaces & ~grant.streaming, opened.descriptor)
        try Self.restrict(opened.descriptor, to: grant.interfaces & ~grant.streaming)
        return opened
    }

    /// Before any privilege is dropped, which a reset needs.
    private static func reset(_ device: USBDeviceInformation) throws(DeviceOpenFailure) {
        let opened = try open(device)
        let result = withExtendedLifetime(opened) { clinux_usbfs_reset(opened.descriptor) }
        guard result < 0 else { return }
        throw result == -ENODEV
            ? .gone("it did not come back from a reset") : .refused("USBDEVFS_RESET: \(String(cString: strerror(-result)))")
    }

    /// Sets the configuration that has the function, unless it is set. The kernel refuses that
    /// while anybody has an interface of the device.
    private static func configure(_ device: USBDeviceInformation, _ configuration: UInt8) throws(DeviceOpenFailure) {
        // Where it can't be read, it is the one that Linux chooses.
        let active = LibUSBHost.activeConfiguration(of: device) ?? DescriptorSet(parsing: device.descriptors).configurations.first?.value
        guard active != configuration else { return }
        let opened = try open(device)
        let result = withExtendedLifetime(opened) { clinux_usbfs_set_configuration(opened.descriptor, UInt32(configuration)) }
        guard result < 0 else { return }
        let what = "configuration \(configuration), which has this function, can't be set"
        switch -result {
        case ENODEV: throw .gone("it was unplugged")
        case EBUSY:
            throw .leftToKernel(
                "\(device.path): \(what) while configuration \(active ?? 0) is in use by \(users(of: opened.descriptor)).")
        default: throw .failed("\(what): USBDEVFS_SETCONFIGURATION", errno: -result)
        }
    }

    private static func users(of descriptor: Int32) -> String {
        let users = (UInt32(0)..<32).compactMap { interface in
            driver(of: interface, descriptor, orProcess: true).map { "\($0) (interface \(interface))" }
        }
        return users.isEmpty ? "another program" : users.joined(separator: ", ")
    }

    func released(_ device: USBDeviceInformation, function: USBFunction) async {}

    func hasTaken(_ device: USBDeviceInformation, function: USBFunction) -> Bool {
        taken.withLock { $0.has(device, interfaces: function.mask) }
    }

    func recognises(_ file: Int32, as device: USBDeviceInformation) -> Bool {
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { return false }
        // A file whose device was unplugged can't be read any more.
        var bytes = [UInt8](repeating: 0, count: 18)
        return pread(file, &bytes, bytes.count, 0) == bytes.count && bytes.elementsEqual(device.descriptors.prefix(18))
    }

    func node(of device: USBDeviceInformation) -> (path: String, problem: String?)? {
        let path = LibUSBHost.node(of: device)
        let isAccessible = faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0
        return (path, isAccessible ? nil : String(cString: strerror(errno)))
    }

    static func open(_ device: USBDeviceInformation, held: DeviceHold? = nil) throws(DeviceOpenFailure) -> OpenedDevice {
        let opened: OpenedDevice
        do {
            opened = OpenedDevice(try LibUSBHost.openDescriptor(of: device), transport: .usbfs, hold: held)
        } catch {
            switch error.code {
            case .noDevice, .notFound: throw .gone("\(error)")
            case .shortage, .memoryLimit: throw .shortage("\(error)")
            default: throw .refused(error)
            }
        }
        // A node's number is given again to the next device that comes: what was opened must be what was meant.
        var bytes = [UInt8](repeating: 0, count: 18)
        let count = pread(opened.descriptor, &bytes, bytes.count, 0)
        guard count == bytes.count, bytes.elementsEqual(device.descriptors.prefix(18)) else {
            throw .gone("another device is plugged in at \(device.path) now")
        }
        return opened
    }

    private static func restrict(_ descriptor: Int32, to interfaces: UInt32) throws(DeviceOpenFailure) {
        let result = clinux_usbfs_drop_privileges(descriptor, interfaces)
        guard result == 0 else { throw .refused("USBDEVFS_DROP_PRIVILEGES: \(String(cString: strerror(-result)))") }
    }

    /// An interface that a driver of the kernel has.
    private struct Bound {
        var interface: UInt32
        var driver: String
    }

    /// What is to be taken from the kernel's drivers, where that is wanted. It is written down before it is done: whoever comes after a supervisor
    /// that died in between gives back what needs no giving back.
    private func toTake(
        _ interfaces: UInt32, of device: USBDeviceInformation, _ descriptor: Int32, mayTake: Bool
    ) throws(DeviceOpenFailure) -> [Bound] {
        let bound = (UInt32(0)..<32).filter { interfaces & (1 << $0) != 0 }.compactMap { interface in
            Self.driver(of: interface, descriptor).map { Bound(interface: interface, driver: $0) }
        }
        guard mayTake else {
            guard let first = bound.first else { return [] }
            throw .leftToKernel(
                "The kernel's driver \(first.driver) has interface \(first.interface) of \(device.path). `userdriver take` gives the device to UserDriver; userdriverd --detach-kernel-drivers takes all."
            )
        }
        // Those that no driver has yet, too: without us it would have come, and it is to have them in the end.
        let (problem, isShort) = taken.withLock { ($0.add(device, interfaces: interfaces), $0.isShort) }
        if let problem { throw isShort ? .shortage(problem) : .refused(problem) }
        return bound
    }

    private static func take(_ bound: [Bound], within interfaces: UInt32, _ descriptor: Int32) throws(DeviceOpenFailure) {
        for one in bound where interfaces & (1 << one.interface) != 0 {
            let result = clinux_usbfs_disconnect_claim(descriptor, one.interface, one.driver)
            guard result < 0 else { continue }
            throw .refused(
                "the kernel's driver \(one.driver) can't be taken off interface \(one.interface): \(String(cString: strerror(-result)))",
                layer: "kernel-driver")
        }
    }

    /// The kernel's driver of an interface; `nil` for none, and where a process has claimed it.
    private static func driver(of interface: UInt32, _ descriptor: Int32, orProcess: Bool = false) -> String? {
        var name = [CChar](repeating: 0, count: 256)
        guard clinux_usbfs_driver(descriptor, interface, &name) == 0 else { return nil }
        let driver = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return driver == "usbfs" && !orProcess ? nil : driver
    }
}
