// Layers for people: a line each, and below those that are not well why, and what mends it.

import DeviceStack
import Wire

struct StackText {
    var colours: Bool

    /// All layers, bottom to top.
    func lines(_ report: StackReport) -> [String] {
        [heading(report)] + report.layers.flatMap { lines($0) }
    }

    /// The machine's layers, of each device what is not well, and what to do first.
    func lines(_ report: DoctorReport) -> [String] {
        var lines = [paint("This machine", .bold)] + report.machine.flatMap { self.lines($0) }
        for device in report.devices {
            lines += ["", heading(device)]
            let told = device.layers.filter { $0.health == .broken || $0.health == .warning }
            lines += told.flatMap { self.lines($0) }
            lines += rest(device.layers.filter { $0.health == .ok }.count, device.layers.count)
        }
        return lines + [""] + verdict(report)
    }

    /// The layers of which there is no more to say.
    private func rest(_ well: Int, _ all: Int) -> [String] {
        guard well > 0 else { return [] }
        return ["\(mark(.ok)) \(paint(well == all ? "all \(all) layers are ok" : "\(well) of \(all) layers are ok", .faint))"]
    }

    private func verdict(_ report: DoctorReport) -> [String] {
        guard let broken = report.broken else {
            let devices = report.devices.count
            return [paint(devices == 0 ? "Nothing is broken. No device is attached." : "Nothing is broken.", .green)]
        }
        let place = broken.device.map { " of \(clean($0))" } ?? ""
        var lines = [
            "\(paint("Mend first:", .red)) \(broken.layer.layer.title)\(place). \(clean(broken.layer.why ?? broken.layer.summary))"
        ]
        if let remedy = broken.layer.remedy { lines.append("  \(paint(clean(remedy), .bold))") }
        return lines
    }

    private func heading(_ report: StackReport) -> String {
        paint(clean(report.device), .bold) + (report.name.isEmpty ? "" : "  \(clean(report.name))")
    }

    private func lines(_ layer: StackLayer) -> [String] {
        let word = paint(layer.health.rawValue.padded(to: Self.wordWidth), colour(layer.health))
        let start = "\(mark(layer.health)) \(word)\(layer.layer.title.padded(to: Self.titleWidth))"
        // Where there is nothing to show, its cause stands in its place.
        if layer.summary.isEmpty { return [start + paint(clean(layer.why ?? ""), .faint)] }
        var lines = [start + clean(layer.summary)]
        let indent = String(repeating: " ", count: 2 + Self.wordWidth + Self.titleWidth)
        if let why = layer.why { lines.append(indent + paint(clean(why), layer.health == .unknown ? .faint : nil)) }
        if let remedy = layer.remedy { lines.append(indent + "→ " + paint(clean(remedy), .bold)) }
        return lines
    }

    private static let wordWidth = 9
    private static let titleWidth = 15

    private func mark(_ health: Health) -> String {
        let mark =
            switch health {
            case .ok: "✓"
            case .warning: "!"
            case .broken: "✗"
            case .unknown: "?"
            }
        return paint(mark, colour(health))
    }

    private func colour(_ health: Health) -> Terminal.Colour {
        switch health {
        case .ok: .green
        case .warning: .yellow
        case .broken: .red
        case .unknown: .faint
        }
    }

    private func paint(_ text: String, _ colour: Terminal.Colour?) -> String { colours ? Terminal.coloured(text, colour) : text }

    /// What devices and drivers say is part of it: nothing of that commands the terminal, and a line is a line.
    private func clean(_ text: String) -> String { text.printable }
}

extension StackLayer.Name {
    /// For people.
    var title: String {
        switch self {
        case .usb: "USB"
        case .usbfs: "usbfs"
        case .usbfsMemory: "usbfs memory"
        case .udevRule: "udev rule"
        case .rootHub: "root hub"
        case .kernelDriver: "kernel driver"
        case .group, .daemon, .socket, .drivers, .controller, .port, .power, .node, .bandwidth, .server, .connection, .deviceClass, .driver,
            .process, .stream, .clients:
            rawValue
        }
    }
}
