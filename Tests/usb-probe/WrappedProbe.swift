// What a driver process does: a descriptor that somebody opened, with privileges dropped, and no file in reach.
import CLinux
import Glibc
import LibUSBHost
import USB

enum WrappedProbe {
    /// `interfaces`: those the driver may claim; one that it may not is the highest of them and one more.
    static func run(node: String, interfaces: [UInt8], report: Report) async {
        let descriptor = open(node, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return report.check(false, "open(\(node))", "errno \(errno)") }
        for interface in interfaces { _ = clinux_usbfs_disconnect(descriptor, UInt32(interface)) }
        let mask = interfaces.reduce(UInt32(0)) { $0 | 1 << UInt32($1) }
        let dropped = clinux_usbfs_drop_privileges(descriptor, mask)
        report.check(dropped == 0, "privileges are dropped", "\(dropped)")
        var empty = Array("/tmp/usb-probe.XXXXXX".utf8CString)
        guard mkdtemp(&empty) != nil, chroot(empty) == 0, chdir("/") == 0 else {
            return report.check(false, "chroot to an empty folder", "errno \(errno)")
        }
        report.check(access("/dev", F_OK) != 0 && access("/sys", F_OK) != 0 && access("/proc", F_OK) != 0, "no file is in reach")

        _ = await report.step("the descriptor is wrapped") {
            let device = try LibUSBDevice(
                wrapping: descriptor, information: USBDeviceInformation(path: "wrapped", speed: .unknown, descriptors: []))
            report.check(
                device.information.descriptors.count > 18, "its descriptors are read", "\(device.information.descriptors.count) bytes")
            let answer = try await device.descriptor(type: 1, length: 18)
            report.check(answer == Array(device.information.descriptors.prefix(18)), "the device answers with the same device descriptor")
            for interface in interfaces { try await device.claim(interface: interface) }
            await report.refusal(.accessDenied, "no interface but its own can be claimed") {
                try await device.claim(interface: (interfaces.max() ?? 0) + 1)
            }
            await report.refusal(.accessDenied, "no kernel driver can be attached") {
                try await device.attachKernelDriver(interface: interfaces[0])
            }
            device.close()
            report.check(fcntl(descriptor, F_GETFD) < 0 && errno == EBADF, "the descriptor is closed with the device")
            await report.refusal(.notSupported, "this process finds no devices") { _ = try LibUSBHost() }
        }
    }
}
