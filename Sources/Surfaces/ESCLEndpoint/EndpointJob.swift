// One client's scan: pages that are asked for one by one, sent, and let go of once they are sent
// whole.

import ScannerClient
import UserDriverClient
import Wire

actor EndpointJob {
    /// What a GET …/NextDocument comes to.
    enum Next: Sendable {
        /// `sent` is to be told what became of it.
        case page(ScannedPage, DeviceObject)
        /// It will never be whole: why.
        case broken(String)
        case ended(ScanEnd)
        case failed(ClientError)
        /// Another request waits for the page, or is being sent it.
        case busy
    }

    nonisolated let token: String
    /// Whose it is.
    nonisolated let user: UInt32
    nonisolated let begun = ContinuousClock.now
    nonisolated let settings: ScanSettings
    private let scanner: Scanner
    private let job: DeviceJob
    /// Told each time that another page is done with: how many are.
    private let progress: @Sendable (Int) -> Void
    private var hasBegun = false
    private var pages: [ScannedPage] = []
    /// The number of the last page that the client has, or was told of that it is not whole.
    private(set) var delivered: Int
    private(set) var end: ScanEnd?
    private(set) var failure: ClientError?
    private(set) var isDeleted = false
    private var isAsked = false
    private var touched = ContinuousClock.now
    /// A sheet was told to be lost.
    private var isLossTold = false
    private var waiters: [CheckedContinuation<Void, Never>] = []
    /// How long a request waits for one before it to be through.
    private static let courtesy = Duration.seconds(2)

    init(
        _ job: DeviceJob, of user: UInt32, scanner: Scanner, settings: ScanSettings, delivered: Int = 0,
        progress: @escaping @Sendable (Int) -> Void
    ) {
        token = job.token
        self.job = job
        self.user = user
        self.scanner = scanner
        self.settings = settings
        self.delivered = ScannedPage.counted(delivered) ?? 0
        self.progress = progress
    }

    var isOver: Bool { end != nil || failure != nil }
    var waiting: Int { pages.count }
    var hasPages: Bool { !pages.isEmpty }
    /// How long nothing has been asked of it; zero while something is.
    var idle: Duration { isAsked ? .zero : touched.duration(to: .now) }

    // MARK: Scanning

    /// Returns when the scan has ended, however that is.
    func run() async {
        do {
            for try await event in scanner.scan(settings, job: job) { take(event) }
            if end == nil { failure = ClientError(.connectionLost, "The scan ended without saying how.") }
        } catch {
            failure = error as? ClientError ?? ClientError(.failed, "\(error)")
        }
        wake()
    }

    private func take(_ event: ScanEvent) {
        switch event {
        case .started, .waiting, .coming: hasBegun = true
        case .page(let page): pages.append(page)
        case .ended(let end): self.end = end
        case .interrupted: return
        }
        wake()
    }

    private func wake() {
        let all = waiters
        waiters = []
        for waiter in all { waiter.resume() }
    }

    /// Returns when something has changed, or the task is cancelled.
    private func change() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiters.append($0) }
        } onCancel: {
            Task { await self.wake() }
        }
    }

    /// Returns once the scanner is at it, or the job is over, or after that time.
    func waitUntilBegun(within limit: Duration) async {
        await wait(until: { $0.hasBegun || $0.isOver || $0.hasPages }, within: limit)
    }

    /// The same for its end.
    func waitUntilOver(within limit: Duration) async { await wait(until: { $0.isOver }, within: limit) }

    private func wait(until condition: (isolated EndpointJob) -> Bool, within limit: Duration) async {
        let deadline = ContinuousClock.now + limit
        let alarm = Task { [weak self] in
            try await Task.sleep(for: limit)
            await self?.wake()
        }
        while !condition(self), ContinuousClock.now < deadline { await change() }
        alarm.cancel()
    }

    // MARK: Pages

    /// The next page, for as long as it takes, or until the task is cancelled: whoever asked is gone.
    func next() async -> Next {
        await wait(until: { !$0.isAsked }, within: Self.courtesy)
        guard !isAsked else { return .busy }
        isAsked = true
        await askForPage()
        while pages.isEmpty, !isOver, !Task.isCancelled { await change() }
        guard !Task.isCancelled else {
            settle()
            return .busy
        }
        guard let page = pages.first else {
            settle()
            return ending()
        }
        guard page.isWhole else {
            await done(page)
            settle()
            return .broken(page.object.reason ?? "Sheet \(page.sheet) was not scanned completely.")
        }
        do throws(ClientError) {
            return .page(page, try await job.open(page.object.id))
        } catch {
            settle()
            return .failed(error)
        }
    }

    /// Has the scanner scan the page, unless it is there.
    private func askForPage() async {
        var pause = Duration.milliseconds(50)
        while pages.isEmpty, !isOver, !Task.isCancelled {
            do throws(ClientError) { return try await scanner.feed(job, pages: delivered + 1) } catch {
                // What becomes of the scan, the scan says. A driver or daemon that is on its way back is asked again.
                guard error.isTransient || error.code == .timedOut else { return }
            }
            do { try await Task.sleep(for: pause) } catch { return }
            pause = min(pause * 2, .seconds(1))
        }
    }

    private func ending() -> Next {
        if let failure { return .failed(failure) }
        guard let end else { return .busy }
        if let lost = end.lost, !isLossTold {
            isLossTold = true
            return .broken("Sheet \(lost) may have left the feeder and was not scanned. \(end.message)")
        }
        return .ended(end)
    }

    /// The client has the page, or not: then it is the next one still.
    func sent(_ page: ScannedPage, isSent: Bool, _ failure: ClientError?) async {
        // One that is not what was committed will not become that either.
        if isSent || failure?.code == .altered { await done(page) }
        settle()
    }

    private func settle() {
        isAsked = false
        touched = .now
        wake()
    }

    private func done(_ page: ScannedPage) async {
        pages.removeAll { $0.object.id == page.object.id }
        delivered = max(delivered, page.number)
        progress(delivered)
        // It stays where that does not work, and goes with its job.
        do throws(ClientError) { try await job.acknowledge(page.object.id) } catch {}
    }

    // MARK: The end

    /// Ends the scan; pages that are there stay.
    func cancel() async {
        guard !isOver else { return }
        // Where the scanner can't be told, the scan ends with it, or when nobody asks for its pages.
        do throws(ClientError) { try await scanner.cancel(job) } catch {}
    }

    /// Its client is through with it.
    func delete() async {
        isDeleted = true
        touched = .now
        await cancel()
    }

    /// Nothing of it is kept any more.
    func discard() async {
        pages = []
        // What the daemon can't be told now it forgets by itself.
        do throws(ClientError) { try await job.discard() } catch {}
    }
}
