// A machine in a folder: sysfs, device nodes and rules as Linux has them, made by a test and spoilt by it.

import EmulatedWebcam
import Foundation
import USB
import USBEmulation
import Wire

@testable import DeviceStack

/// xHCI with one bus and an emulated camera's descriptors at port 2, as sysfs shows them. Gone when it is let go.
final class FakeMachine {
    let folder: String
    var root: SystemRoot { SystemRoot(folder) }
    private let files = FileManager.default

    static let controller = "/sys/devices/pci0000:00/0000:00:14.0"
    static let hub = controller + "/usb1"
    /// Made anew for each machine: a camera that can't be made fails the test.
    static func descriptors() throws -> [UInt8] {
        let all = try EmulatedWebcam().descriptors
        return all.device + all.configurations.flatMap { $0 }
    }

    init() throws {
        folder = NSTemporaryDirectory() + "/userdriver-machine-\(UUID().uuidString)"
        try make("/proc")
        try write("", to: "/proc/self/mounts")
        try write("root:x:0:\nuserdriver:x:970:\n", to: "/etc/group")
    }

    deinit {
        do { try files.removeItem(atPath: folder) } catch { print("\(folder) stays behind: \(error)") }
    }

    /// One with everything in order.
    static func healthy(kernelDriver: String? = "usbfs") throws -> FakeMachine {
        let machine = try FakeMachine()
        try machine.addUSB()
        try machine.plug("1-2", kernelDriver: kernelDriver)
        return machine
    }

    func addUSB() throws {
        try link(Self.controller + "/driver", to: "/sys/bus/pci/drivers/xhci_hcd")
        try write("480", to: Self.hub + "/speed")
        try write("0", to: Self.hub + "/1-0:1.0/usb1-port2/over_current_count")
        try link("/sys/bus/usb/devices/usb1", to: Self.hub)
        try link("/sys/bus/usb/devices/1-0:1.0", to: Self.hub + "/1-0:1.0")
        try write("16", to: "/sys/module/usbcore/parameters/usbfs_memory_mb")
        try write("", to: "/dev/bus/usb/001/001")
        try write("# rules", to: "/etc/udev/rules.d/70-userdriver.rules")
    }

    /// A camera with the interfaces 0 and 1.
    func plug(_ path: String, kernelDriver: String?) throws {
        let device = Self.hub + "/" + path
        for (name, value) in [
            ("idVendor", "1209"), ("idProduct", "0001"), ("product", "UserDriver Emulated Webcam"), ("busnum", "1"), ("devnum", "4"),
            ("speed", "480"), ("bMaxPower", "500mA"), ("bConfigurationValue", "1"), ("authorized", "1"), ("power/runtime_status", "active"),
            ("power/control", "on"),
        ] { try write(value, to: "\(device)/\(name)") }
        try write(try Self.descriptors(), to: device + "/descriptors")
        try link("/sys/bus/usb/devices/" + path, to: device)
        for number in 0...1 {
            let interface = "\(path):1.\(number)"
            try write("0\(number)", to: "\(device)/\(interface)/bInterfaceNumber")
            try write("0e", to: "\(device)/\(interface)/bInterfaceClass")
            if let kernelDriver { try link("\(device)/\(interface)/driver", to: "/sys/bus/usb/drivers/" + kernelDriver) }
            try link("/sys/bus/usb/devices/" + interface, to: "\(device)/\(interface)")
        }
        try write("", to: "/dev/bus/usb/001/004")
    }

    // MARK: Files

    func write(_ text: String, to path: String) throws { try write(Array(text.utf8) + [10], to: path) }

    func write(_ bytes: [UInt8], to path: String) throws {
        try make(String(path[..<path.lastIndex(of: "/")!]))
        try Data(bytes).write(to: URL(fileURLWithPath: folder + path))
    }

    func remove(_ path: String) throws { try files.removeItem(atPath: folder + path) }

    private func make(_ path: String) throws { try files.createDirectory(atPath: folder + path, withIntermediateDirectories: true) }

    /// sysfs's links are relative; what they end in is what counts.
    private func link(_ path: String, to target: String) throws {
        try make(target)
        try make(String(path[..<path.lastIndex(of: "/")!]))
        try files.createSymbolicLink(atPath: folder + path, withDestinationPath: folder + target)
    }
}

/// What a daemon says that drives the camera of `FakeMachine`.
enum FakeDiagnosis {
    static let driver = Diagnosis.Driver(
        path: "/usr/lib/userdriver/drivers/webcam.driver", id: "io.userdriver.webcam", version: "0.1.0", verdict: "trusted")

    static func daemon(user: UInt32 = 970, groups: [UInt32] = [970]) -> Diagnosis.Daemon {
        Diagnosis.Daemon(version: "0.1.0", pid: 41, user: user, groups: groups, usesUSB: true, detachesKernelDrivers: false)
    }

    static func device(
        _ state: DeviceStatus.State = .running, bus: String = "1-2", reason: String? = nil, fault: CallError? = nil,
        nodeProblem: String? = nil,
        restarts: Int = 0, warnings: [String] = [], driver: Diagnosis.Driver? = driver
    ) -> Diagnosis.Device {
        let stream = DeviceStatus.Stream(
            name: "video", frames: 300, lost: 0, clients: 1, shown: ["format": "mjpeg", "width": 640, "height": 480, "fps": 30])
        return Diagnosis.Device(
            status: DeviceStatus(
                id: "1209:0001:EMU0001", bus: bus, vendorId: "1209", productId: "0001", name: "UserDriver Emulated Webcam", kind: "webcam",
                driver: driver?.id ?? "", state: state, pid: state == .running ? 42 : 0, restarts: restarts,
                streams: state == .running && fault == nil ? [stream] : [], reason: reason, warnings: warnings),
            node: "/dev/bus/usb/001/004", nodeProblem: nodeProblem, interfaces: [0, 1], driver: driver,
            rings: [Diagnosis.Ring(stream: "video", bytes: 8 << 20)], fault: fault)
    }

    /// What a driver says of an error of its device's, as it comes out of the framework.
    static func fault(_ error: USBError, _ prefix: String = "") -> CallError {
        CallError("DeviceError", "\(prefix)\(error)", layer: error.code.layer, detail: ["usbError": .string(error.code.name)])
    }

    static func scanner(_ endpoints: [DeviceStatus.Endpoint] = [], state: DeviceStatus.State = .running) -> Diagnosis.Device {
        var device = device(state)
        device.status.kind = "scanner"
        device.status.streams = []
        device.status.endpoints = endpoints.isEmpty ? nil : endpoints
        device.rings = []
        return device
    }

    /// A device of another kind than a camera, that has no streams.
    static func thermometer(fault: CallError? = nil, activities: [DeviceStatus.Activity] = []) -> Diagnosis.Device {
        var device = device(fault: fault)
        device.status.kind = "thermometer"
        device.status.name = "Thermometer"
        device.status.streams = []
        device.status.activities = activities
        device.interfaces = [0]
        device.rings = []
        return device
    }
}
