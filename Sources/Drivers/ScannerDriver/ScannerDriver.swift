// The scanner driver: which channels of the device, who scans for whom, what is kept for the next
// incarnation; and who prints, for a device that does both has one driver.

import DriverObjects
import ESCL
import Glibc
import IPPUSB
import ScannerInterface
import Synchronization
import USB
package import UserDriver
package import Wire

/// Drives a device that speaks eSCL over its IPP-over-USB interfaces. One job at a time.
package actor ScannerDriver: Driver {
    package static let name = "scanner-driver"

    package nonisolated let facts: DriverFacts
    private nonisolated let context: DriverContext
    private let scanner: ScannerPort
    private let desk: PrintDesk
    private let keeper: RecordKeeper
    private var run: ScanRun?
    /// A job is about to begin.
    private var isBeginning = false
    private nonisolated let shown = Mutex<String?>(nil)

    package static func start(_ context: DriverContext) async throws -> ScannerDriver {
        var record = RecoveryRecord()
        do {
            record = try RecoveryRecord.read(context.record)
        } catch {
            context.supervisor.log("warning", "The recovery record can't be read and is ignored: \(error)")
        }
        let keeper = RecordKeeper(record, context.supervisor)
        let channels = try channels(of: context)
        // What an earlier process claimed is claimed still, if it came so far.
        if context.takeover == nil || !record.isSetUp {
            for channel in channels { try await takeUp(channel, context.device) }
            keeper.change { $0.isSetUp = true }
        }
        let pages = try await Pipe(context, channels[0], name: "pages")
        let control = channels.count > 1 ? try await Pipe(context, channels[1], name: "control") : pages
        let print = channels.count > 2 ? try await Pipe(context, channels[2], name: "print") : nil
        let scanner = ScannerPort(pages: pages, control: control, context.configuration, names: names(of: context))
        let activity = context.progress.activity()
        let desk = PrintDesk(scanner, own: print, gotOn: { activity.frameEnded() })
        await desk.adopt()
        let driver = ScannerDriver(context, name: await name(of: context, channels[0]), scanner, desk, keeper)
        if let job = record.job { await driver.goOn(job, isInherited: true) } else { await driver.endOrphan() }
        return driver
    }

    private init(_ context: DriverContext, name: String, _ scanner: ScannerPort, _ desk: PrintDesk, _ keeper: RecordKeeper) {
        self.context = context
        self.scanner = scanner
        self.desk = desk
        self.keeper = keeper
        facts = DriverFacts(kind: "scanner", name: name, interfaces: [ScannerInterface.name, PrinterInterface.name])
    }

    // MARK: Taking it up

    private static func channels(of context: DriverContext) throws -> [IPPUSBChannel] {
        let descriptors = DescriptorSet(parsing: context.device.information.descriptors)
        let all = descriptors.configurations.first.map { IPPUSBChannel.all(in: $0) } ?? []
        guard !all.isEmpty else {
            throw USBError(
                .notSupported, operation: "reading the descriptors",
                detail: "none of the device's interfaces speaks IPP over USB on two endpoints"
            )
        }
        let isNarrow = ScannerQuirks(context.configuration, models: names(of: context)).contains(.oneChannel)
        let most = isNarrow ? 1 : context.configuration["channels"]?.intValue ?? 3
        return Array(all.prefix(min(max(most, 1), 3)))
    }

    /// By its USB strings. `ScannerCapabilities` has another name.
    private static func names(of context: DriverContext) -> [String?] {
        let information = context.device.information
        return [information.product, "\(information.manufacturer ?? "") \(information.product ?? "")"]
    }

    private static func takeUp(_ channel: IPPUSBChannel, _ device: any USBDeviceHandle) async throws {
        try await device.claim(interface: channel.interface)
        // Some devices refuse the request; what is set already need not be asked for.
        guard channel.alternateSetting != 0 else { return }
        try await device.setAlternateSetting(interface: channel.interface, to: channel.alternateSetting)
    }

    /// As the device's strings call it, else its identifier.
    private static func name(of context: DriverContext, _ channel: IPPUSBChannel) async -> String {
        let information = context.device.information
        if let product = information.product { return product }
        let setup = PrinterRequests.deviceIdentifier(interface: channel.interface, alternateSetting: channel.alternateSetting)
        do {
            let identifier = DeviceIdentifier(parsing: try await context.device.control(setup, sending: [], timeout: .seconds(2)))
            if let model = identifier.model { return model }
        } catch {
            context.supervisor.log("notice", "The device does not give its identifier: \(error)")
        }
        return information.manufacturer ?? "Scanner"
    }

    // MARK: Calls

    package func call(_ call: ServiceCall) async throws -> JSONValue {
        if call.interface == PrinterInterface.name, let method = PrinterInterface.Method(rawValue: call.method) {
            return try await desk.call(method, call)
        }
        switch ScannerInterface.Method(rawValue: call.method) {
        case .getCapabilities: return try JSONValue(encoding: try await scanner.capabilities().told(name: facts.name))
        case .getStatus: return try JSONValue(encoding: try await state())
        case .scan: return try await scan(call)
        case .feed:
            let request = try call.decode(FeedRequest.self)
            if let run, run.token == request.job { await run.feed(request.pages) }
            return .object([:])
        case .cancel:
            guard let token = call.parameters["job"]?.stringValue else { throw CallError("InvalidParameter", "Cancel needs a job.") }
            if let run, run.token == token { await run.cancel() }
            return .object([:])
        case nil: throw CallError("NotSupported", "A scanner does not know the method \(call.method).")
        }
    }

    private func state() async throws -> ScannerState {
        // One channel, and a page comes on it.
        if let run, scanner.isNarrow { return ScannerState(state: .processing, job: run.token) }
        var state = try await scanner.status().told
        state.job = run?.token
        return state
    }

    private func scan(_ call: ServiceCall) async throws -> JSONValue {
        let request = try call.decode(ScanRequest.self)
        if run?.token != request.job {
            if let past = keeper.value.past.last(where: { $0.token == request.job }) {
                return try JSONValue(encoding: ScanProgress(.ended, end: past.end))
            }
            try await begin(request)
            if run?.token != request.job, let past = keeper.value.past.last(where: { $0.token == request.job }) {
                return try JSONValue(encoding: ScanProgress(.ended, end: past.end))
            }
        }
        guard let run else { throw CallError("DeviceError", "The scan ended at once.") }
        let progresses = run.news.listen()
        await run.hasChanged()
        for await progress in progresses {
            let reply = try JSONValue(encoding: progress)
            if progress.event == .ended { return reply }
            if call.wantsMore { try call.replyMore(reply) }
        }
        try Task.checkCancellation()
        throw CallError("DeviceError", "The scan ended without saying how.")
    }

    private func begin(_ request: ScanRequest) async throws {
        // Of one that has ended everybody has been told already.
        if keeper.value.job == nil, !isBeginning { run = nil }
        guard run == nil, !isBeginning else { throw CallError("Busy", "The scanner is scanning for another job.") }
        isBeginning = true
        defer { isBeginning = false }
        guard let job = try await context.objects.jobs().first(where: { $0.job == request.job }) else {
            throw CallError("InvalidParameter", "There is no such job: begin one with io.userdriver.OpenJob.")
        }
        // Of what is neither remembered nor new nothing can be promised. Its pages are there.
        guard job.opened == 0 else {
            let end = ScanEnd(
                reason: .interrupted, message: "The driver has lost track of the scan: what became of it is not known.", pages: job.opened)
            return keeper.change { $0.ended(request.job, end) }
        }
        let wanted = request.settings ?? ScanSettings()
        let settings = try await settings(for: wanted)
        let limit = wanted.pages.map { max($0, 1) }
        let isHeld = wanted.held ?? false
        goOn(
            JobRecord(token: request.job, settings: settings, limit: limit, wanted: isHeld ? 0 : nil, serial: nil), isInherited: false)
    }

    private func settings(for wanted: ScanSettings) async throws -> ESCLSettings {
        let capabilities = try await scanner.capabilities()
        var source = wanted.source ?? .automatic
        if source == .automatic {
            let isLoaded = capabilities.sources[.feeder] == nil ? false : try await scanner.status().feeder == .loaded
            source = isLoaded || capabilities.sources[.platen] == nil ? .feeder : .flatbed
        }
        guard
            let settings = ESCLSettings(
                capabilities, source: source.escl, colorMode: wanted.mode?.escl ?? .color, resolution: wanted.resolution ?? 300,
                format: wanted.format ?? "image/jpeg", x: wanted.x ?? 0, y: wanted.y ?? 0, width: wanted.width, height: wanted.height)
        else {
            let there = ScanSource.allCases.filter { $0 != .automatic && capabilities.sources[$0.escl] != nil }.map(\.rawValue)
            throw CallError("NotSupported", "The scanner has no source \(source.rawValue); it has \(there.joined(separator: ", ")).")
        }
        return settings
    }

    private func goOn(_ record: JobRecord, isInherited: Bool) {
        let patience = context.configuration["page-patience"]?.intValue ?? 900
        let activity = context.progress.activity()
        let run = ScanRun(
            record, isInherited: isInherited, scanner: scanner, objects: context.objects, supervisor: context.supervisor, keeper: keeper,
            patience: .seconds(min(max(patience, 1), 3600)), gotOn: { activity.frameEnded() })
        self.run = run
        shown.withLock { $0 = run.token }
        if !isInherited { keeper.change { $0.job = record } }
        let pulse = pulse(activity)
        Task {
            await run.run()
            pulse.cancel()
            hasEnded(run)
        }
    }

    /// A scanner may take minutes for a page and say nothing. Whoever waits for it in good health
    /// gets on: else two deaths in such a wait would be two without progress, and cost the record.
    /// (One that dies of what it finds does not live for the first of these.)
    private func pulse(_ activity: Progress.Activity) -> Task<Void, any Error> {
        Task {
            while true {
                try await Task.sleep(for: .milliseconds(400))
                activity.frameEnded()
            }
        }
    }

    /// Without a record a job of an earlier process is nobody's: it would keep the scanner busy.
    private func endOrphan() async {
        guard await !scanner.pages.isFresh, let sent = await scanner.pages.sent, sent.kind != .endJob, sent.kind != .print,
            !sent.path.isEmpty
        else { return }
        context.supervisor.log("warning", "A job at the scanner no longer belongs to anyone: ending it.")
        do {
            try await scanner.endJob(sent.path)
        } catch {
            context.supervisor.log("warning", "It could not be ended: \(error)")
        }
    }

    private func hasEnded(_ run: ScanRun) {
        if self.run === run { self.run = nil }
        shown.withLock { $0 = nil }
    }

    package nonisolated func statistics() -> DriverStatistics {
        DriverStatistics(shown: shown.withLock { $0 }.map { ["scanning for": .string($0)] })
    }

    package func stop() async { context.device.close() }
}
