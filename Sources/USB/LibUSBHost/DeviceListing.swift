// What a libusb device is called and what sysfs tells of it without opening it.
import CLibUSB
import FileDescriptors
import Glibc
import USB

enum DeviceListing {
    /// sysfs's name: the bus, and the ports on the way, as `1-2.3`. `nil` for a root hub, which is part of the host controller.
    static func path(of device: OpaquePointer) -> String? {
        var ports = [UInt8](repeating: 0, count: 7)  // USB 3.2 §8.9: seven tiers
        let count = libusb_get_port_numbers(device, &ports, Int32(ports.count))
        guard count > 0 else { return nil }
        return "\(libusb_get_bus_number(device))-" + ports.prefix(Int(count)).map(String.init).joined(separator: ".")
    }

    /// `nil` for a root hub, and for a device whose descriptors can't be read any more.
    static func information(of device: OpaquePointer) -> USBDeviceInformation? {
        guard let path = path(of: device) else { return nil }
        let bus = UInt32(libusb_get_bus_number(device))
        let number = UInt32(libusb_get_device_address(device))
        let folder = "/sys/bus/usb/devices/\(path)/"
        // The same bytes: what the kernel read when the device was plugged in.
        guard
            let descriptors = contents(of: folder + "descriptors", limit: 1 << 20)
                ?? contents(of: nodePath(bus: bus, device: number), limit: 1 << 20) ?? deviceDescriptor(of: device),
            descriptors.count >= 18
        else { return nil }
        var information = USBDeviceInformation(
            path: path, speed: speed(of: device), descriptors: descriptors, manufacturer: text(folder + "manufacturer"),
            product: text(folder + "product"), serialNumber: text(folder + "serial"), busNumber: bus, deviceNumber: number)
        information.interfaceNames = interfaceNames(path: path, descriptors: DescriptorSet(parsing: descriptors))
        return information
    }

    static func activeConfiguration(path: String) -> UInt8? {
        text("/sys/bus/usb/devices/\(path)/bConfigurationValue").flatMap { UInt8($0) }
    }

    /// What the kernel read of the first interface of each function (`iInterface`) of the
    /// configuration that is set.
    private static func interfaceNames(path: String, descriptors: DescriptorSet) -> [UInt8: String] {
        let active = activeConfiguration(path: path)
        guard let configuration = descriptors.configurations.first(where: { $0.value == active }) else { return [:] }
        var names: [UInt8: String] = [:]
        for function in configuration.functions.prefix(USBFunction.mostNames) {
            names[function.firstInterface] = text(
                "/sys/bus/usb/devices/\(path):\(configuration.value).\(function.firstInterface)/interface")
        }
        return names
    }

    /// The usbfs node of a device.
    static func nodePath(bus: UInt32, device: UInt32) -> String {
        func padded(_ value: UInt32) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, 3 - text.count)) + text
        }
        return "/dev/bus/usb/\(padded(bus))/\(padded(device))"
    }

    /// Everything that can be read from a descriptor's beginning on; `nil` on a failure, or when there is more than `limit`.
    static func contents(ofDescriptor descriptor: Int32, limit: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count <= limit {
            let count = pread(descriptor, &chunk, chunk.count, bytes.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes += chunk.prefix(count)
        }
        return nil
    }

    private static func contents(of path: String, limit: Int) -> [UInt8]? {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else { return nil }
        return contents(ofDescriptor: file.number, limit: limit)
    }

    private static func text(_ path: String) -> String? {
        guard var bytes = contents(of: path, limit: 1024) else { return nil }
        while bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    private static func speed(of device: OpaquePointer) -> USBSpeed {
        switch libusb_speed(UInt32(bitPattern: libusb_get_device_speed(device))) {
        case LIBUSB_SPEED_LOW: .low
        case LIBUSB_SPEED_FULL: .full
        case LIBUSB_SPEED_HIGH: .high
        case LIBUSB_SPEED_SUPER: .super
        case LIBUSB_SPEED_SUPER_PLUS: .superPlus
        default: .unknown
        }
    }

    /// The 18 bytes (USB 2.0 table 9-8) that libusb keeps in the host's byte order, as they were on the wire.
    private static func deviceDescriptor(of device: OpaquePointer) -> [UInt8]? {
        var descriptor = libusb_device_descriptor()
        guard libusb_get_device_descriptor(device, &descriptor) == 0 else { return nil }
        func word(_ value: UInt16) -> [UInt8] { [UInt8(value & 0xff), UInt8(value >> 8)] }
        return [18, 1] + word(descriptor.bcdUSB)
            + [descriptor.bDeviceClass, descriptor.bDeviceSubClass, descriptor.bDeviceProtocol, descriptor.bMaxPacketSize0]
            + word(descriptor.idVendor) + word(descriptor.idProduct) + word(descriptor.bcdDevice)
            + [descriptor.iManufacturer, descriptor.iProduct, descriptor.iSerialNumber, descriptor.bNumConfigurations]
    }
}
