// The machine's layers: USB in the kernel, usbfs, its memory, udev's rule, the group, the daemon, its socket, the drivers, the servers.

public import Wire

/// The daemon's socket as this user sees it.
public struct SocketFacts: Hashable, Sendable {
    public var path: String
    public var mode: UInt32?
    public var user: UInt32?
    public var group: UInt32?

    public static func read(_ path: String, _ root: SystemRoot = .machine) -> SocketFacts {
        let node = root.node(path)
        return SocketFacts(path: path, mode: node?.mode, user: node?.user, group: node?.group)
    }
}

public typealias StackDriver = Diagnosis.Driver

extension StackJudge {
    static func machineLayers(
        _ machine: MachineFacts, daemon: DaemonReach, socket: SocketFacts, drivers: [StackDriver], devices: [DeviceFacts]
    ) -> [StackLayer] {
        let isNeeded = needsUSB(daemon, devices)
        return [
            needed(usb(machine), isNeeded), needed(usbfs(machine), isNeeded), machineMemory(machine), udevRule(machine, daemon),
            group(machine, daemon), daemonLayer(daemon, machine), socketLayer(socket, daemon), driversLayer(drivers, daemon),
        ] + (machine.video.map { [videoLayer($0)] } ?? [])
    }

    /// Cameras are driven without it, and clients of ours see them.
    private static func videoLayer(_ video: MachineFacts.Video) -> StackLayer {
        guard video.hasController else {
            return StackLayer(
                .video, .warning, "no vhci_hcd",
                why: "The kernel's module vhci_hcd is not loaded: no camera can appear as /dev/videoN.",
                remedy: "modprobe vhci_hcd   (a kernel without it: userdriver v4l2 -- PROGRAM)")
        }
        guard let nodes = video.nodes else {
            return StackLayer(
                .video, .warning, "not running", why: "userdriver-video is not running: no camera appears as /dev/videoN.",
                remedy: "systemctl start userdriver-video")
        }
        return StackLayer(.video, .ok, nodes == 1 ? "1 node" : "\(nodes) nodes", facts: ["nodes": .int(Int64(nodes))])
    }

    /// Whether devices of this machine are wanted. Where all come over USB/IP the machine may do without USB, and where the daemon can't be
    /// asked that is what is wrong first.
    private static func needsUSB(_ daemon: DaemonReach, _ devices: [DeviceFacts]) -> Bool {
        guard case .running(let daemon) = daemon, daemon.usesUSB else { return false }
        return devices.isEmpty || devices.contains { if case .remote = $0.place { false } else { true } }
    }

    /// What is broken and nobody needs is worth a warning.
    private static func needed(_ layer: StackLayer, _ isNeeded: Bool) -> StackLayer {
        guard layer.health == .broken, !isNeeded else { return layer }
        var layer = layer
        layer.health = .warning
        return layer
    }

    private static func usb(_ machine: MachineFacts) -> StackLayer {
        guard machine.hasUSB else {
            return StackLayer(
                .usb, .broken, "none",
                why:
                    "This kernel has no USB (there is no /sys/bus/usb): devices plugged into this machine can't be driven, but those on USB/IP can.",
                remedy: machine.hasModules
                    ? "modprobe -a usbcore xhci_pci ehci_pci" : "userdriver attach usbip://HOST/BUSID   (or boot a kernel with USB)")
        }
        let facts: [String: JSONValue] = ["rootHubs": .array(machine.rootHubs.map(JSONValue.string))]
        if machine.rootHubs.isEmpty {
            return StackLayer(
                .usb, .broken, "no bus", facts: facts, why: "The kernel supports USB but found no host controller.",
                remedy: "modprobe -a xhci_pci ehci_pci uhci_hcd")
        }
        let buses = machine.rootHubs.count == 1 ? "1 bus" : "\(machine.rootHubs.count) buses"
        if let port = machine.overCurrent.first {
            return StackLayer(
                .usb, .warning, buses, facts: facts,
                why:
                    "Port \(port.port) was switched off because it drew too much current (\(port.count) times), and nothing is connected there.",
                remedy: "plug the device into a hub with its own power supply")
        }
        return StackLayer(.usb, .ok, buses, facts: facts)
    }

