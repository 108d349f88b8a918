// usb-probe: tries LibUSBHost on real usbfs devices, in a virtual machine or under umockdev. Exit status 0 when every check held.
//
//   usb-probe list                             usb-probe describe PATH
//   usb-probe watch COUNT                      usb-probe webcam PATH [--until-unplugged]
//   usb-probe storage PATH                     usb-probe wrapped NODE INTERFACE…
//   usb-probe silent PATH
import FileDescriptors
import Glibc
import LibUSBHost
import USB
import USBFS

let arguments = Array(CommandLine.arguments.dropFirst())
let report = Report()

func describe(_ information: USBDeviceInformation) -> String {
    func hex(_ value: UInt16) -> String { String(value + 0, radix: 16) }
    return "\(information.path) bus \(information.busNumber) device \(information.deviceNumber) \(hex(information.vendorID)):"
        + "\(hex(information.productID)) \(information.speed), \(information.descriptors.count) bytes of descriptors, "
        + "\(information.manufacturer ?? "-") / \(information.product ?? "-") / \(information.serialNumber ?? "-")"
}

do {
    switch (arguments.first, arguments.dropFirst().first) {
    case ("list", nil):
        for information in try await LibUSBHost().devices() { say(describe(information)) }
    case ("describe", let path?):
        let device = try await LibUSBHost().openDevice(path: path)
        say(describe(device.information))
        let answer = try await device.descriptor(type: 1, length: 18)
        report.check(answer == Array(device.information.descriptors.prefix(18)), "the device answers with the descriptor that sysfs has")
        await report.refusal(.notFound, "a port without a device can't be opened") { _ = try await LibUSBHost().open(path: "9-9.9") }
    case ("watch", let count?):
        var left = Int(count) ?? 1
        let host = try LibUSBHost()
        say("watching")
        for await event in try host.hotplugEvents() {
            switch event {
            case .arrived(let information): say("arrived \(describe(information))")
            case .left(let path): say("left \(path)")
            }
            left -= 1
            if left == 0 { break }
        }
        host.close()
    case ("webcam", let path?):
        let device = try await LibUSBHost().openDevice(path: path)
        guard let probe = WebcamProbe(device: device, report: report, untilUnplugged: arguments.contains("--until-unplugged")) else {
            report.check(false, "\(path) is a camera")
            break
        }
        await probe.run()
    case ("storage", let path?):
        let host = try LibUSBHost()
        guard let probe = StorageProbe(host: host, device: try await host.openDevice(path: path), report: report) else {
            report.check(false, "\(path) is a disk")
            break
        }
        await probe.run()
    case ("silent", let path?):
        // The same of libusb's devices and of a driver's.
        let host = try LibUSBHost()
        guard let information = try await host.devices().first(where: { $0.path == path }) else {
            report.check(false, "\(path) is there")
            break
        }
        let handed = try USBFSDevice(
            wrapping: try LibUSBHost.openDescriptor(of: information), streaming: try LibUSBHost.openDescriptor(of: information),
            interfaces: 0,
            information: information)
        for (device, name) in [(try await host.openDevice(path: path) as any USBDeviceHandle, "libusb"), (handed, "usbfs")] {
            report.note("through \(name)")
            guard let probe = SilentProbe(device: device, report: report) else {
                report.check(false, "\(path) has an endpoint to listen to")
                break
            }
            await probe.run()
        }
    case ("wrapped", let node?):
        await WrappedProbe.run(node: node, interfaces: arguments.dropFirst(2).compactMap { UInt8($0) }, report: report)
    default:
        say(
            "usage: usb-probe list | describe PATH | watch COUNT | webcam PATH [--until-unplugged] | storage PATH | silent PATH | wrapped NODE INTERFACE…"
        )
        exit(2)
    }
} catch {
    report.check(false, arguments.joined(separator: " "), "\(error)")
}
exit(report.status)
