// A device of this machine as sysfs and its node tell of it, without opening it.

import Glibc
import USB

/// Everything below the class driver, as the kernel sees it.
public struct LocalDevice: Hashable, Sendable {
    public struct Interface: Hashable, Sendable {
        public var number: Int
        /// `bInterfaceClass`
        public var interfaceClass: Int
        /// The kernel's driver, `"usbfs"` where a program has claimed it.
        public var driver: String?
    }

    /// `"1-2.3"`
    public var path: String
    public var vendorID: String
    public var productID: String
    public var product: String?
    public var controller: String?
    public var controllerDriver: String?
    public var rootHub: String
    public var rootHubSpeed: String?
    /// Hubs between the root hub and the device: `["1-2"]`.
    public var hubs: [String]
    /// Mbit/s.
    public var speed: String?
    /// `bMaxPower`, as sysfs writes it: `"500mA"`.
    public var maxPower: String?
    /// `bConfigurationValue`; `nil` if the kernel has chosen none.
    public var configuration: String?
    public var isAuthorized: Bool
    /// `"active"`, `"suspended"`
    public var runtimeStatus: String?
    /// `power/control`: `"auto"` where it may be suspended.
    public var powerControl: String?
    /// How often its port was switched off because it drew too much current.
    public var overCurrentCount: Int?
    public var interfaces: [Interface]
    public var node: String
    public var nodeMode: UInt32?
    public var nodeUser: UInt32?
    public var nodeGroup: UInt32?
    /// Why this user can't open it.
    public var accessProblem: String?
    public var descriptors: [UInt8]

    /// `vendor:product@path`, as the daemon names a device without a serial number.
    public var id: String { "\(vendorID):\(productID)@\(path)" }
    /// A device that nobody wants a user-mode driver for: keyboards and mice, disks, hubs, network and wireless adapters. If the daemon
    /// can't be asked which devices it has drivers for, any other device may be meant.
    public var isOrdinary: Bool {
        let kernels: Set = [0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0xe0]
        return interfaces.allSatisfy { kernels.contains($0.interfaceClass) }
    }
    var speedValue: USBSpeed {
        switch speed {
        case "1.5": .low
        case "12": .full
        case "480": .high
        case "5000": .super
        case "10000", "20000": .superPlus
        default: .unknown
        }
    }

    /// Devices that are plugged in, hubs left out.
    public static func all(_ root: SystemRoot) -> [LocalDevice] {
        root.names(in: MachineFacts.devices).filter { !$0.contains(":") && !$0.hasPrefix("usb") }.compactMap { read($0, root) }
            .filter { device in !device.interfaces.contains { $0.interfaceClass == 0x09 } }
    }

    /// `nil` if nothing is plugged in there. `path` may be anything that somebody typed.
    public static func read(_ path: String, _ root: SystemRoot) -> LocalDevice? {
        guard isPath(path) else { return nil }
        let folder = "\(MachineFacts.devices)/\(path)"
        guard let vendor = root.text(folder + "/idVendor"), let product = root.text(folder + "/idProduct"),
            let bus = root.number(folder + "/busnum"), let number = root.number(folder + "/devnum")
        else { return nil }
        let node = "/dev/bus/usb/\(padded(bus))/\(padded(number))"
        let controller = root.resolved("\(MachineFacts.devices)/usb\(bus)").map { $0.split(separator: "/").dropLast() }
        let status = root.node(node)
        let configuration = root.text(folder + "/bConfigurationValue")
        return LocalDevice(
            path: path, vendorID: vendor, productID: product, product: root.text(folder + "/product"),
            controller: controller?.last.map(String.init),
            controllerDriver: controller.flatMap { root.linkName("/" + $0.joined(separator: "/") + "/driver") }, rootHub: "usb\(bus)",
            rootHubSpeed: root.text("\(MachineFacts.devices)/usb\(bus)/speed"), hubs: hubs(before: path),
            speed: root.text(folder + "/speed"), maxPower: root.text(folder + "/bMaxPower"),
            configuration: configuration?.isEmpty == true ? nil : configuration,
            isAuthorized: root.number(folder + "/authorized") != 0, runtimeStatus: root.text(folder + "/power/runtime_status"),
            powerControl: root.text(folder + "/power/control"), overCurrentCount: overCurrentCount(at: path, root),
            interfaces: interfaces(of: path, root), node: node, nodeMode: status?.mode, nodeUser: status?.user, nodeGroup: status?.group,
            accessProblem: root.accessProblem(node), descriptors: root.bytes(folder + "/descriptors") ?? [])
    }

    /// Whether a text is sysfs's name of a port: bus, dash, ports.
    static func isPath(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, text.utf8.count <= 40 else { return false }
        return UInt8(parts[0]) != nil && parts[1].split(separator: ".", omittingEmptySubsequences: false).allSatisfy { UInt8($0) != nil }
    }

    /// Of the port at a path, whether or not something is plugged in there.
    public static func overCurrentCount(at path: String, _ root: SystemRoot) -> Int? {
        guard isPath(path) else { return nil }
        let (hub, port): (String, Substring)
        if let dot = path.lastIndex(of: ".") {
            (hub, port) = (String(path[..<dot]), path[path.index(after: dot)...])
            return root.number("\(MachineFacts.devices)/\(hub):1.0/\(hub)-port\(port)/over_current_count")
        }
        let parts = path.split(separator: "-")
        (hub, port) = ("usb\(parts[0])", parts[1])
        return root.number("\(MachineFacts.devices)/\(parts[0])-0:1.0/\(hub)-port\(port)/over_current_count")
    }

    private static func hubs(before path: String) -> [String] {
        var hubs: [String] = []
        var rest = path
        while let dot = rest.lastIndex(of: ".") {
            rest = String(rest[..<dot])
            hubs.insert(rest, at: 0)
        }
        return hubs
    }

    private static func interfaces(of path: String, _ root: SystemRoot) -> [Interface] {
        root.names(in: MachineFacts.devices).filter { $0.hasPrefix(path + ":") }.compactMap { name in
            let folder = "\(MachineFacts.devices)/\(name)"
            guard let number = root.text(folder + "/bInterfaceNumber").flatMap({ Int($0, radix: 16) }) else { return nil }
            return Interface(
                number: number, interfaceClass: root.text(folder + "/bInterfaceClass").flatMap { Int($0, radix: 16) } ?? 0,
                driver: root.linkName(folder + "/driver"))
        }
    }

    private static func padded(_ value: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, 3 - text.count)) + text
    }
}