    private static func usbfs(_ machine: MachineFacts) -> StackLayer {
        guard machine.hasUSB else { return StackLayer(.usbfs, .unknown, "", why: "This needs USB in the kernel.") }
        switch machine.usbfs {
        case .present: return StackLayer(.usbfs, .ok, "/dev/bus/usb")
        case .absent:
            return StackLayer(
                .usbfs, .broken, "no nodes", why: "There are no device nodes: /dev/bus/usb is missing or empty.",
                remedy: usbfsRemedy(.absent))
        case .covered:
            return StackLayer(
                .usbfs, .broken, "covered", why: "Something is mounted over /dev/bus/usb and hides the device nodes.",
                remedy: usbfsRemedy(.covered))
        }
    }

    static func usbfsRemedy(_ usbfs: MachineFacts.USBFS) -> String {
        usbfs == .covered
            ? "umount /dev/bus/usb" : "mount -t devtmpfs devtmpfs /dev   (in a container: start it with --volume /dev/bus/usb:/dev/bus/usb)"
    }

    /// What the kernel has by default, in MiB (drivers/usb/core/devio.c).
    private static let defaultMemory = 16

    static func machineMemory(_ machine: MachineFacts) -> StackLayer {
        guard machine.hasUSB else { return StackLayer(.usbfsMemory, .unknown, "", why: "This needs USB in the kernel.") }
        guard let limit = machine.usbfsMemory else {
            return StackLayer(.usbfsMemory, .unknown, "", why: "\(MachineFacts.memoryPath) can't be read.")
        }
        let facts: [String: JSONValue] = ["mebibytes": .int(Int64(limit))]
        if limit == 0 { return StackLayer(.usbfsMemory, .ok, "no limit", facts: facts) }
        let summary = "\(limit) MiB for the transfers of all devices"
        guard limit < defaultMemory else { return StackLayer(.usbfsMemory, .ok, summary, facts: facts) }
        return StackLayer(
            .usbfsMemory, .warning, summary, facts: facts, why: "The limit for transfers is below the kernel's own \(defaultMemory) MiB.",
            remedy: "echo \(defaultMemory) > \(MachineFacts.memoryPath)")
    }

    private static func udevRule(_ machine: MachineFacts, _ daemon: DaemonReach) -> StackLayer {
        if let rule = machine.rules.first {
            return StackLayer(.udevRule, .ok, rule, facts: ["rules": .array(machine.rules.map(JSONValue.string))])
        }
        guard machine.hasUSB else { return StackLayer(.udevRule, .unknown, "", why: "This needs USB in the kernel.") }
        if case .running(let daemon) = daemon, daemon.user == 0 {
            return StackLayer(.udevRule, .ok, "none; the daemon runs as root and needs none")
        }
        return StackLayer(
            .udevRule, .warning, "none", why: "No udev rule lets the daemon open the device nodes.",
            remedy: "make install   (in the project's folder)")
    }

    private static func group(_ machine: MachineFacts, _ daemon: DaemonReach) -> StackLayer {
        let name = MachineFacts.groupName
        guard let group = machine.groupID else { return StackLayer(.group, .ok, "no group \(name) on this machine") }
        let facts: [String: JSONValue] = ["group": .string(name), "id": .int(Int64(group))]
        guard case .running(let daemon) = daemon else {
            return StackLayer(.group, .unknown, name, facts: facts, why: "The daemon can't be asked.")
        }
        if daemon.user == 0 || daemon.groups.contains(group) {
            return StackLayer(
                .group, .ok, daemon.user == 0 ? "\(name); the daemon runs as root" : "\(name), and the daemon is in it", facts: facts)
        }
        return StackLayer(
            .group, .warning, name, facts: facts,
            why: "The daemon (user \(daemon.user)) is not in the group \(name), which owns the nodes by the udev rule.",
            remedy: "usermod -aG \(name) \"$(id -nu \(daemon.user))\", then restart the daemon")
    }

