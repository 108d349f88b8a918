// The layers above the transport: class, daemon where it is missing, driver, process, stream, clients.

import USB
import UVC
import Wire

extension StackJudge {
    static func upperLayers(_ facts: DeviceFacts) -> [StackLayer] {
        var layers = [deviceClass(facts)]
        if case .running = facts.daemon {} else { layers.append(daemonLayer(facts.daemon, facts.machine)) }
        guard let diagnosis = facts.diagnosis else {
            let why: String
            if case .running = facts.daemon { why = "The daemon does not have the device." } else { why = "The daemon can't be asked." }
            return layers + [.driver, .process, .stream, .clients].map { StackLayer($0, .unknown, "", why: why) }
        }
        return layers + [driver(diagnosis, facts), process(diagnosis, facts), stream(diagnosis, facts), clients(diagnosis)]
    }

    // MARK: What the device says it is

    private static func deviceClass(_ facts: DeviceFacts) -> StackLayer {
        var layer = described(facts)
        if Evidence(in: facts.complaint) == .garbage, let complaint = facts.complaint {
            layer.health = .broken
            layer.why = "The device answers with garbage, or not at all: \(complaint)"
            layer.remedy = replug(facts)
        } else if let noise = facts.diagnosis?.status.streams.first(where: isNoise) {
            layer.health = .broken
            let count = noise.frames.addingClamped(noise.lost)
            layer.why = "Hardly a frame is whole: of \(count) frames \(noise.lost) are missing or damaged."
            layer.remedy =
                "try another format or size   (userdriver inspect \(quoted(facts.id)) lists them); if none is whole, unplug it and plug it in again"
        }
        return layer
    }

    /// Hardly a frame is whole: the device's doing, not the way's.
    private static func isNoise(_ stream: DeviceStatus.Stream) -> Bool { stream.lost > 30 && stream.lost / 10 > stream.frames }

    private static func replug(_ facts: DeviceFacts) -> String {
        "unplug it and plug it in again   (userdriver inspect \(quoted(facts.id)) shows its descriptors)"
    }

    private static func described(_ facts: DeviceFacts) -> StackLayer {
        guard !facts.descriptors.isEmpty else { return StackLayer(.deviceClass, .unknown, "", why: "Its descriptors are not known.") }
        let descriptors = DescriptorSet(parsing: facts.descriptors)
        let functions = descriptors.configurations.first.map {
            VideoFunction.all(in: $0, speed: facts.speed == .unknown ? descriptors.likelySpeed : facts.speed, allowingVendorClass: true)
        }
        if let function = functions?.first(where: { $0.streamingInterfaces.contains { !$0.formats.isEmpty } }) {
            return video(function)
        }
        let isVideo = descriptors.configurations.first?.interfaces.contains { $0.interfaceClass == VideoClass.code } == true
        let isWebcam = isVideo || facts.diagnosis?.status.kind == "webcam"
        guard isWebcam || descriptors.configurations.isEmpty else { return StackLayer(.deviceClass, .ok, "no video function") }
        return StackLayer(
            .deviceClass, .broken, "no formats", why: "The descriptors make no sense: there is no video format in them.",
            remedy: replug(facts))
    }

    private static func video(_ function: VideoFunction) -> StackLayer {
        let formats = function.streamingInterfaces.flatMap(\.formats)
        var names: [String] = []
        for format in formats where !names.contains(format.name) { names.append(format.name) }
        let version = "\(function.uvcVersion >> 8).\(String(function.uvcVersion >> 4 & 0xf, radix: 16))"
        var summary = "USB Video \(version), \(names.joined(separator: " "))"
        if let largest = formats.flatMap(\.frames).max(by: { $0.width * $0.height < $1.width * $1.height }) {
            summary += ", up to \(largest.width)x\(largest.height)"
        }
        return StackLayer(
            .deviceClass, .ok, summary,
            facts: ["class": "video", "version": .string(version), "formats": .array(names.map(JSONValue.string))])
    }

    // MARK: What drives it

