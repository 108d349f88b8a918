// The report as a tree for people: aligned, compact, wrapped at 100 columns, or where the terminal ends.

import USB
import UVC

extension InspectReport {
    func text(width: Int? = nil, utf8: Bool = true) -> String {
        var lines = IndentedLines(width: width, utf8: utf8)
        header(&lines)
        for (place, configuration) in descriptors.configurations.enumerated() {
            lines.blank()
            write(configuration, functions: functions[place], &lines)
        }
        for (place, functions) in functions.enumerated() {
            for function in functions {
                lines.blank()
                let more = descriptors.configurations.count > 1 ? descriptors.configurations[place].value : nil
                VideoFunctionText(function: function, configuration: more).write(&lines)
            }
        }
        writeAnomalies(&lines)
        return lines.text
    }

    private func header(_ lines: inout IndentedLines) {
        let device = descriptors.device
        var title = [name].compactMap { $0 }
        if let device { title.append("\(hexadecimal(device.vendorID, digits: 4)):\(hexadecimal(device.productID, digits: 4))") }
        if let path = information?.path { title.append("at \(path)") }
        if let serial = information?.serialNumber, !serial.isEmpty { title.append("serial \(serial)") }
        lines.add(title.isEmpty ? "a configuration without its device" : title.joined(separator: "  "))
        var facts: [String] = []
        if let device {
            facts.append("USB \(Self.version(device.usbVersion))")
            facts.append("device version \(Self.version(device.deviceVersion))")
            // Class 0 leaves it to the interfaces, and 239/2/1 says that they are grouped: neither is news.
            if device.deviceClass != 0, device.code != ClassCode(0xef, 2, 1) {
                facts.append("class \(device.code)" + (device.code.name.map { " (\($0))" } ?? ""))
            }
        }
        facts.append(speedIsGuessed ? "looks like \(speed)" : speed.description)
        lines.add(facts.joined(separator: ", "))
    }

    private func write(_ configuration: ConfigurationDescriptor, functions: [VideoFunction], _ lines: inout IndentedLines) {
        let count = configuration.interfaceNumbers.count
        var facts = ["\(count) interface\(count == 1 ? "" : "s")"]
        facts.append(configuration.isSelfPowered ? "self-powered" : "\(configuration.milliamperes(speed: speed)) mA")
        if configuration.canWakeHost { facts.append("can wake the host") }
        lines.add("configuration \(configuration.value): \(facts.joined(separator: ", "))")
        lines.indented { lines in
            for number in configuration.interfaceNumbers {
                InterfaceText(settings: configuration.alternateSettings(of: number), speed: speed).write(&lines)
            }
        }
    }

    private func writeAnomalies(_ lines: inout IndentedLines) {
        guard !anomalies.isEmpty else { return }
        lines.blank()
        lines.add("odd:")
        lines.indented { lines in
            for anomaly in anomalies {
                let sign =
                    switch anomaly.severity {
                    case .note: "note "
                    case .wrong: "wrong"
                    case .lost: "lost "
                    }
                lines.addWrapped("\(sign)  ", items: anomaly.message.split(separator: " ").map(String.init), separator: " ")
            }
            if descriptors.omittedAnomalies > 0 { lines.add("and \(descriptors.omittedAnomalies) more") }
        }
    }
}

/// An interface with its alternate settings, the many of an isochronous stream in one line.
private struct InterfaceText {
    let settings: [InterfaceDescriptor]
    let speed: USBSpeed

    func write(_ lines: inout IndentedLines) {
        guard let first = settings.first else { return }
        lines.add("interface \(first.number)  \(label(first))")
        lines.indented { lines in
            for run in runs() { write(run, &lines) }
        }
    }

    private func label(_ interface: InterfaceDescriptor) -> String {
        (interface.code.name.map { "\($0), " } ?? "") + "class \(interface.code)"
    }

    /// Consecutive alternate settings that differ in nothing but how much their one endpoint moves.
    private func runs() -> [[InterfaceDescriptor]] {
        var runs: [[InterfaceDescriptor]] = []
        for setting in settings {
            if let last = runs.last?.last, alike(last, setting) {
                runs[runs.count - 1].append(setting)
            } else {
                runs.append([setting])
            }
        }
        return runs
    }

    private func alike(_ a: InterfaceDescriptor, _ b: InterfaceDescriptor) -> Bool {
        guard a.code == b.code else { return false }
        if a.endpoints.isEmpty, b.endpoints.isEmpty { return true }
        guard a.endpoints.count == 1, b.endpoints.count == 1 else { return false }
        let (first, second) = (a.endpoints[0], b.endpoints[0])
        return first.address == second.address && first.transferType == second.transferType && first.interval == second.interval
            && first.transferType == .isochronous
    }

    private func write(_ run: [InterfaceDescriptor], _ lines: inout IndentedLines) {
        guard let first = run.first, let last = run.last else { return }
        let only = settings.count == 1
        let number =
            run.count == 1 ? "alternate \(first.alternateSetting)" : "alternates \(first.alternateSetting)–\(last.alternateSetting)"
        let other = first.code != settings[0].code ? ", \(label(first))" : ""
        let prefix = only ? "" : (number + other).padded(to: 17)
        if first.endpoints.isEmpty, !only { lines.add(prefix + "no endpoint") }
        for (place, endpoint) in first.endpoints.enumerated() {
            let sizes = run.map { $0.endpoints[place].bytesPerInterval(speed: speed) }
            let start = (place == 0 ? prefix : String(repeating: " ", count: prefix.count)) + "\(endpoint.address), "
            let items = ["\(endpoint.transferType),"] + sizes.map { "\($0)" } + facts(endpoint, largest: sizes.max() ?? 0)
            lines.addWrapped(start, items: items, separator: " ")
        }
    }

    private func facts(_ endpoint: EndpointDescriptor, largest: Int) -> [String] {
        guard let interval = endpoint.intervalNanoseconds(speed: speed) else { return ["bytes a packet"] }
        let facts = "bytes every \(Self.time(interval))"
        guard endpoint.transferType == .isochronous else { return [facts] }
        let perSecond = UInt64(largest) * 1_000_000_000 / interval
        return ["\(facts),", "at most \(Self.rate(perSecond))"]
    }

    private static func rate(_ bytes: UInt64) -> String {
        bytes < 1_000_000 ? "\(bytes / 1000) kB/s" : "\(bytes / 1_000_000).\(bytes / 100_000 % 10) MB/s"
    }

    private static func time(_ nanoseconds: UInt64) -> String {
        nanoseconds.isMultiple(of: 1_000_000) ? "\(nanoseconds / 1_000_000) ms" : "\(nanoseconds / 1000) µs"
    }
}

extension String {
    /// With spaces at its end until it has `width` characters, and at least two of them.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: Swift.max(2, width - count)) }
}