    static func daemonLayer(_ daemon: DaemonReach, _ machine: MachineFacts) -> StackLayer {
        switch daemon {
        case .running(let daemon):
            let rights = daemon.user == 0 ? "root" : "user \(daemon.user)"
            return StackLayer(
                .daemon, .ok, "userdriverd \(daemon.version), process \(daemon.pid), \(rights)",
                facts: [
                    "version": .string(daemon.version), "pid": .int(Int64(daemon.pid)), "user": .int(Int64(daemon.user)),
                    "usesUSB": .bool(daemon.usesUSB), "detachesKernelDrivers": .bool(daemon.detachesKernelDrivers),
                ])
        case .notRunning(let path):
            return StackLayer(
                .daemon, .broken, "not running", why: "Nothing listens at \(path).",
                remedy: machine.hasUnit ? "systemctl start userdriverd" : "userdriver up")
        case .notPermitted: return StackLayer(.daemon, .unknown, "", why: "It could not be asked: see its socket.")
        case .failed(let why):
            return StackLayer(
                .daemon, .broken, "does not answer", why: why,
                remedy: machine.hasUnit ? "systemctl restart userdriverd" : "kill -KILL $(pgrep -x userdriverd), then: userdriver up")
        }
    }

    private static func socketLayer(_ socket: SocketFacts, _ daemon: DaemonReach) -> StackLayer {
        var facts: [String: JSONValue] = ["path": .string(socket.path)]
        if let mode = socket.mode { facts["mode"] = .string(String(mode, radix: 8)) }
        let summary = socket.mode.map { "\(socket.path), mode \(String($0, radix: 8))" } ?? socket.path
        switch daemon {
        case .running: return StackLayer(.socket, .ok, summary, facts: facts)
        case .notRunning, .failed: return StackLayer(.socket, .unknown, summary, facts: facts, why: "This needs the daemon.")
        case .notPermitted(let why):
            let admitsGroup = socket.mode.map { $0 & 0o060 == 0o060 } == true && socket.group ?? 0 != 0
            let owner = socket.user.map { "sudo -u '#\($0)' userdriver doctor" } ?? "sudo userdriver doctor"
            return StackLayer(
                .socket, .broken, summary, facts: facts, why: why,
                remedy: admitsGroup
                    ? "sudo usermod -aG \"$(getent group \(socket.group ?? 0) | cut -d: -f1)\" \"$USER\", then log in again" : owner)
        }
    }

    private static func driversLayer(_ drivers: [StackDriver], _ daemon: DaemonReach) -> StackLayer {
        guard case .running = daemon else { return StackLayer(.drivers, .unknown, "", why: "This needs the daemon.") }
        let used = drivers.filter { $0.problem == nil }
        let summary = used.isEmpty ? "none" : used.map { "\($0.id) \($0.version), \($0.verdict)" }.joined(separator: "; ")
        let facts: [String: JSONValue] = [
            "drivers": .array(
                drivers.map { driver in
                    [
                        "path": .string(driver.path), "id": .string(driver.id), "version": .string(driver.version),
                        "verdict": .string(driver.verdict), "problem": driver.problem.map(JSONValue.string) ?? .null,
                    ]
                })
        ]
        if let refused = drivers.first(where: { $0.problem != nil }), let problem = refused.problem {
            return StackLayer(
                .drivers, .broken, summary, facts: facts, why: "\(refused.path) is not used: \(problem).", remedy: remedy(for: refused))
        }
        if used.isEmpty {
            return StackLayer(
                .drivers, .broken, summary, facts: facts, why: "No driver is installed.", remedy: "make install   (in the project's folder)"
            )
        }
        if let unsigned = used.first(where: { $0.code == "Unsigned" }) {
            return StackLayer(
                .drivers, .warning, summary, facts: facts, why: "\(unsigned.id) is unsigned: nobody vouches for it.",
                remedy: remedy(for: unsigned))
        }
        return StackLayer(.drivers, .ok, summary, facts: facts)
    }

    /// What repairs a bundle.
    static func remedy(for driver: StackDriver) -> String {
        ["Unsigned", "NotTrusted"].contains(driver.code)
            ? "userdriver driver sign \(quoted(driver.path))" : "userdriver driver verify \(quoted(driver.path))"
    }
}
