// A video function for people: how the picture flows, what can be controlled, what can be streamed.

import USB
import UVC

struct VideoFunctionText {
    let function: VideoFunction
    /// The configuration that it is in, where there are several.
    let configuration: UInt8?

    private static let column = 11

    func write(_ lines: inout IndentedLines) {
        let place = configuration.map { " of configuration \($0)" } ?? ""
        var facts = ["UVC \(InspectReport.version(function.uvcVersion))"]
        if function.clockFrequency > 0 { facts.append("clock \(frequency(function.clockFrequency))") }
        if let status = function.statusEndpoint { facts.append("reports changes on \(status.address)") }
        let streams = function.streamingInterfaces.map { "\($0.number)" }.joined(separator: " and ")
        let interfaces = "\(function.controlInterface)" + (streams.isEmpty ? "" : " with \(streams)")
        lines.add("camera on interface \(interfaces)\(place): \(facts.joined(separator: ", "))")
        lines.indented { lines in
            writeTopology(&lines)
            writeControls(&lines)
            for stream in function.streamingInterfaces { write(stream, &lines) }
        }
    }

    private func frequency(_ hertz: UInt32) -> String {
        if hertz.isMultiple(of: 10_000) {
            let hundredths = hertz / 10_000
            return hundredths.isMultiple(of: 100) ? "\(hundredths / 100) MHz" : "\(Double(hundredths) / 100) MHz"
        }
        return "\(hertz) Hz"
    }

    // MARK: How the picture flows

    private func writeTopology(_ lines: inout IndentedLines) {
        var shown: Set<UInt8> = []
        var label = "picture"
        for output in function.entities where isOutput(output) {
            let chain = chain(to: output)
            shown.formUnion(chain.map(\.id))
            var steps = chain.map(name)
            if let stream = function.streamingInterfaces.first(where: { $0.terminalLink == output.id }) {
                steps[steps.count - 1] += " → interface \(stream.number)"
            }
            lines.addWrapped(label.padded(to: Self.column), items: steps, separator: " → ")
            label = ""
        }
        let others = function.entities.filter { !shown.contains($0.id) }
        guard !others.isEmpty else { return }
        lines.addWrapped(label.padded(to: Self.column) + "beside it: ", items: groups(others), separator: ", ")
    }

    /// `"extension units 3, 6 and 7 (from 2)"` for those that differ in nothing but the id.
    private func groups(_ entities: [VideoEntity]) -> [String] {
        var groups: [[VideoEntity]] = []
        for entity in entities {
            if let last = groups.last?.last, last.kindName == entity.kindName, last.sources == entity.sources {
                groups[groups.count - 1].append(entity)
            } else {
                groups.append([entity])
            }
        }
        return groups.map { group in
            let kind = group[0].kindName + (group.count > 1 ? "s" : "")
            let origin = group[0].sources.isEmpty ? "" : " (from \(list(group[0].sources)))"
            return "\(kind) \(list(group.map(\.id)))\(origin)"
        }
    }

    private func isOutput(_ entity: VideoEntity) -> Bool {
        if case .outputTerminal = entity.kind { return true }
        return false
    }

    /// From where the picture enters to the output, along the first source of each. A circle ends where it closes.
    private func chain(to output: VideoEntity) -> [VideoEntity] {
        var chain = [output]
        var seen: Set<UInt8> = [output.id]
        while let source = chain.last?.sources.first, let entity = function.entity(source), seen.insert(entity.id).inserted {
            chain.append(entity)
        }
        return chain.reversed()
    }

    private func name(_ entity: VideoEntity) -> String {
        let others = entity.sources.dropFirst()
        let inputs = others.isEmpty ? "" : " (also from \(list(Array(others))))"
        return "\(entity.kindName) \(entity.id)\(inputs)"
    }

    /// `"2, 3 and 4"`
    private func list(_ ids: [UInt8]) -> String {
        let texts = ids.map { "\($0)" }
        guard let last = texts.last, texts.count > 1 else { return texts.first ?? "" }
        return texts.dropLast().joined(separator: ", ") + " and " + last
    }

    // MARK: What can be controlled

