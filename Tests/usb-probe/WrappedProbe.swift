// What a driver process does: two descriptors that somebody opened, with privileges dropped, no file in reach and no library between.
import CLinux
import FileDescriptors
import Glibc
import USB
import USBFS

enum WrappedProbe {
    /// `interfaces`: those the driver may claim; one that it may not is the highest of them and one more.
    static func run(node: String, interfaces: [UInt8], report: Report) async {
        let descriptor = open(node, O_RDWR | O_CLOEXEC)
        let streaming = open(node, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0, streaming >= 0 else { return report.check(false, "open(\(node))", "errno \(errno)") }
        for interface in interfaces { _ = clinux_usbfs_disconnect(descriptor, UInt32(interface)) }
        let mask = interfaces.reduce(UInt32(0)) { $0 | 1 << UInt32($1) }
        let dropped = clinux_usbfs_drop_privileges(descriptor, mask)
        report.check(dropped == 0, "privileges are dropped", "\(dropped)")
        var descriptors = [UInt8](repeating: 0, count: 4096)
        descriptors.removeLast(descriptors.count - max(0, pread(descriptor, &descriptors, descriptors.count, 0)))
        report.check(descriptors.count > 18, "its descriptors are read", "\(descriptors.count) bytes")
        var empty = Array("/tmp/usb-probe.XXXXXX".utf8CString)
        guard mkdtemp(&empty) != nil, chroot(empty) == 0, chdir("/") == 0 else {
            return report.check(false, "chroot to an empty folder", "errno \(errno)")
        }
        report.check(access("/dev", F_OK) != 0 && access("/sys", F_OK) != 0 && access("/proc", F_OK) != 0, "no file is in reach")

        _ = await report.step("the descriptor is wrapped") {
            let device = try USBFSDevice(
                wrapping: OwnedDescriptor(descriptor), streaming: OwnedDescriptor(streaming), interfaces: 0,
                information: USBDeviceInformation(path: "wrapped", speed: .unknown, descriptors: descriptors))
            let answer = try await device.descriptor(type: 1, length: 18)
            report.check(answer == Array(descriptors.prefix(18)), "the device answers with the same device descriptor")
            await report.refusal(.stall, "what it does not know it refuses") { _ = try await device.descriptor(type: 0x7f, length: 18) }
            for interface in interfaces { try await device.claim(interface: interface) }
            await report.refusal(.accessDenied, "no interface but its own can be claimed") {
                try await device.claim(interface: (interfaces.max() ?? 0) + 1)
            }
            report.check(clinux_usbfs_connect(descriptor, UInt32(interfaces[0])) == -EACCES, "no kernel driver can be attached")
            try await device.reset()
            report.check(try await device.descriptor(type: 1, length: 18) == answer, "it answers after a reset")
            await report.refusal(.busy, "and is claimed as before") {
                let number = clinux_usbfs_claim(streaming, UInt32(interfaces[0]))
                throw USBError(number == -EBUSY ? .busy : .fault, operation: "USBDEVFS_CLAIMINTERFACE", detail: "\(number)")
            }
            device.close()
            device.close()
            report.check(fcntl(descriptor, F_GETFD) < 0 && errno == EBADF, "the descriptor is closed with the device")
            await report.refusal(.noDevice, "nothing works after it") { _ = try await device.descriptor(type: 1, length: 18) }
        }
    }
}
