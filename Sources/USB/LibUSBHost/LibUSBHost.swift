// The devices of this machine: listed, opened and watched through libusb and usbfs.
import CLibUSB
public import FileDescriptors
import Dispatch
import Glibc
import Synchronization
public import USB
import USBFS

/// The devices plugged into this machine, hubs included, the host controllers' root hubs not.
public final class LibUSBHost: USBHost {
    private struct State {
        var context: LibUSBContext?
        var streams: [UInt64] = []
    }

    private let state: Mutex<State>

    /// Works on a machine without USB too: there is nothing to list there.
    public init() throws(USBError) {
        state = Mutex(State(context: try LibUSBContext.discovering()))
    }

    deinit { close() }

    /// Ends the hotplug streams. Devices that are open stay open. May be called twice.
    public func close() {
        let (context, streams) = state.withLock { state in
            defer { state = State() }
            return (state.context, state.streams)
        }
        for stream in streams { context?.hotplug.end(stream) }
    }

    public func devices() async throws(USBError) -> [USBDeviceInformation] {
        let context = try openContext("libusb_get_device_list")
        return try context.withPointer { (pointer) throws(USBError) in
            var list: UnsafeMutablePointer<OpaquePointer?>?
            let count = libusb_get_device_list(pointer, &list)
            guard count >= 0, let list else { throw USBError(libusb: Int32(clamping: count), operation: "libusb_get_device_list") }
            defer { libusb_free_device_list(list, 1) }
            return (0..<count).compactMap { index in list[index].flatMap { DeviceListing.information(of: $0) } }
        }
    }

    public func open(path: String) async throws(USBError) -> any USBDeviceHandle {
        try await openDevice(path: path)
    }

    /// As `open(path:)`, with what only a device on this machine can do.
    public func openDevice(path: String) async throws(USBError) -> LibUSBDevice {
        let information = try await information(path: path)
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<LibUSBDevice, USBError>, Never>) in
            // Opening wakes a suspended device, which takes its time.
            DispatchQueue.global().async {
                continuation.resume(returning: Result { () throws(USBError) in try Self.openDevice(information) })
            }
        }
        return try result.get()
    }

    /// Opens a device's usbfs node for reading and writing (closed on exec), to hand it to another process.
    public func openDescriptor(path: String) async throws(USBError) -> OwnedDescriptor {
        try Self.openDescriptor(of: try await information(path: path))
    }

    public func hotplugEvents() throws(USBError) -> AsyncStream<USBHotplugEvent> {
        let context = try openContext("libusb_hotplug_register_callback")
        let (stream, token) = try context.withPointer { (pointer) throws(USBError) in try context.hotplug.observe(context: pointer) }
        let stillOpen = state.withLock { state in
            guard state.context != nil else { return false }
            state.streams.append(token)
            return true
        }
        if !stillOpen { context.hotplug.end(token) }
        return stream
    }

    private func information(path: String) async throws(USBError) -> USBDeviceInformation {
        guard let information = try await devices().first(where: { $0.path == path }) else {
            throw USBError(.notFound, operation: "open(\(path))", detail: "no device is plugged in there")
        }
        return information
    }

    private static func openDevice(_ information: USBDeviceInformation) throws(USBError) -> LibUSBDevice {
        let node = try openDescriptor(of: information)
        let device = try LibUSBDevice(wrapping: node.number, information: information)
        _ = node.handOver()  // The device closes it.
        return device
    }

    /// As `openDescriptor(path:)`, for a device that was found before: nothing is looked for, and the node may be another device's by now.
    public static func openDescriptor(of information: USBDeviceInformation) throws(USBError) -> OwnedDescriptor {
        let node = node(of: information)
        guard let descriptor = OwnedDescriptor(opened: Glibc.open(node, O_RDWR | O_CLOEXEC)) else {
            let number = errno
            throw USBError(errno: number, operation: "open(\(node))", hint: [EACCES, EPERM].contains(number) ? USBError.accessHint : nil)
        }
        return descriptor
    }

    /// The usbfs node of a device: `"/dev/bus/usb/001/002"`.
    public static func node(of information: USBDeviceInformation) -> String {
        DeviceListing.nodePath(bus: information.busNumber, device: information.deviceNumber)
    }

    /// `bConfigurationValue` of the configuration that is set; `nil` if none is, or sysfs does
    /// not tell.
    public static func activeConfiguration(of information: USBDeviceInformation) -> UInt8? {
        DeviceListing.activeConfiguration(path: information.path)
    }

    private func openContext(_ operation: String) throws(USBError) -> LibUSBContext {
        guard let context = state.withLock({ $0.context }) else {
            throw USBError(.noDevice, operation: operation, detail: "the host is closed")
        }
        return context
    }
}
