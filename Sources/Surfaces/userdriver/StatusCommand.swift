// `userdriver status`: how it is.

import ArgumentParser
import DeviceStack
import UserDriverClient
import Wire

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the state of devices, their drivers and their streams.",
        discussion: """
            STATE is one of absent, starting, running, backoff (its driver died and will be started again soon), failed (given up: \
            replug it or use `userdriver restart`), kernel (left to the kernel's driver: see `userdriver take`) and unsupported \
            (no driver for it). LOST counts frames that never arrived or arrived damaged. On a narrow terminal columns are \
            shortened or left out; --json shows them all.

            Example:
              userdriver status
              userdriver status --json | jq '.devices[].streams'
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var target: DevicesArgument

    func run() async throws {
        let client = daemon.client
        let devices = try await client.devices(target.selector)
        let attachments = target.selector == nil ? try await client.attachments() : []
        try show(devices, awaited: attachments.filter { $0.device == nil && $0.problem != nil })
    }

    /// `awaited` are addresses where no device is.
    private func show(_ devices: [DeviceStatus], awaited: [Diagnosis.Attachment]) throws {
        if output.json { return try output.printJSON(DeviceList(devices: devices, attachments: awaited.isEmpty ? nil : awaited)) }
        if devices.isEmpty {
            Terminal.note("The daemon is running. No device is attached.")
        } else {
            try Terminal.print(Self.table(devices))
        }
        for line in Self.remarks(devices) + Self.remarks(awaited) { try Terminal.printWrapped(line) }
    }

    static func remarks(_ awaited: [Diagnosis.Attachment]) -> [String] {
        awaited.map { "\($0.url): no device yet: \($0.problem ?? "it is looked for")" }
    }

    /// Who watches, by process and program.
    private static func watcherRemarks(_ device: DeviceStatus) -> [String] {
        let watchers = device.streams.flatMap { $0.watchers ?? [] }
        guard !watchers.isEmpty else { return [] }
        let names = watchers.prefix(20).map { $0.program.isEmpty ? "process \($0.pid)" : "\($0.program) (process \($0.pid))" }
        let more = watchers.count > names.count ? " and \(watchers.count - names.count) more" : ""
        return ["\(device.id): watched by \(names.joined(separator: ", "))\(more)"]
    }

    /// What the driver is at, beside streams, which the table has.
    static func activityRemarks(_ device: DeviceStatus) -> [String] {
        (device.activities ?? []).compactMap { activity in
            let name = activity.name.isEmpty ? "activity" : activity.name
            if let wait = activity.waiting {
                let time = "\(Figure.decimal(wait.seconds, places: 0)) of \(Figure.decimal(wait.limit, places: 0)) s"
                return "\(device.id): \(name) waits\(wait.reason.isEmpty ? "" : ": \(wait.reason)") (\(time))"
            }
            if device.streams.contains(where: { $0.name == activity.name }) { return nil }
            let unit = activity.unit.isEmpty ? "units" : activity.unit
            return "\(device.id): \(name): \(activity.done) \(unit), \(Figure.decimal(activity.rate, places: 1)) a second"
        }
    }

    /// A line a stream; a device without one has a line too.
    static func table(_ devices: [DeviceStatus]) -> TextTable {
        var table = TextTable(
            "DEVICE", "NAME", "STATE", "PID", "RESTARTS", "STREAM", "FPS", "FRAMES", "LOST", "CLIENTS",
            rightAligned: [3, 4, 6, 7, 8, 9], spared: [1, 9, 4, 6, 3])
        for device in devices {
            let pid = device.pid > 0 ? "\(device.pid)" : "–"
            let restarts = TextTable.Cell("\(device.restarts)", device.restarts > 0 ? .yellow : nil)
            if device.streams.isEmpty {
                table.add(
                    .init(device.id, .bold), .init(device.name), StateWords.cell(device.state), .init(pid), restarts, "–", "–", "–", "–",
                    "–")
            }
            for stream in device.streams {
                table.add(
                    .init(device.id, .bold), .init(device.name), StateWords.cell(device.state), .init(pid), restarts,
                    .init(stream.summary), .init(stream.fps.map { Figure.decimal($0, places: 1) } ?? "–"),
                    .init("\(stream.frames)"), .init("\(stream.lost)", stream.lost > 0 ? .yellow : nil), .init("\(stream.clients)"))
            }
        }
        return table
    }

    /// What an older kernel can't do for a sandbox; that there is none is a warning of its own.
    private static func sandboxRemarks(_ device: DeviceStatus) -> [String] {
        guard let sandbox = device.sandbox, !sandbox.applied.isEmpty, !sandbox.missing.isEmpty else { return [] }
        return ["\(device.id): its sandbox lacks \(sandbox.missing.joined(separator: ", "))"]
    }

    /// What there is to say beyond the table.
    static func remarks(_ devices: [DeviceStatus]) -> [String] {
        devices.flatMap { device in
            var remarks: [String] = []
            if let reason = device.reason { remarks.append("\(device.id): \(reason)") }
            if case .object(let members) = device.shown {
                let words = ShownText.words(members)
                if !words.isEmpty { remarks.append("\(device.id): \(words)") }
            }
            remarks += activityRemarks(device) + watcherRemarks(device)
            for endpoint in device.endpoints ?? [] {
                let use =
                    switch endpoint.kind {
                    case "escl": "programs that speak eSCL find it"
                    case "ipp": "CUPS finds its printer"
                    default: endpoint.kind
                    }
                remarks.append("\(device.id): \(use) at \(endpoint.url)")
            }
            if let signer = device.signer { remarks.append("\(device.id): signed by \(signer)") }
            if !device.warnings.isEmpty { remarks.append("\(device.id): runs \(device.warnings.joined(separator: ", "))") }
            return remarks + sandboxRemarks(device)
        }
    }
}
