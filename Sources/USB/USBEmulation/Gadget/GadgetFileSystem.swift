// The owner of a GadgetFS mount: the controller's file, and one file for each of its endpoints.

import CLinux
import FileDescriptors
import Glibc
import USB

/// Mounted where nobody sees it, so that nothing is left of it when the process ends, in whichever way.
final class GadgetFileSystem {
    private static let controllers = "/sys/class/udc"

    private let root: OwnedDescriptor
    /// The controller, as its driver calls it.
    let controller: String

    /// - Parameter wanted: a name in /sys/class/udc, or the driver's for it. The kernel takes the first controller that is free, so this is checked,
    ///   not chosen.
    init(wanted: String? = nil) throws(USBError) {
        var isKnown: Int32 = 0
        let mounted = clinux_gadgetfs(&isKnown)
        guard let root = OwnedDescriptor(opened: mounted) else { throw Self.failure(-mounted, isKnown: isKnown != 0) }
        // Before a device is bound there is one file, named after the controller.
        guard let name = try Self.names(root.number).first(where: { GadgetEndpointName($0) == nil }) else {
            throw USBError(.notFound, operation: "GadgetFS", detail: "the controller has no file")
        }
        self.root = root
        controller = name
        guard let wanted, wanted != controller, try Self.driversName(of: wanted) != controller else { return }
        throw USBError(
            .notSupported, operation: "GadgetFS",
            detail: "the kernel offers the controller \(controller), the first that is free, not \(wanted)")
    }

    private static func failure(_ number: Int32, isKnown: Bool) -> USBError {
        switch number {
        case EPERM, EACCES: USBError(.accessDenied, operation: "mount(gadgetfs)", detail: "only root may be a USB device")
        case ENODEV where !isKnown:
            USBError(
                .notSupported, operation: "fsopen(gadgetfs)", detail: "the kernel has no GadgetFS: modprobe gadgetfs (CONFIG_USB_GADGETFS)")
        case ENODEV:
            USBError(
                .notFound, operation: "mount(gadgetfs)",
                detail: "no USB device controller is free in \(controllers): this machine has none (modprobe dummy_hcd makes one that is "
                    + "plugged into this machine itself), or another gadget is bound to it")
        default: USBError(errno: number, operation: "mount(gadgetfs)")
        }
    }

    /// `USB_UDC_NAME` of a controller in /sys/class/udc.
    private static func driversName(of controller: String) throws(USBError) -> String {
        guard !controller.contains("/"), let file = fopen("\(controllers)/\(controller)/uevent", "re") else {
            throw USBError(.notFound, operation: "open(\(controllers)/\(controller))", detail: "there is no such USB device controller")
        }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.hasPrefix("USB_UDC_NAME=") { return String(text.dropFirst(13)) }
        }
        return controller
    }

    private static func names(_ root: Int32) throws(USBError) -> [String] {
        let opened = clinux_open_at(root, ".", O_RDONLY | O_DIRECTORY)
        guard let folder = OwnedDescriptor(opened: opened) else { throw USBError(errno: -opened, operation: "open(gadgetfs)") }
        guard let stream = fdopendir(folder.number) else { throw USBError(errno: errno, operation: "fdopendir(gadgetfs)") }
        _ = folder.handOver()
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names.filter { !$0.hasPrefix(".") }
    }

    /// The endpoints' files; there are some once a device is bound.
    var names: [String] { get throws(USBError) { try Self.names(root.number) } }

    /// The controller's file. Closing it takes the device off the bus.
    func openController() throws(USBError) -> OwnedDescriptor {
        let opened = clinux_open_at(root.number, controller, O_RDWR | O_NONBLOCK)
        guard let file = OwnedDescriptor(opened: opened) else {
            throw USBError(
                errno: -opened, operation: "open(\(controller))",
                detail: opened == -EBUSY ? "another program serves a device through it" : nil)
        }
        return file
    }

    /// Opens an endpoint's file and sets the endpoint up.
    func openEndpoint(_ name: String, _ endpoint: EndpointDescriptor, isHighSpeed: Bool) throws(USBError) -> OwnedDescriptor {
        let opened = clinux_open_at(root.number, name, O_RDWR)
        guard let file = OwnedDescriptor(opened: opened) else { throw USBError(errno: -opened, operation: "open(\(name))") }
        let high: [UInt8] = [
            7, DescriptorType.endpoint, endpoint.address.rawValue, endpoint.attributes,
            UInt8(truncatingIfNeeded: endpoint.maxPacketSizeField),
            UInt8(endpoint.maxPacketSizeField >> 8), endpoint.interval,
        ]
        // "Endpoint configuration", then the descriptor for each speed.
        let bytes: [UInt8] = Self.endpointTag + (isHighSpeed ? GadgetDescriptors.fullSpeed(high) + high : high)
        guard write(file.number, bytes, bytes.count) == bytes.count else {
            throw USBError(errno: errno, operation: "write(\(name))", detail: "the controller does not set up \(endpoint.address)")
        }
        return file
    }

    /// 1 in the byte order of the machine.
    private static let endpointTag: [UInt8] = withUnsafeBytes(of: UInt32(1)) { Array($0) }
}

extension USBError {
    /// From the errno of a call on GadgetFS.
    init(errno number: Int32, operation: String, detail: String? = nil) {
        let code: Code =
            switch number {
            case EACCES, EPERM: .accessDenied
            case EBUSY: .busy
            case ENODEV, ENOENT, ESHUTDOWN: .noDevice
            case EINVAL: .invalidArgument
            default: .fault
            }
        let text = String(cString: strerror(number))
        self.init(code, operation: operation, detail: detail.map { "\(text): \($0)" } ?? text)
    }
}
