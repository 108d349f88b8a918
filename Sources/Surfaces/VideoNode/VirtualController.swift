// The kernel's vhci_hcd: its ports, and how a socket becomes a device on one of them.

import FileDescriptors
import Glibc

/// `vhci_hcd` as it shows itself in sysfs (`drivers/usb/usbip/vhci_sysfs.c`).
struct VirtualController {
    /// `/sys/devices/platform`; a folder of a test's otherwise.
    var root = "/sys/devices/platform"

    private var folder: String { root + "/vhci_hcd.0" }

    struct Port: Hashable {
        /// What `attach` takes.
        var number: Int
        var isSuper: Bool
        /// `VDEV_ST_NULL`
        var isFree: Bool
        /// What the attacher has called the device that is there.
        var deviceID: UInt32
    }

    var isPresent: Bool { access(folder + "/attach", F_OK) == 0 }

    /// Ports of all controllers, as the `status` files say: `hs  0000 006 003 00010002 000003 3-1`. A line that is not understood counts for nothing.
    func ports() -> [Port] {
        var ports: [Port] = []
        for index in 0..<16 {
            let path = folder + (index == 0 ? "/status" : "/status.\(index)")
            guard let text = SmallFile.read(path, limit: 16 << 10) else { break }
            ports += Self.parse(text)
        }
        return ports
    }

    static func parse(_ text: String) -> [Port] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 5, fields[0] == "hs" || fields[0] == "ss", let number = Int(fields[1]), let state = Int(fields[2]),
                let device = UInt32(fields[4], radix: 16), (0..<4096).contains(number)
            else { return nil }
            return Port(number: number, isSuper: fields[0] == "ss", isFree: state == 4, deviceID: device)
        }
    }

    /// Where a device on the port will be: `"3-1"`. Each controller has a bus for each speed, with half of its ports each.
    func busPath(of port: Port, among ports: [Port]) -> String? {
        guard let controller = controller(of: port, among: ports) else { return nil }
        let path = root + "/vhci_hcd.\(controller.index)"
        guard let entries = SmallFile.entries(path) else { return nil }
        for name in entries where name.hasPrefix("usb") {
            guard let bus = Int(name.dropFirst(3)),
                let speed = SmallFile.read(path + "/\(name)/speed", limit: 32).flatMap({ Int($0.filter(\.isNumber)) })
            else { continue }
            if (speed >= 5000) == port.isSuper { return "\(bus)-\(controller.place + 1)" }
        }
        return nil
    }

    /// Which controller has the port, and the port's place among those of its speed there.
    private func controller(of port: Port, among ports: [Port]) -> (index: Int, place: Int)? {
        // Numbers go on from one controller to the next, high speed before SuperSpeed in each.
        let sorted = ports.sorted { $0.number < $1.number }
        var (index, place) = (0, 0)
        var last: Port?
        for one in sorted {
            if let last {
                if last.isSuper, !one.isSuper {
                    (index, place) = (index + 1, 0)
                } else if last.isSuper != one.isSuper {
                    place = 0
                } else {
                    place += 1
                }
            }
            if one.number == port.number { return (index, place) }
            last = one
        }
        return nil
    }

    /// Hands the kernel the socket. 0 or an errno.
    func attach(_ socket: Int32, to port: Port, deviceID: UInt32) -> Int32 {
        guard let file = OwnedDescriptor(opened: open(folder + "/attach", O_WRONLY | O_CLOEXEC)) else { return errno }
        let text = "\(port.number) \(socket) \(deviceID) \(port.isSuper ? 5 : 3)"
        let written = text.withCString { write(file.number, $0, strlen($0)) }
        return written == text.utf8.count ? 0 : errno
    }
}

/// Files of sysfs's size.
enum SmallFile {
    static func read(_ path: String, limit: Int) -> String? {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else { return nil }
        var bytes = [UInt8](repeating: 0, count: limit)
        var count = 0
        while count < limit {
            let got = bytes.withUnsafeMutableBytes { Glibc.read(file.number, $0.baseAddress! + count, limit - count) }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { return nil }
            if got == 0 { break }
            count += got
        }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    static func entries(_ path: String) -> [String]? {
        guard let folder = opendir(path) else { return nil }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            )
        }
        return names.filter { $0 != "." && $0 != ".." }.sorted()
    }

    /// Written beside, then renamed.
    static func write(_ text: String, to path: String) -> Int32 {
        let temporary = path + ".new"
        let opened = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard let file = OwnedDescriptor(opened: opened) else { return errno }
        let written = text.withCString { Glibc.write(file.number, $0, strlen($0)) }
        guard written == text.utf8.count else { return errno }
        return rename(temporary, path) == 0 ? 0 : errno
    }
}
