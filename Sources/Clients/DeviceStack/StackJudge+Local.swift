// The layers of a device that is plugged into this machine: controller, root hub, port, power, node, kernel driver, bandwidth, memory.

import Wire

extension StackJudge {
    static func localLayers(_ device: LocalDevice, _ facts: DeviceFacts) -> [StackLayer] {
        [
            controller(device), rootHub(device), port(device, facts), power(device), node(device, facts), kernelDriver(device, facts),
            bandwidth(device, facts), memory(facts),
        ]
    }

    static func unplugged(_ path: String, overCurrentCount count: Int?) -> StackLayer {
        if let count, count > 0 {
            return StackLayer(
                .port, .broken, path, facts: ["path": .string(path), "overCurrentCount": .int(Int64(count))],
                why:
                    "The hub switched this port off because it drew too much current (\(count) times), and nothing is connected there now.",
                remedy: "plug the device into a hub with its own power supply")
        }
        return StackLayer(
            .port, .broken, path, facts: ["path": .string(path)], why: "Nothing is plugged in there now.", remedy: "plug the device in"
        )
    }

    private static func controller(_ device: LocalDevice) -> StackLayer {
        guard let controller = device.controller else {
            return StackLayer(.controller, .unknown, "", why: "sysfs does not say which controller the bus belongs to.")
        }
        return StackLayer(
            .controller, .ok, device.controllerDriver.map { "\(controller), driven by \($0)" } ?? controller,
            facts: ["address": .string(controller), "driver": device.controllerDriver.map(JSONValue.string) ?? .null])
    }

    private static func rootHub(_ device: LocalDevice) -> StackLayer {
        StackLayer(
            .rootHub, .ok, device.rootHubSpeed.map { "\(device.rootHub), \($0) Mbit/s" } ?? device.rootHub,
            facts: ["name": .string(device.rootHub), "speed": device.rootHubSpeed.map(JSONValue.string) ?? .null])
    }

    private static func port(_ device: LocalDevice, _ facts: DeviceFacts) -> StackLayer {
        var summary = device.path
        if !device.hubs.isEmpty { summary += ", behind hub \(device.hubs.joined(separator: ", "))" }
        if let speed = device.speed { summary += ", \(speed) Mbit/s" }
        var layer = StackLayer(
            .port, .ok, summary,
            facts: [
                "path": .string(device.path), "hubs": .array(device.hubs.map(JSONValue.string)),
                "speed": device.speed.map(JSONValue.string) ?? .null,
                "overCurrentCount": device.overCurrentCount.map { .int(Int64($0)) } ?? .null, "authorized": .bool(device.isAuthorized),
            ])
        if !device.isAuthorized {
            layer.health = .broken
            layer.why = "The kernel may not use the device, because it is not authorized."
            layer.remedy = "echo 1 > /sys/bus/usb/devices/\(device.path)/authorized"
        } else if let count = device.overCurrentCount, count > 0 {
            // A device that works all the same has come through it.
            let works = facts.diagnosis?.status.state == .running && facts.fault == nil
            layer.health = works ? .warning : .broken
            layer.why = "The hub switched this port off because it drew too much current (\(count) times)."
            layer.remedy = "plug the device into a hub with its own power supply"
        }
        return layer
    }

    private static func power(_ device: LocalDevice) -> StackLayer {
        let suspends = device.powerControl == "auto" ? "may be suspended" : device.powerControl == "on" ? "is kept on" : nil
        var layer = StackLayer(
            .power, .ok,
            [device.maxPower.map { $0.isEmpty ? "power unknown" : "takes up to \($0)" }, device.runtimeStatus, suspends].compactMap { $0 }
                .joined(separator: ", "),
            facts: [
                "maxPower": device.maxPower.map(JSONValue.string) ?? .null,
                "runtimeStatus": device.runtimeStatus.map(JSONValue.string) ?? .null,
                "control": device.powerControl.map(JSONValue.string) ?? .null,
            ])
        if device.configuration == nil, device.isAuthorized {
            layer.health = .broken
            layer.why =
                "The kernel has not chosen a configuration for the device: usually its hub can't supply the current that it asks for."
            layer.remedy = "plug the device into a hub with its own power supply"
        } else if device.runtimeStatus == "error" {
            layer.health = .broken
            layer.why = "The device could not be suspended or resumed."
            layer.remedy = "echo on > /sys/bus/usb/devices/\(device.path)/power/control"
        }
        return layer
    }