    private static func driver(_ diagnosis: Diagnosis.Device, _ facts: DeviceFacts) -> StackLayer {
        guard let driver = diagnosis.driver else {
            if let refused = facts.refused.first, let problem = refused.problem {
                return StackLayer(
                    .driver, .broken, "none", why: "\(refused.path) is not used: \(problem).", remedy: remedy(for: refused))
            }
            return StackLayer(
                .driver, .broken, "none", why: "No installed driver knows this device.",
                remedy: "userdriver driver install BUNDLE   (if there is one for it)")
        }
        let warnings = diagnosis.status.warnings
        var words = ["\(driver.id) \(driver.version)", driver.verdict]
        words += warnings.filter { $0 != driver.verdict }
        var layer = StackLayer(
            .driver, .ok, words.filter { !$0.isEmpty }.joined(separator: ", "),
            facts: [
                "id": .string(driver.id), "version": .string(driver.version), "path": .string(driver.path),
                "verdict": .string(driver.verdict),
                "warnings": .array(warnings.map(JSONValue.string)),
            ])
        if !warnings.isEmpty {
            layer.health = .warning
            layer.why = "It runs \(warnings.joined(separator: ", "))."
            if warnings.contains(where: { $0.contains("unsigned") }) { layer.remedy = remedy(for: driver) }
        }
        return layer
    }

    private static func process(_ diagnosis: Diagnosis.Device, _ facts: DeviceFacts) -> StackLayer {
        let status = diagnosis.status
        var words = [status.pid > 0 ? "pid \(status.pid)" : "none", status.state.rawValue]
        if status.restarts > 0 { words.append(status.restarts == 1 ? "1 restart" : "\(status.restarts) restarts") }
        var layer = StackLayer(
            .process, .ok, words.joined(separator: ", "),
            facts: [
                "state": .string(status.state.rawValue), "pid": .int(Int64(status.pid)), "restarts": .int(Int64(status.restarts)),
                "lastCrash": facts.lastCrash.map {
                    ["number": .int(Int64($0.number)), "time": .string($0.time), "cause": .string($0.cause)]
                }
                    ?? .null,
            ])
        switch status.state {
        case .running:
            guard status.restarts > 0 else { break }
            layer.health = .warning
            let crash = facts.lastCrash.map { " The last one ended with \($0.cause)." } ?? ""
            layer.why = "Its driver had to be replaced.\(crash)"
            layer.remedy = facts.lastCrash.map { "userdriver crashes show \($0.number)   (tells more)" }
        case .starting:
            layer.health = .unknown
            layer.why = "It is starting."
        case .backoff:
            layer.health = .broken
            layer.why = status.reason ?? "Its driver died and will be started again soon."
            layer.remedy = "userdriver restart \(quoted(status.id))"
        case .failed:
            layer.health = .broken
            layer.why = status.reason ?? "Its driver was given up."
            layer.remedy = "userdriver restart \(quoted(status.id))"
        case .absent, .unsupported, .kernel:
            layer.health = .unknown
            layer.why = status.reason ?? "Nothing runs for it."
        }
        return layer
    }

    // MARK: What comes out

    private static func stream(_ diagnosis: Diagnosis.Device, _ facts: DeviceFacts) -> StackLayer {
        let streams = diagnosis.status.streams
        let bytes = diagnosis.rings.reduce(0) { $0.addingClamped($1.bytes) }
        var summary = streams.map { "\($0.summary), frames \($0.frames), lost \($0.lost)" }.joined(separator: "; ")
        if streams.isEmpty { summary = "none" }
        if bytes > 0 { summary += ", ring of \(bytes >> 20 + (bytes & 0xf_ffff == 0 ? 0 : 1)) MiB" }
        var layer = StackLayer(
            .stream, .ok, summary,
            facts: [
                "streams": .array(
                    streams.map { stream in
                        .object(
                            stream.shown.merging([
                                "name": .string(stream.name), "frames": .int(Int64(clamping: stream.frames)),
                                "lost": .int(Int64(clamping: stream.lost)),
                            ]) { $1 })
                    }), "ringBytes": .int(Int64(bytes)),
            ])
        if let trouble = diagnosis.trouble, diagnosis.status.state == .running, Evidence(in: trouble) == nil {
            layer.health = .warning
            layer.why = trouble
            layer.remedy = "userdriver restart \(quoted(diagnosis.status.id))"
        } else if let lossy = streams.first(where: { $0.lost > $0.frames / 10 && $0.lost > 10 && !isNoise($0) }) {
            layer.health = .warning
            layer.why = "Of \(lossy.frames.addingClamped(lossy.lost)) frames \(lossy.lost) are missing or damaged."
        }
        return layer
    }

    private static func clients(_ diagnosis: Diagnosis.Device) -> StackLayer {
        let count = diagnosis.status.streams.reduce(0) { $0.addingClamped($1.clients) }
        return StackLayer(
            .clients, .ok, count == 0 ? "nobody watches" : count == 1 ? "1 watches" : "\(count) watch", facts: ["count": .int(Int64(count))]
        )
    }
}

extension FixedWidthInteger {
    /// A sum of numbers that another process said.
    fileprivate func addingClamped(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
