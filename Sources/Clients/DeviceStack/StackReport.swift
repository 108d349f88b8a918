// The layers of a device or of the machine, bottom to top, each with its health, and the one to fix
// first.

public import Wire

/// How a layer is. `unknown`: it can't be told, usually because a layer below is broken.
public enum Health: String, Codable, Sendable {
    case ok, warning, broken, unknown
}

/// One layer: what is there, how it is, why, and what fixes it.
public struct StackLayer: Codable, Hashable, Sendable {
    /// Names of layers, for scripts; each list bottom to top.
    public enum Name: String, Codable, Sendable {
        // The machine.
        case usb, usbfs, usbfsMemory = "usbfs-memory", udevRule = "udev-rule", group, daemon, socket, drivers, video
        // Where a device is: plugged into this machine, or offered by a server.
        case controller, rootHub = "root-hub", port, power, node, kernelDriver = "kernel-driver", bandwidth
        case server, connection
        // What a device is, and who works with it.
        case deviceClass = "class", driver, process, stream, clients, endpoint
    }
    public var layer: Name
    public var health: Health
    /// What is there, in a line; empty if that is not known.
    public var summary: String
    /// The same for scripts, as the layer has it.
    public var facts: [String: JSONValue]
    /// Where it is not `ok`: a sentence.
    public var why: String?
    /// A command, or if there is none, what to do.
    public var remedy: String?

    public init(
        _ layer: Name, _ health: Health = .ok, _ summary: String, facts: [String: JSONValue] = [:], why: String? = nil,
        remedy: String? = nil
    ) {
        self.layer = layer
        self.health = health
        self.summary = summary
        self.facts = facts
        self.why = why
        self.remedy = remedy
    }
}

extension Sequence<StackLayer> {
    /// The lowest broken layer, to be fixed first: the layers above it may then be fine.
    public var lowestBroken: StackLayer? { first { $0.health == .broken } }

    /// `broken` or `warning` if a layer is, else `ok`: an unknown layer does not count against the others.
    public var health: Health {
        var worst = Health.ok
        for layer in self {
            if layer.health == .broken { return .broken }
            if layer.health == .warning { worst = .warning }
        }
        return worst
    }
}

/// What `userdriver stack` prints: one device.
public struct StackReport: Codable, Hashable, Sendable {
    /// As `userdriver list` names it; without a daemon, `vendor:product@path`.
    public var device: String
    public var name: String
    public var health: Health
    /// Bottom to top.
    public var layers: [StackLayer]

    public init(device: String, name: String, layers: [StackLayer]) {
        self.device = device
        self.name = name
        self.layers = layers
        health = layers.health
    }
}

/// What `userdriver doctor` prints: the machine, then each device on it.
public struct DoctorReport: Codable, Hashable, Sendable {
    /// The lowest broken layer of all.
    public struct Finding: Codable, Hashable, Sendable {
        /// `nil`: it is one of the machine's.
        public var device: String?
        public var layer: StackLayer
    }
    public var health: Health
    public var broken: Finding?
    public var machine: [StackLayer]
    public var devices: [StackReport]

    public init(machine: [StackLayer], devices: [StackReport]) {
        self.machine = machine
        self.devices = devices
        health = (machine + devices.flatMap(\.layers)).health
        if let layer = machine.lowestBroken {
            broken = Finding(device: nil, layer: layer)
        } else {
            broken =
                devices.lazy.compactMap { report in
                    report.layers.lowestBroken.map { Finding(device: report.device, layer: $0) }
                }.first
        }
    }
}
