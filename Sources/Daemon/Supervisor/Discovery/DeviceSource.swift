// Where devices come from, and how one is opened for a driver.

import FileDescriptors
import Glibc
import Synchronization
import USB
import Wire

/// Devices that come and go, and that can be opened for a driver.
protocol DeviceSource: AnyObject, Sendable {
    /// Looks for devices until the task is cancelled.
    func run(_ report: @escaping @Sendable (DeviceSourceEvent) async -> Void) async
    /// Opens a device for a driver. Takes as long as it needs.
    func open(_ device: USBDeviceInformation, _ grant: DeviceGrant) async throws(DeviceOpenFailure) -> OpenedDevice
    /// Opens for the next driver what was never let go.
    func reopen(_ device: USBDeviceInformation, _ grant: DeviceGrant, held: DeviceHold) async throws(DeviceOpenFailure) -> OpenedDevice
    /// The driver that had a function open has ended.
    func released(_ device: USBDeviceInformation, function: USBFunction) async
    /// The file that is opened for a device of this machine, and why this process can't open it.
    nonisolated func node(of device: USBDeviceInformation) -> (path: String, problem: String?)?
    /// Lets the kernel's own drivers have a function, from which no driver of ours is reading any
    /// more.
    func giveBack(_ device: USBDeviceInformation, function: USBFunction) async throws(DeviceOpenFailure)
    /// Whether an open file that an earlier supervisor left is this source's, and the device's that is meant.
    nonisolated func recognises(_ file: Int32, as device: USBDeviceInformation) -> Bool
    /// Whether a function was taken from the kernel's drivers, as far as that is remembered.
    nonisolated func hasTaken(_ device: USBDeviceInformation, function: USBFunction) -> Bool
}

extension DeviceSource {
    nonisolated func node(of device: USBDeviceInformation) -> (path: String, problem: String?)? { nil }
    nonisolated func recognises(_ file: Int32, as device: USBDeviceInformation) -> Bool { false }
    nonisolated func hasTaken(_ device: USBDeviceInformation, function: USBFunction) -> Bool { false }
    /// Where the kernel has no driver there is nothing to give back.
    func giveBack(_ device: USBDeviceInformation, function: USBFunction) async throws(DeviceOpenFailure) {}
}

/// What of a device a driver gets. Bit n of a mask: interface n.
struct DeviceGrant: Hashable, Sendable {
    var function: USBFunction
    /// Interfaces that it may claim; nothing else.
    var interfaces: UInt32
    /// Those of them that stream.
    var streaming: UInt32
    /// The device is reset before. Nobody else has it open then.
    var resets = false
    /// It may be taken from the kernel's driver.
    var mayTake = false
}

enum DeviceSourceEvent: Sendable {
    case arrived(USBDeviceInformation)
    case left(path: String)
    /// Something that a person may want to know of: why a device that is looked for isn't there.
    case remark(String)
}

/// Why a device could not be opened.
enum DeviceOpenFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// It isn't there any more. The source tells when it is back.
    case gone(String)
    /// It is there, and can't be had. The fault names the layer, where that is known.
    case unavailable(CallError)
    /// It is there, and the system is short of something that opening it takes.
    case shortage(String)
    /// It is there, the kernel's own driver has it, and nobody asked for it to be taken.
    case leftToKernel(String)

    /// It is there, and can't be had. `layer`: as `userdriver stack` names it.
    static func refused(_ why: String, layer: String? = nil) -> Self { .unavailable(CallError("DeviceUnavailable", why, layer: layer)) }

    static func refused(_ error: USBError, layer: String? = nil) -> Self {
        .unavailable(
            CallError(
                "DeviceUnavailable", "\(error)", layer: layer ?? error.code.layer, detail: ["usbError": .string(error.code.name)]))
    }

    /// A system call that is part of opening the device.
    static func failed(_ operation: String, errno number: Int32) -> Self {
        let text = "\(operation): \(String(cString: strerror(number)))"
        return Shortage.isOne(number) ? .shortage(text) : .refused(text)
    }

    /// Something that the device is opened with can't be had.
    static func lacking(_ what: String, _ error: any Error) -> Self {
        Shortage(error) == nil ? .refused("\(what): \(error)") : .shortage("\(what): \(error)")
    }

    var description: String {
        switch self {
        case .gone(let reason), .shortage(let reason), .leftToKernel(let reason): reason
        case .unavailable(let fault): fault.message
        }
    }
}

/// A device's open descriptor on its way to a driver. Closed when it is let go, which a driver's
/// duplicate survives.
final class OpenedDevice: Sendable {
    var descriptor: Int32 { file.number }
    private let file: OwnedDescriptor
    let transport: DriverStart.Transport
    /// 0 for usbfs.
    let usbipDeviceID: UInt32
    /// What goes on when the driver ends.
    let hold: DeviceHold?

    init(_ file: consuming OwnedDescriptor, transport: DriverStart.Transport, usbipDeviceID: UInt32 = 0, hold: DeviceHold? = nil) {
        self.file = file
        self.hold = hold
        self.transport = transport
        self.usbipDeviceID = usbipDeviceID
    }
}