    private func writeControls(_ lines: inout IndentedLines) {
        let entities = function.entities.filter { !$0.controlNames.isEmpty }
        let width = (entities.map { "\($0.kindName) \($0.id)".count }.max() ?? 0) + 2
        for (place, entity) in entities.enumerated() {
            let start = (place == 0 ? "controls" : "").padded(to: Self.column) + "\(entity.kindName) \(entity.id)".padded(to: width)
            if case .extensionUnit(let unit) = entity.kind {
                let selectors = Self.ranges(entity.controls.set.map { $0 + 1 })
                let owner = unit.name.map { "\($0), " } ?? ""
                lines.addWrapped(
                    start, items: ["\(owner)\(unit.guid),", "\(entity.controls.set.count == 1 ? "selector" : "selectors") \(selectors)"],
                    separator: " ")
            } else {
                lines.addWrapped(start, items: entity.controlNames, separator: ", ")
            }
        }
    }

    /// `"1–3, 5"` of 1, 2, 3, 5.
    static func ranges(_ numbers: [Int]) -> String {
        var runs: [ClosedRange<Int>] = []
        for number in numbers {
            if let last = runs.last, last.upperBound + 1 == number {
                runs[runs.count - 1] = last.lowerBound...number
            } else {
                runs.append(number...number)
            }
        }
        return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)–\($0.upperBound)" }.joined(separator: ", ")
    }

    // MARK: What can be streamed

    private func write(_ stream: StreamingInterface, _ lines: inout IndentedLines) {
        let transfer = stream.isBulk ? "bulk" : "isochronous"
        var facts = ["interface \(stream.number)", "\(stream.endpoint), \(transfer)"]
        switch stream.stillImage.method {
        case 0: break
        case 1: facts.append("stills from the stream")
        case 2: facts.append("stills in the stream's pipe")
        case 3: facts.append("stills through a pipe of their own")
        default: facts.append("stills by the unknown method \(stream.stillImage.method)")
        }
        if stream.stillImage.hasButton { facts.append("a button") }
        let legend = stream.formats.contains { $0.frames.count > 1 } ? "  (* default size)" : ""
        lines.add("stream".padded(to: Self.column) + facts.joined(separator: ", ") + legend)
        for format in stream.formats { write(format, &lines) }
        for (index, still) in stream.stillImage.frames.sorted(by: { $0.key < $1.key }) where !still.sizes.isEmpty {
            let name = stream.format(index: index)?.name ?? "format \(index)"
            let sizes = still.sizes.map { "\($0.width)×\($0.height)" }
            lines.addWrapped("stills".padded(to: Self.column) + name.padded(to: 8), items: sizes, separator: "  ")
        }
    }

    private func write(_ format: VideoFormat, _ lines: inout IndentedLines) {
        let name = format.pixelFormat == nil && format.frames.isEmpty ? "\(format.name), not supported" : format.title
        // Frames with the same rates share a line, which keeps most cameras to one or two lines for each format.
        var groups: [(rates: FrameIntervals, frames: [VideoFrame])] = []
        for frame in format.frames {
            if let place = groups.firstIndex(where: { $0.rates == frame.intervals }) {
                groups[place].frames.append(frame)
            } else {
                groups.append((frame.intervals, [frame]))
            }
        }
        var start = "".padded(to: Self.column) + name.padded(to: 8)
        guard !groups.isEmpty else { return lines.add(start) }
        if name.count > 6 {
            lines.add(start)
            start = "".padded(to: Self.column + 8)
        }
        for group in groups {
            lines.addWrapped(start, items: sizes(group.frames, of: format) + ["at \(group.rates.text)"], separator: "  ")
            start = "".padded(to: Self.column + 8)
        }
    }

    /// Each size once: H.264 has a frame for each profile.
    private func sizes(_ frames: [VideoFrame], of format: VideoFormat) -> [String] {
        let standard = format.frames.count > 1 ? format.defaultFrame : nil
        var texts: [String] = []
        for frame in frames {
            let isDefault = frame.width == standard?.width && frame.height == standard?.height
            let text = "\(frame.width)×\(frame.height)" + (isDefault ? "*" : "")
            if !texts.contains(text) { texts.append(text) }
        }
        return texts
    }
}
