// Layers for people: a line each, and below those that are not well why, and what fixes it.

import DeviceStack
import Glibc

struct StackText {
    var colours: Bool
    /// Columns of the terminal; `nil`: as many as it takes.
    var width: Int?
    var utf8 = true

    /// As it suits standard output.
    static var forTerminal: StackText {
        StackText(colours: Terminal.showsColours(STDOUT_FILENO), width: Terminal.width(STDOUT_FILENO), utf8: Terminal.isUTF8)
    }

    /// All layers, bottom to top.
    func lines(_ report: StackReport) -> [String] {
        [heading(report)] + report.layers.flatMap { lines($0) }
    }

    /// The machine's layers, of each device what is not well, and what to do first.
    func lines(_ report: DoctorReport) -> [String] {
        var lines = [paint("This machine", .bold)] + report.machine.flatMap { self.lines($0) }
        for device in report.devices {
            lines += ["", heading(device)]
            // Where a scanner is reached is what one looks for here.
            let told = device.layers.filter { $0.health == .broken || $0.health == .warning || $0.layer == .endpoint }
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
        let text = "\(broken.layer.layer.title)\(place). \(clean(broken.layer.why ?? broken.layer.summary))"
        var lines = PlainText.wrapped("Fix first: " + text, width: width)
        if let first = lines.first, first.hasPrefix("Fix first:") {
            lines[0] = paint("Fix first:", .red) + first.dropFirst("Fix first:".count)
        }
        if let remedy = broken.layer.remedy {
            lines += PlainText.wrapped(clean(remedy), width: width.map { max(20, $0 - 2) }).map { "  " + paint($0, .bold) }
        }
        return lines
    }

    private func heading(_ report: StackReport) -> String {
        let id = clean(report.device)
        let room = max(0, (width ?? .max) - id.count - 2)
        return paint(id, .bold)
            + (report.name.isEmpty || room < 4 ? "" : "  " + PlainText.shortened(clean(report.name), to: room, utf8: utf8))
    }

    private func lines(_ layer: StackLayer) -> [String] {
        let word = paint(layer.health.rawValue.padded(to: Self.wordWidth), colour(layer.health))
        let start = "\(mark(layer.health)) \(word)\(layer.layer.title.padded(to: Self.titleWidth))"
        // Where there is nothing to show, its cause stands in its place.
        let first = layer.summary.isEmpty ? wrapped(layer.why ?? "", .faint) : wrapped(layer.summary)
        var lines = [start + (first.first ?? "")] + first.dropFirst().map { Self.indent + $0 }
        guard !layer.summary.isEmpty else { return lines }
        if let why = layer.why { lines += wrapped(why, layer.health == .unknown ? .faint : nil).map { Self.indent + $0 } }
        if let remedy = layer.remedy { lines += command(remedy) }
        return lines
    }

    private func wrapped(_ text: String, _ colour: Terminal.Colour? = nil) -> [String] {
        PlainText.wrapped(clean(text), width: width.map { max(20, $0 - Self.indent.count) }).map { paint($0, colour) }
    }

    /// A command stays in one line as long as there is one that it fits in: it is there to be copied.
    private func command(_ remedy: String) -> [String] {
        let arrow = utf8 ? "→ " : "-> "
        let text = clean(remedy)
        if width.map({ Self.indent.count + arrow.count + text.count <= $0 }) ?? true { return [Self.indent + arrow + paint(text, .bold)] }
        let indent = String(repeating: " ", count: 4)
        let lines = PlainText.wrapped(text, width: width.map { max(20, $0 - indent.count - arrow.count) })
        return lines.enumerated().map { indent + ($0 == 0 ? arrow : String(repeating: " ", count: arrow.count)) + paint($1, .bold) }
    }

    private static let indent = String(repeating: " ", count: 2 + wordWidth + titleWidth)
    private static let wordWidth = 9
    private static let titleWidth = 15

    private func mark(_ health: Health) -> String {
        let mark =
            switch health {
            case .ok: utf8 ? "✓" : "+"
            case .warning: "!"
            case .broken: utf8 ? "✗" : "x"
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

    /// What devices and drivers say is part of it, and a line is a line.
    private func clean(_ text: String) -> String { PlainText.line(text, utf8: utf8) }
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
        case .video: "/dev/videoN"
        case .group, .daemon, .socket, .drivers, .controller, .port, .power, .node, .bandwidth, .server, .connection, .deviceClass, .driver,
            .process, .stream, .clients, .endpoint:
            rawValue
        }
    }
}
