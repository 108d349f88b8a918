// A driver that means harm: it is handed a device exactly as any driver is, and tries to get at more. For the scenario Tests/vm/broker.
//
// Its bundle gives it the interfaces of class 0xff of a device whose first interface belongs to a driver of the kernel. Each attempt is a line in the
// supervisor's log, `PASS`, `FAIL` or `note`; `hostile: done` is the last.

import CLinux
import CUsbfsAttempts
import FileDescriptors
import Glibc
import USB
import Wire

@main
struct UsbfsIntruder {
    let channel = Channel(OwnedDescriptor(DriverContract.channelDescriptor))

    static func main() {
        do { try UsbfsIntruder().run() } catch { exit(98) }
    }

    func run() throws {
        try channel.send(MessageFromDriver.hello(DriverHello(driver: "hostile")))
        var isDriving = false
        while true {
            var entry = pollfd(fd: channel.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, 200)
            loop: while true {
                switch try channel.receiveNow(MessageToDriver.self) {
                case .nothing: break loop
                case .end, .message(.stop, _): exit(0)
                case .message(.start(let start), let descriptors):
                    guard let device = descriptors.first else { exit(97) }
                    try channel.send(MessageFromDriver.started(DriverFacts(kind: "hostile", name: "Hostile", interfaces: [])))
                    isDriving = true
                    try attack(device, try start.device.decoded(as: USBDeviceInformation.self))
                case .message: break
                }
            }
            if isDriving { try channel.send(MessageFromDriver.heartbeat(DriverStatistics())) }
        }
    }

    private func say(_ text: String) throws { try channel.send(MessageFromDriver.log(level: "notice", message: text)) }

    private func expect(_ numbers: Int32..., of what: String, _ result: Int32) throws {
        let text = result < 0 ? String(cString: strerror(-result)) : "granted"
        try say("\(numbers.contains(max(0, -result)) ? "PASS" : "FAIL")  \(what): \(text)")
    }

    private func attack(_ device: Int32, _ information: USBDeviceInformation) throws {
        // What it was told of is its own function's; the node tells of the others as well.
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = pread(device, &bytes, bytes.count, 0)
        let interfaces = DescriptorSet(parsing: Array(bytes.prefix(max(0, count)))).configurations.first?.interfaces ?? []
        let told = DescriptorSet(parsing: information.descriptors).configurations.first?.interfaces ?? []
        try say("\(told.allSatisfy { $0.interfaceClass == 0xff } ? "PASS" : "FAIL")  it is told of its own function alone")
        guard let own = interfaces.first(where: { $0.interfaceClass == 0xff })?.number, own < 32,
            let foreign = interfaces.first(where: { $0.interfaceClass != 0xff }),
            let endpoint = interfaces.first(where: { $0.interfaceClass != 0xff && !$0.endpoints.isEmpty })?.endpoints.first
        else {
            try say("FAIL  the device has an interface of its own and a foreign one")
            return
        }
        let other = UInt32(foreign.number)
        try expect(0, of: "its own interface \(own) is claimed", attempt_claim(device, UInt32(own)))
        try expect(EACCES, of: "claiming interface \(other), which is another function's", attempt_claim(device, other))
        try expect(EACCES, of: "detaching its driver (USBDEVFS_DISCONNECT)", attempt_disconnect(device, other))
        try expect(EACCES, of: "detaching and claiming (USBDEVFS_DISCONNECT_CLAIM)", attempt_disconnect_claim(device, other))
        try expect(EACCES, of: "binding a driver (USBDEVFS_CONNECT)", attempt_connect(device, UInt32(own)))
        try expect(EACCES, of: "SET_INTERFACE of interface \(other)", attempt_set_interface(device, other, 0))
        try expect(
            EACCES, of: "clearing the halt of \(endpoint.address), which is another function's",
            attempt_clear_halt(device, UInt32(endpoint.address.rawValue)))
        // SET_CONTROL_LINE_STATE of the communication class.
        try expect(EACCES, of: "a request to interface \(other)", attempt_request(device, 0x21, 0x22, 0, UInt16(other)))
        // Not a privilege that is dropped: refused while an interface is in use, its own for one.
        try expect(EACCES, EBUSY, of: "SET_CONFIGURATION", attempt_set_configuration(device, 1))
        try expect(EACCES, of: "resetting a device that others use", attempt_reset(device))
        try attackFiles(device, information)
        // The kernel knows the request by its own call only: as a plain control transfer to the device it passes.
        let raw = attempt_request(device, 0x00, 9, 1, 0)
        try say("note  SET_CONFIGURATION as a plain control transfer: \(raw < 0 ? String(cString: strerror(-raw)) : "granted")")
        try say("hostile: done")
    }

    /// Whether files are in reach is the sandbox's matter: without one, what is granted is told and not judged.
    private func attackFiles(_ device: Int32, _ information: USBDeviceInformation) throws {
        let isSandboxed = attempt_has_filter() > 0
        func attempt(_ what: String, _ path: String) throws {
            let file = open(path, O_RDWR | O_CLOEXEC)
            let result = file < 0 ? -errno : 0
            if file >= 0 { close(file) }
            if isSandboxed || result < 0 {
                try expect(EACCES, of: what, result)
            } else {
                try say("note  \(what): granted, as there is no sandbox")
            }
        }
        try attempt("another device's node", "/dev/bus/usb/001/001")
        let bus = "00\(information.busNumber)".suffix(3)
        let number = "00\(information.deviceNumber)".suffix(3)
        try attempt("its own node, by name", "/dev/bus/usb/\(bus)/\(number)")
        try attempt("its own node, through /proc/self/fd", "/proc/self/fd/\(device)")
    }
}
