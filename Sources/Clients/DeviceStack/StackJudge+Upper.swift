// The layers above the transport and the class: daemon where it is missing, driver, process, stream, clients.

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
        layers += [driver(diagnosis, facts), process(diagnosis, facts), stream(diagnosis, facts), clients(diagnosis)]
        return layers + (diagnosis.status.kind == "scanner" ? [endpoint(diagnosis.status, facts.machine)] : [])
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
            if driver.code == "Unsigned" { layer.remedy = remedy(for: driver) }
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
            layer.remedy = facts.lastCrash.map { "userdriver crashes show \($0.number)   (for details)" }
        case .starting:
            layer.health = .unknown
            layer.why = "It is starting."
        case .backoff:
            layer.health = .broken
            layer.why = status.reason ?? "Its driver died and will be started again soon."
            layer.remedy = "userdriver restart \(quoted(status.id))"
        case .failed:
            layer.health = .broken
            layer.why = status.reason ?? "The daemon has given up on its driver."
            layer.remedy = "userdriver restart \(quoted(status.id))"
        case .absent, .unsupported, .kernel:
            layer.health = .unknown
            layer.why = status.reason ?? "No driver is running for it."
        }
        return layer
    }

    // MARK: What comes out

    private static func stream(_ diagnosis: Diagnosis.Device, _ facts: DeviceFacts) -> StackLayer {
        let streams = diagnosis.status.streams
        let bytes = diagnosis.rings.reduce(0) { $0.addingClamped($1.bytes) }
        var summary = streams.map { "\($0.summary), frames \($0.frames), lost \($0.lost)" }.joined(separator: "; ")
        if streams.isEmpty {
            let work = (diagnosis.status.activities ?? []).map { "\($0.name) \($0.done) \($0.unit)" }
            summary = work.isEmpty ? "none" : work.joined(separator: "; ")
        }
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
        if let fault = diagnosis.fault, diagnosis.status.state == .running, !isBelow(fault) {
            layer.health = .warning
            layer.why = fault.message
            layer.remedy = fault.remedy ?? "userdriver restart \(quoted(diagnosis.status.id))"
        } else if let lossy = streams.first(where: { $0.lost > $0.frames / 10 && $0.lost > 10 && !isNoise($0) }) {
            layer.health = .warning
            layer.why = "\(lossy.lost) of \(lossy.frames.addingClamped(lossy.lost)) frames are missing or damaged."
        }
        return layer
    }

    /// Whether it is the fault of a layer that stands for itself.
    private static func isBelow(_ fault: CallError) -> Bool {
        switch fault.layer.flatMap(StackLayer.Name.init) {
        case .node, .kernelDriver, .bandwidth, .usbfsMemory, .connection, .deviceClass: true
        default: false
        }
    }

    private static func clients(_ diagnosis: Diagnosis.Device) -> StackLayer {
        let count = diagnosis.status.streams.reduce(0) { $0.addingClamped($1.clients) }
        return StackLayer(
            .clients, .ok, count == 0 ? "nobody is watching" : count == 1 ? "1 program is watching" : "\(count) programs are watching",
            facts: ["count": .int(Int64(count))]
        )
    }
}

extension StackJudge {
    /// Where SANE's programs reach a scanner. `userdriver scan` does without.
    private static func endpoint(_ status: DeviceStatus, _ machine: MachineFacts) -> StackLayer {
        let endpoints = status.endpoints ?? []
        if !endpoints.isEmpty {
            return StackLayer(
                .endpoint, .ok, endpoints.map(\.url).joined(separator: ", "),
                facts: ["endpoints": .array(endpoints.map { ["kind": .string($0.kind), "url": .string($0.url)] })])
        }
        guard status.state == .running else { return StackLayer(.endpoint, .unknown, "", why: "This needs the driver.") }
        guard machine.hasEndpoint else {
            return StackLayer(
                .endpoint, .ok, "none", why: "SANE programs do not see the scanner; `userdriver scan` does.",
                remedy: "apt install userdriver-escl   (from source: make install-escl)")
        }
        return StackLayer(
            .endpoint, .warning, "none", why: "userdriver-escl does not serve the scanner, so SANE programs do not see it.",
            remedy: "systemctl enable --now userdriver-escl   (journalctl -u userdriver-escl says more, where it runs)")
    }
}

extension FixedWidthInteger {
    /// A sum of numbers that another process said.
    func addingClamped(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
