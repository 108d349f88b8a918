// What is to be known of the machine before any device: USB in the kernel, usbfs, rules, groups, who asks.

import Glibc
import Wire

/// Read once, judged by `StackJudge`.
public struct MachineFacts: Hashable, Sendable {
    public enum USBFS: Hashable, Sendable {
        case present
        /// `/dev/bus/usb` does not exist, or nothing is in it.
        case absent
        /// Something is mounted over it.
        case covered
    }
    /// A port that was switched off because too much current was drawn there.
    public struct OverCurrent: Hashable, Sendable {
        /// sysfs's name: `"1-0:1.0/usb1-port2"`.
        public var port: String
        public var count: Int
    }

    /// `userdriver-video`, which makes a `/dev/videoN` of each camera.
    public struct Video: Hashable, Sendable {
        /// The kernel's `vhci_hcd` is loaded.
        public var hasController: Bool
        /// How many it has; `nil` if it does not run.
        public var nodes: Int?
    }

    /// `/sys/bus/usb`
    public var hasUSB = false
    /// `/lib/modules/RELEASE` holds modules that could be loaded.
    public var hasModules = false
    public var rootHubs: [String] = []
    public var usbfs = USBFS.absent
    /// Mebibytes for the transfers of all devices together; 0 for no limit, `nil` if it can't be read.
    public var usbfsMemory: Int?
    /// udev's rules of this project.
    public var rules: [String] = []
    /// Id of the group whose members may open the nodes.
    public var groupID: UInt32?
    /// A systemd unit for the daemon is installed.
    public var hasUnit = false
    /// `userdriver-escl`, which serves scanners to SANE's programs, is installed as a service.
    public var hasEndpoint = false
    /// The service that shows cameras to the kernel; `nil` if it is not installed.
    public var video: Video?
    /// Of ports with nothing connected.
    public var overCurrent: [OverCurrent] = []
    /// Effective user and groups of this process.
    public var user: UInt32 = 0
    public var groups: [UInt32] = []

    public static let groupName = "userdriver"
    public static let memoryPath = "/sys/module/usbcore/parameters/usbfs_memory_mb"
    static let devices = "/sys/bus/usb/devices"

    public init() {}

    public static func read(_ root: SystemRoot, release: String = kernelRelease()) -> MachineFacts {
        var facts = MachineFacts()
        facts.hasUSB = root.exists("/sys/bus/usb")
        facts.hasModules = root.exists("/lib/modules/\(release)/modules.dep")
        facts.rootHubs = root.names(in: devices).filter { $0.hasPrefix("usb") }
        facts.usbfs = usbfs(root)
        facts.usbfsMemory = root.number(memoryPath)
        for folder in ["/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d"] {
            facts.rules += root.names(in: folder).filter { $0.contains("userdriver") && $0.hasSuffix(".rules") }.map { folder + "/" + $0 }
        }
        facts.groupID = groupID(root)
        func hasUnit(_ name: String) -> Bool {
            ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"].contains { root.exists($0 + "/" + name) }
        }
        facts.hasUnit = hasUnit("userdriverd.service")
        facts.hasEndpoint = hasUnit("userdriver-escl.service")
        if hasUnit("userdriver-video.service") {
            facts.video = Video(
                hasController: root.exists("/sys/devices/platform/vhci_hcd.0"),
                nodes: root.text(VideoNodeRecord.path).map { VideoNodeRecord(parsing: $0).paths.count })
        }
        facts.overCurrent = overCurrent(root)
        facts.user = geteuid()
        var list = [gid_t](repeating: 0, count: max(1, Int(getgroups(0, nil))))
        let count = getgroups(Int32(list.count), &list)
        facts.groups = Set(list.prefix(max(0, Int(count))) + [getegid()]).sorted()
        return facts
    }

    /// `uname -r`
    public static func kernelRelease() -> String {
        var names = utsname()
        uname(&names)
        return withUnsafeBytes(of: names.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func usbfs(_ root: SystemRoot) -> USBFS {
        if !root.names(in: "/dev/bus/usb").isEmpty { return .present }
        let mounts = root.text("/proc/self/mounts") ?? ""
        let isCovered = mounts.split(separator: "\n").contains { $0.split(separator: " ").dropFirst().first == "/dev/bus/usb" }
        return isCovered ? .covered : .absent
    }

    private static func groupID(_ root: SystemRoot) -> UInt32? {
        for line in (root.text("/etc/group") ?? "").split(separator: "\n") {
            let parts = line.split(separator: ":", omittingEmptySubsequences: false)
            if parts.count > 2, parts[0] == groupName { return UInt32(parts[2]) }
        }
        return nil
    }

    private static func overCurrent(_ root: SystemRoot) -> [OverCurrent] {
        root.names(in: devices).filter { $0.contains(":") }.flatMap { hub in
            root.names(in: "\(devices)/\(hub)").filter { $0.contains("-port") }.compactMap { port in
                let path = "\(devices)/\(hub)/\(port)"
                guard let count = root.number(path + "/over_current_count"), count > 0, !root.exists(path + "/device") else { return nil }
                return OverCurrent(port: "\(hub)/\(port)", count: count)
            }
        }
    }
}
