// A scan, from the first request to the last: which step comes next, and what a step's outcome
// means.

import DriverObjects
import ESCL
import IPPUSB
import ScannerInterface
import UserDriver
import Wire

/// One job. Each step is recorded before it is taken, so that whoever follows takes it once.
actor ScanRun {
    /// How long a scanner that is not ready is asked again.
    static let warmUp = Duration.seconds(180)
    /// The same where it is working for someone else, or says that a page is not there yet.
    static let shortPatience = Duration.seconds(12)
    /// How long a job waits for whoever asked for it to come back, before the next sheet.
    static let grace = Duration.seconds(30)
    /// How long one that is held waits for its next page to be wanted.
    static let hold = Duration.seconds(120)
    /// How often it is said that a page is still waited for.
    static let waiting = Duration.seconds(5)

    nonisolated let token: String
    nonisolated let news = ScanNews()
    let scanner: ScannerPort
    let objects: ObjectLink
    let supervisor: SupervisorLink
    let patience: Duration
    /// Called for each step that need not be done again: it counts as progress.
    let gotOn: @Sendable () -> Void
    private let keeper: RecordKeeper
    var record: JobRecord
    /// It was begun by a process before this one.
    let isInherited: Bool
    /// Since when the same step is tried in vain.
    private var triedSince: ContinuousClock.Instant?
    private var waiter: CheckedContinuation<Void, Never>?
    var lastSaid = ContinuousClock.now - .seconds(1)
    /// How long the last page took; nobody knows where another process fetched it.
    var lastPageTook = Duration.seconds(2)

    init(
        _ record: JobRecord, isInherited: Bool, scanner: ScannerPort, objects: ObjectLink, supervisor: SupervisorLink,
        keeper: RecordKeeper, patience: Duration, gotOn: @escaping @Sendable () -> Void
    ) {
        self.record = record
        self.isInherited = isInherited
        self.scanner = scanner
        self.objects = objects
        self.supervisor = supervisor
        self.keeper = keeper
        self.patience = patience
        self.gotOn = gotOn
        token = record.token
    }

    /// Returns when the job has ended, and everybody has been told.
    func run() async {
        news.say(ScanProgress(.started, message: record.settings.words))
        if isInherited { await reconcile() }
        while true {
            do {
                switch record.phase {
                case .creating: try await create()
                case .fetching: try await fetch()
                case .closing:
                    await close()
                    return
                }
            } catch {
                supervisor.log("warning", "The scan can't continue: \(error)")
                end(.failed, "The scan failed: \(error)")
            }
        }
    }

    // MARK: Records

    /// Writes the record down before the next thing happens.
    func keep() { keeper.change { [record] in $0.job = record } }

    /// The job is over, but for telling the scanner.
    func end(_ reason: ScanEnd.Reason, _ message: String, lost: Int? = nil) {
        guard record.phase != .closing else { return }
        record.phase = .closing
        record.serial = nil
        record.end = ScanEnd(reason: reason, message: message, pages: record.whole, damaged: record.damaged, lost: lost)
        keep()
    }

    /// What an earlier process left, compared with what survived it.
    private func reconcile() async {
        if await scanner.pages.isFresh {
            // The way to the scanner was lost. What became of its job is not known.
            guard record.serial != nil || record.path != nil else { return }
            return await loseTrack()
        }
        guard let serial = record.serial, let sent = await scanner.pages.sent else { return }
        // Its answer was dealt with, and nothing came of it, or that would have been recorded.
        let isDealtWith = await scanner.pages.isAnswered
        if sent.serial > serial || sent.serial == serial && isDealtWith { record.serial = nil }
    }

    private func loseTrack() async {
        let isOnItsWay = record.phase == .fetching && record.serial != nil
        let sheet = record.place(of: record.page).sheet
        do {
            for left in try await objects.jobs().first(where: { $0.job == token })?.unfinished ?? [] {
                try await objects.resume(left.id).abandon("The connection to the scanner was lost during the page.")
                record.damage(sheet)
            }
            // A job without a name that is open is ours: nobody else has had the scanner's channels.
            if record.path == nil { record.path = try await scanner.status().jobs.first(where: \.isOpen)?.path }
        } catch {
            supervisor.log("warning", "Not everything is known about an interrupted scan: \(error)")
        }
        guard record.phase != .closing else {
            record.serial = nil
            return
        }
        let what = isOnItsWay ? " Sheet \(sheet) may have left the feeder; scan it again." : ""
        end(
            .interrupted, Self.unplugged + what, lost: isOnItsWay ? sheet : nil)
    }

    static let unplugged = "The scanner was unplugged, or the connection to it was lost, during the scan."

    // MARK: Waiting for others

    /// Returns once it is so, or the time is over; whether it is so. `hasChanged` has it looked at.
    func changes(within limit: Duration, _ isSo: (isolated ScanRun) -> Bool) async -> Bool {
        let end = ContinuousClock.now + limit
        while !isSo(self), ContinuousClock.now < end {
            let alarm = Task {
                try await Task.sleep(until: end)
                hasChanged()
            }
            // One at a time waits: whoever runs the job.
            await withCheckedContinuation { waiter = $0 }
            alarm.cancel()
        }
        return isSo(self)
    }

    /// Somebody else has changed something that the job may wait for.
    func hasChanged() {
        waiter?.resume()
        waiter = nil
    }

    // MARK: Steps

    /// Sends the request of this step, unless it has been sent.
    func ask(_ request: HTTPRequest, _ kind: RequestMark.Kind) async throws {
        let serial: UInt32
        if let known = record.serial {
            serial = known
        } else {
            serial = await scanner.pages.nextSerial
            record.serial = serial
            keep()
        }
        try await scanner.pages.ask(
            request, RequestMark(serial: serial, kind: kind, page: record.page, path: record.path ?? ""))
    }

    private func create() async throws {
        if record.isCancelled { return end(.cancelled, "The scan was cancelled.") }
        await scanner.pages.turns.take()
        let answer: HTTPHead
        do {
            answer = try await job()
        } catch {
            await scanner.pages.giveUp()
            scanner.pages.turns.giveBack()
            throw error
        }
        if 200..<300 ~= answer.status {
            record.path = answer["location"].flatMap { ESCLPath.path(of: $0, root: ESCLPath.root) }
            if record.path != nil {
                begin()
                await scanner.pages.finish()
                scanner.pages.turns.giveBack()
                return
            }
        }
        await scanner.pages.finish()
        scanner.pages.turns.giveBack()
        let status = await statusNow()
        if 200..<300 ~= answer.status {
            guard let path = status?.jobs.first(where: \.isOpen)?.path else {
                return end(.failed, "The scanner started a job without saying which.")
            }
            record.path = path
            return begin()
        }
        try await refused(ESCLVerdict(creating: answer.status, status, fromFeeder: record.isFromFeeder))
    }

    /// The scanner has a job.
    private func begin() {
        succeeded()
        record.phase = .fetching
        record.serial = nil
        keep()
        gotOn()
    }

    private func job() async throws -> HTTPHead {
        try await ask(
            HTTPRequest(.post, ESCLPath.jobs(), headers: [("Content-Type", "text/xml")], body: record.settings.document), .createJob)
        return try await ScannerPort.small(scanner.pages, within: .seconds(60)).head
    }

    func statusNow() async -> ESCLStatus? {
        do {
            return try await scanner.status()
        } catch {
            supervisor.log("warning", "The scanner's status can't be read: \(error)")
            return nil
        }
    }

    /// The step was not done. Waits where it may be tried again, else ends the job.
    func refused(_ verdict: ESCLVerdict) async throws {
        record.serial = nil
        keep()
        if record.isCancelled { return end(.cancelled, "The scan was cancelled.") }
        let pages = record.whole + record.damaged.count
        switch verdict {
        case .notYet(let why):
            guard try await pause(within: Self.warmUp, why) else { return end(.failed, "The scanner is not getting ready: \(why).") }
        case .busy:
            guard try await pause(within: Self.shortPatience, "it is working for someone else") else {
                return end(.busy, "The scanner is busy with another job.")
            }
        case .endOfPaper: end(.done, "The feeder is done.")
        case .empty: end(.empty, "There is no paper in the feeder.")
        case .jam: end(.jam, "The paper is jammed\(Self.after(pages)).")
        case .coverOpen: end(.coverOpen, "The feeder's cover is open\(Self.after(pages)).")
        case .cancelled: end(.cancelled, "The scan was cancelled at the scanner\(Self.after(pages)).")
        case .refused(let why): end(.refused, "The scanner refused the job: \(why).")
        case .failed(let why): end(.failed, "The scanner failed\(Self.after(pages)): \(why).")
        }
    }

    private static func after(_ pages: Int) -> String { pages == 0 ? "" : " after \(pages == 1 ? "1 page" : "\(pages) pages")" }

    /// Before the same step is tried again. False when that was done for long enough.
    private func pause(within limit: Duration, _ why: String) async throws -> Bool {
        let since = triedSince ?? .now
        triedSince = since
        let left = limit - since.duration(to: .now)
        guard left > .zero else { return false }
        news.say(ScanProgress(.waiting, message: "The scanner is not ready: \(why)."))
        try await Task.sleep(for: min(left, since.duration(to: .now) < .seconds(2) ? .milliseconds(250) : .seconds(1)))
        return true
    }

    /// The step was done: the next one has all the time again.
    func succeeded() { triedSince = nil }

    /// Has it end as soon as it can.
    func cancel() async {
        guard record.phase != .closing, !record.isCancelled else { return }
        record.isCancelled = true
        keep()
        hasChanged()
        // In the middle of a page the scanner is told from beside, where that can be.
        guard record.phase == .fetching, !scanner.isNarrow, let path = record.path else { return }
        do {
            try await scanner.endJob(path)
        } catch {
            supervisor.log("warning", "The scanner could not be told that the scan was cancelled: \(error)")
        }
    }

    /// So many pages are wanted by now.
    func feed(_ pages: Int) {
        guard let wanted = record.wanted, pages > wanted, record.phase != .closing else { return }
        record.wanted = pages
        keep()
        hasChanged()
    }

    func finish(_ end: ScanEnd) {
        keeper.change { [token] in $0.ended(token, end) }
        news.say(ScanProgress(.ended, end: end))
    }
}

extension ESCLSettings {
    /// For whoever waits.
    var words: String {
        let place =
            switch source {
            case .platen: "flatbed"
            case .feeder: "feeder"
            case .duplex: "feeder, both sides"
            }
        let mode =
            switch colorMode {
            case .color: "colour"
            case .gray: "grey"
            case .blackAndWhite: "black and white"
            }
        return "\(place), \(resolution) dpi, \(mode)"
    }
}
