// What Prometheus reads (text format 0.0.4).

import UserDriverClient
import Wire

enum MetricsText {
    private struct Family: Sendable {
        let name: String
        let type: String
        let help: String
        let value: @Sendable (DeviceStatus) -> String?
    }

    private static let families = [
        Family(name: "userdriver_device_up", type: "gauge", help: "Whether the device's driver is running.") {
            $0.state == .running ? "1" : "0"
        },
        Family(name: "userdriver_driver_restarts_total", type: "counter", help: "How often a driver was replaced.") { "\($0.restarts)" },
        Family(name: "userdriver_frames_total", type: "counter", help: "Frames of the streams that are open.") {
            "\($0.streams.reduce(0) { $0 + $1.frames })"
        },
        Family(name: "userdriver_frames_lost_total", type: "counter", help: "Frames that never arrived or arrived damaged.") {
            "\($0.streams.reduce(0) { $0 + $1.lost })"
        },
        Family(name: "userdriver_clients", type: "gauge", help: "Programs that are watching.") {
            "\($0.streams.reduce(0) { $0 + $1.clients })"
        },
    ]

    static func of(_ devices: [DeviceStatus], watchers: Int) -> String {
        var lines: [String] = []
        for family in families {
            lines += ["# HELP \(family.name) \(family.help)", "# TYPE \(family.name) \(family.type)"]
            for device in devices {
                guard let value = family.value(device) else { continue }
                lines.append("\(family.name){device=\"\(escaped(device.id))\",name=\"\(escaped(device.name))\"} \(value)")
            }
        }
        lines += [
            "# HELP userdriver_web_watchers Browsers that are watching.", "# TYPE userdriver_web_watchers gauge",
            "userdriver_web_watchers \(watchers)",
        ]
        return lines.joined(separator: "\n")
    }

    /// A label's value, in which three characters are escaped.
    static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
    }
}