    private static func node(_ device: LocalDevice, _ facts: DeviceFacts) -> StackLayer {
        var layer = StackLayer(
            .node, .ok, device.node,
            facts: [
                "path": .string(device.node), "mode": device.nodeMode.map { .string(String($0, radix: 8)) } ?? .null,
                "user": device.nodeUser.map { .int(Int64($0)) } ?? .null, "group": device.nodeGroup.map { .int(Int64($0)) } ?? .null,
                "yourAccess": .bool(device.accessProblem == nil),
            ])
        if let mode = device.nodeMode, let user = device.nodeUser, let group = device.nodeGroup {
            layer.summary += ", mode \(String(mode, radix: 8)), owner \(user):\(group)"
        }
        guard device.nodeMode != nil else {
            layer.health = .broken
            layer.why = "The device has no node: \(device.node) does not exist."
            layer.remedy = usbfsRemedy(facts.machine.usbfs == .present ? .absent : facts.machine.usbfs)
            return layer
        }
        guard let diagnosis = facts.diagnosis, case .running(let daemon) = facts.daemon else {
            layer.summary += device.accessProblem == nil ? ", open to you" : ", not open to you"
            return layer
        }
        layer.facts["daemonsAccess"] = .bool(diagnosis.nodeProblem == nil)
        let isRefused = diagnosis.nodeProblem == nil && diagnosis.status.state != .running && facts.fault(of: .node) != nil
        guard diagnosis.nodeProblem != nil || isRefused else {
            layer.summary += ", open to the daemon"
            return layer
        }
        layer.health = .broken
        layer.why = "The daemon (user \(daemon.user)) can't open it: \(diagnosis.nodeProblem ?? "access denied")."
        if facts.machine.rules.isEmpty {
            layer.remedy =
                "chown \(daemon.user) \(device.node) && chmod u+rw \(device.node)   (until it is plugged in again; a udev rule lasts)"
        } else if let group = facts.machine.groupID, !daemon.groups.contains(group) {
            layer.remedy = "usermod -aG \(MachineFacts.groupName) \"$(id -nu \(daemon.user))\", then restart the daemon"
        } else {
            layer.remedy = "udevadm trigger --action=add \(device.node)"
        }
        return layer
    }

    private static func kernelDriver(_ device: LocalDevice, _ facts: DeviceFacts) -> StackLayer {
        let wanted = facts.diagnosis?.interfaces ?? device.interfaces.map(\.number)
        let bound = device.interfaces.filter { wanted.contains($0.number) && $0.driver != nil }
        var layer = StackLayer(
            .kernelDriver, .ok, "none in the way",
            facts: [
                "interfaces": .array(
                    device.interfaces.map { ["number": .int(Int64($0.number)), "driver": $0.driver.map(JSONValue.string) ?? .null] })
            ])
        let kernels = bound.filter { $0.driver != "usbfs" }
        if let first = kernels.first, let driver = first.driver {
            layer.summary = "\(driver) has interface \(kernels.map { "\($0.number)" }.joined(separator: ", "))"
            guard case .running(let daemon) = facts.daemon, facts.diagnosis.map({ !$0.status.driver.isEmpty }) == true else { return layer }
            let takesIt = daemon.detachesKernelDrivers && facts.diagnosis?.status.state == .starting
            layer.health = takesIt ? .unknown : .broken
            layer.why = takesIt ? "It is being detached." : "The kernel's driver \(driver) holds what the user-mode driver needs."
            layer.remedy = takesIt ? nil : "userdriver take \(quoted(facts.id))"
        } else if bound.contains(where: { $0.driver == "usbfs" }) {
            layer.summary = "none; the interfaces are claimed through usbfs"
            if facts.diagnosis?.status.state != .running, facts.fault(of: .kernelDriver) != nil {
                layer.health = .broken
                layer.why = "Another program has claimed the device."
                layer.remedy = "fuser -v \(device.node)   (names it; then end it)"
            }
        }
        return layer
    }

    private static func bandwidth(_ device: LocalDevice, _ facts: DeviceFacts) -> StackLayer {
        let bus: [String: JSONValue] = ["bus": .string(device.rootHub)]
        guard let fault = facts.fault(of: .bandwidth) else {
            return StackLayer(.bandwidth, .ok, "\(device.rootHub): nothing was refused", facts: bus)
        }
        return StackLayer(
            .bandwidth, .broken, "\(device.rootHub) is full", facts: bus,
            why: "The bus has no bandwidth left for this stream: other streams have reserved it.",
            remedy: fault.remedy
                ?? (facts.diagnosis?.status.kind == "webcam"
                    ? "userdriver stream \(quoted(facts.id)) --format mjpeg   (or a smaller --size, or another bus: lsusb -t)"
                    : "plug it into another bus   (lsusb -t lists them), or stream from fewer devices at once"))
    }

    static func memory(_ facts: DeviceFacts) -> StackLayer {
        var layer = machineMemory(facts.machine)
        guard facts.fault(of: .usbfsMemory) != nil else { return layer }
        layer.health = .broken
        layer.why = "The limit for transfers is too low for what the device is asked to do."
        layer.remedy = "echo \(max(64, min(facts.machine.usbfsMemory ?? 0, 1 << 20) * 2)) > \(MachineFacts.memoryPath)"
        return layer
    }
}
