// The owner of a GadgetFS mount: the controller's file, and one file for each of its endpoints.

import CLinux
import Glibc
import USB

/// Mounted where nobody sees it, so that nothing is left of it when the process ends, in whichever way.
final class GadgetFileSystem {
    private static let controllers = "/sys/class/udc"

    private let root: Int32
    /// The controller, as its driver calls it.
    let controller: String

    /// - Parameter wanted: a name in /sys/class/udc, or the driver's for it. The kernel takes the first controller that is free, so this is checked,
    ///   not chosen.
    init(wanted: String? = nil) throws(USBError) {
        var isKnown: Int32 = 0
        let root = clinux_gadgetfs(&isKnown)
        guard root >= 0 else { throw Self.failure(-root, isKnown: isKnown != 0) }
        self.root = root
        // Before a device is bound there is one file, named after the controller.
        do throws(USBError) {
            guard let name = try Self.names(root).first(where: { GadgetEndpointName($0) == nil }) else {
                throw USBError(.notFound, operation: "GadgetFS", detail: "the controller has no file")
            }
            controller = name
        } catch {
            close(root)
            throw error
        }
        guard let wanted, wanted != controller, try Self.driversName(of: wanted) != controller else { return }
        // The deinitialiser closes the mount.
        throw USBError(
            .notSupported, operation: "GadgetFS",
            detail: "the kernel offers the controller \(controller), the first that is free, not \(wanted)")
    }

    deinit { close(root) }

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
        let folder = clinux_open_at(root, ".", O_RDONLY | O_DIRECTORY)
        guard folder >= 0 else { throw USBError(errno: -folder, operation: "open(gadgetfs)") }
        guard let stream = fdopendir(folder) else {
            let number = errno
            close(folder)
            throw USBError(errno: number, operation: "fdopendir(gadgetfs)")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names.filter { !$0.hasPrefix(".") }
    }

    /// The endpoints' files; there are some once a device is bound.
    var names: [String] { get throws(USBError) { try Self.names(root) } }

    /// The controller's file. Closing it takes the device off the bus.
    func openController() throws(USBError) -> Int32 {
        let descriptor = clinux_open_at(root, controller, O_RDWR | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw USBError(
                errno: -descriptor, operation: "open(\(controller))",
                detail: descriptor == -EBUSY ? "another program serves a device through it" : nil)
        }
        return descriptor
    }

    /// Opens an endpoint's file and sets the endpoint up.
    func openEndpoint(_ name: String, _ endpoint: EndpointDescriptor, isHighSpeed: Bool) throws(USBError) -> Int32 {
        let descriptor = clinux_open_at(root, name, O_RDWR)
        guard descriptor >= 0 else { throw USBError(errno: -descriptor, operation: "open(\(name))") }
        let high: [UInt8] = [
            7, DescriptorType.endpoint, endpoint.address.rawValue, endpoint.attributes,
            UInt8(truncatingIfNeeded: endpoint.maxPacketSizeField),
            UInt8(endpoint.maxPacketSizeField >> 8), endpoint.interval,
        ]
        // "Endpoint configuration", then the descriptor for each speed.
        let bytes: [UInt8] = Self.endpointTag + (isHighSpeed ? GadgetDescriptors.fullSpeed(high) + high : high)
        guard write(descriptor, bytes, bytes.count) == bytes.count else {
            let number = errno
            close(descriptor)
            throw USBError(errno: number, operation: "write(\(name))", detail: "the controller does not set up \(endpoint.address)")
        }
        return descriptor
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
