// One scanner's desk: the scan that goes on, and the pages that nobody has removed yet.

import ScannerClient
import UserDriverClient
import Wire

/// All browsers see the same desk. Its pages lie in the daemon; here is only which ones there are.
actor ScanDesk {
    /// A page that is finished.
    struct Page: Sendable {
        let job: DeviceJob
        let scanned: ScannedPage
        /// From 1, over all scans whose pages lie here.
        let number: Int
        /// Somebody has fetched it to keep: it goes when the next scan begins.
        var isSaved = false
        /// Why there is nothing to fetch.
        var problem: String?

        var id: UInt64 { scanned.object.id }
        /// `nil` for a kind of file that is not known here.
        var format: PageFileFormat? { PageFileFormat(mediaType: scanned.format) }
        var name: String { "scan-\(number).\(format?.suffix ?? "bin")" }
    }

    private enum Phase {
        case idle
        /// The daemon is asked for a job.
        case beginning
        case scanning(DeviceJob, ScanSnapshot.News)
        case ended(ScanEnd)
    }

    private let scanner: Scanner
    private let state: SharedScannerState
    private var phase = Phase.idle
    private var pages: [Page] = []
    /// Counts changes.
    private var version = 0
    private var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
    private var nextWaiter: UInt64 = 0

    /// Pages that are kept until somebody removes them.
    static let mostPages = 200
    /// Browsers that wait for a change at once.
    private static let mostWaiting = 64
    /// For so long they do.
    private static let patience: Duration = .seconds(20)

    init(_ scanner: Scanner) {
        self.scanner = scanner
        state = SharedScannerState(scanner, freshness: .seconds(1))
    }

    func capabilities() async throws -> ScannerCapabilities { try await scanner.capabilities() }
    func scannerState() async throws -> ScannerState { try await state.current() }

    // MARK: Looking

    /// How it is; where that is known already by this version, as soon as it is otherwise, or after a while.
    func snapshot(besides known: Int?) async throws -> ScanSnapshot {
        if let known, known == version {
            guard waiting.count < Self.mostWaiting else { throw WebError("\(Self.mostWaiting) browsers are waiting already.", status: 503) }
            _ = await within(Self.patience) { await self.change(from: known) }
        }
        return snapshot
    }

    private var snapshot: ScanSnapshot {
        let scan: ScanSnapshot.Scan =
            switch phase {
            case .idle, .beginning: .none
            case .scanning(_, let news): .scanning(news)
            case .ended(let end): .ended(end)
            }
        return ScanSnapshot(version: version, scan: scan, pages: pages)
    }

    /// Returns once there is another version, and when the task is cancelled.
    private func change(from known: Int) async {
        guard known == version, !Task.isCancelled else { return }
        nextWaiter += 1
        let id = nextWaiter
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiting[id] = $0 }
        } onCancel: {
            Task { await self.wake(id) }
        }
    }

    private func wake(_ id: UInt64) { waiting.removeValue(forKey: id)?.resume() }

    private func changed() {
        version += 1
        let all = waiting.values
        waiting = [:]
        for waiter in all { waiter.resume() }
    }

    // MARK: Scanning

    /// Begins a scan. It goes on whether or not somebody looks.
    func begin(_ settings: ScanSettings) async throws {
        switch phase {
        case .idle, .ended: break
        case .beginning, .scanning: throw WebError("A scan is running already: wait for it to end, or cancel it.", status: 409)
        }
        let room = Self.mostPages - pages.count { !$0.isSaved && $0.problem == nil }
        guard room > 0 else { throw WebError("\(Self.mostPages) pages are kept: save or remove some of them first.", status: 409) }
        let job = try await job()
        await letGo { $0.isSaved || $0.problem != nil }
        phase = .scanning(job, .words(""))
        changed()
        var settings = settings
        settings.pages = min(room, settings.pages ?? room)
        Task { [settings] in await run(job, settings) }
    }

    private func job() async throws -> DeviceJob {
        let before = phase
        phase = .beginning
        do { return try await scanner.client.openJob(scanner.deviceID) } catch {
            phase = before
            throw error
        }
    }

    private func run(_ job: DeviceJob, _ settings: ScanSettings) async {
        var end: ScanEnd?
        do {
            for try await event in scanner.scan(settings, job: job) {
                if case .ended(let found) = event { end = found } else { take(event, of: job) }
            }
        } catch {
            end = failure(error, of: job)
        }
        phase = .ended(end ?? failure(WebError("The scan ended without saying how."), of: job))
        changed()
        await discard([job])
    }

    private func take(_ event: ScanEvent, of job: DeviceJob) {
        switch event {
        case .started(let words), .waiting(let words), .interrupted(let words): phase = .scanning(job, .words(words))
        case .coming(let page): phase = .scanning(job, .page(page))
        case .page(let page):
            let number = (pages.last?.number ?? 0) + 1
            pages.append(
                Page(job: job, scanned: page, number: number, problem: page.isWhole ? nil : page.object.reason ?? "It is incomplete."))
            phase = .scanning(job, .words(""))
        case .ended: return
        }
        changed()
    }

    /// A scan that the daemon or the driver ended without a word of its own.
    private func failure(_ error: any Error, of job: DeviceJob) -> ScanEnd {
        let reason: ScanEnd.Reason =
            switch (error as? ClientError)?.code {
            case .busy?: .busy
            case .notSupported?, .invalidParameter?: .refused
            default: .failed
            }
        let mine = pages.filter { $0.job.token == job.token }
        return ScanEnd(
            reason: reason, message: "\(error)", pages: mine.count { $0.problem == nil },
            damaged: mine.filter { $0.problem != nil }.map(\.scanned.sheet))
    }

    /// Ends the scan that goes on, if there is one, as soon as that can be.
    func cancel() async throws {
        guard case .scanning(let job, _) = phase else { return }
        try await scanner.cancel(job)
    }

    // MARK: Pages

    /// A page and its bytes. Throws for one that is not there, or has none.
    func open(_ id: UInt64) async throws -> (Page, DeviceObject) {
        guard let page = pages.first(where: { $0.id == id }) else { throw WebError("There is no such page.", status: 404) }
        if let problem = page.problem { throw WebError(problem, status: 410) }
        do { return (page, try await page.job.open(id)) } catch {
            if error.code == .noSuchObject { mark(id) { $0.problem = "The daemon no longer has it." } }
            throw error
        }
    }

    /// Those that have something to fetch.
    var wholePages: [Page] { pages.filter { $0.problem == nil } }

    /// They were fetched to be kept.
    func saved(_ ids: [UInt64]) {
        for id in ids { mark(id) { $0.isSaved = true } }
    }

    private func mark(_ id: UInt64, _ change: (inout Page) -> Void) {
        guard let index = pages.firstIndex(where: { $0.id == id }) else { return }
        change(&pages[index])
        changed()
    }

    /// A page, or all of them, for good.
    func remove(_ id: UInt64?) async throws {
        guard id == nil || pages.contains(where: { $0.id == id }) else { throw WebError("There is no such page.", status: 404) }
        await letGo { id == nil || $0.id == id }
    }

    /// The daemon need not keep these any longer.
    private func letGo(_ isGone: (Page) -> Bool) async {
        let gone = pages.filter(isGone)
        pages.removeAll(where: isGone)
        changed()
        for page in gone {
            // What the daemon can't be told now it forgets with the job.
            do { try await page.job.acknowledge(page.id) } catch {}
        }
        await discard(gone.map(\.job))
    }

    /// What is left of jobs without a page here: a sheet that was cut off.
    private func discard(_ jobs: [DeviceJob]) async {
        for job in jobs where !pages.contains(where: { $0.job.token == job.token }) {
            if case .scanning(let current, _) = phase, current.token == job.token { continue }
            // A job that is gone already is as well.
            do { try await job.discard() } catch {}
        }
    }
}
