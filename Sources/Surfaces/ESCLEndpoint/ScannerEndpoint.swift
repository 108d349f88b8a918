// One device as a web service: what clients ask of its scanner and its printer, and who may.

import ESCL
import HTTPServer
import ScannerClient
import Synchronization
import UserDriverClient
import Wire

/// What is beside the scanner itself.
struct EndpointSetting: Sendable {
    let callers: Callers
    let book: EndpointBook
    let log: @Sendable (String) -> Void
}

actor ScannerEndpoint: HTTPSite {
    nonisolated let deviceID: String
    private let scanner: Scanner
    /// `nil`: it does not scan.
    private let capabilities: ScannerCapabilities?
    /// `nil` as long as it is not known to print.
    private nonisolated let printer = Mutex<Printer?>(nil)
    private let identity: String
    private nonisolated let setting: EndpointSetting
    private var jobs: [EndpointJob] = []
    /// A job is about to begin.
    private var isBeginning = false
    private let state: SharedScannerState

    static let longestSettings = 64 << 10
    /// Jobs that are remembered.
    private static let mostJobs = 16
    /// A job that nothing is asked of is ended then.
    private static let patience = Duration.seconds(60)
    /// So soon another one of the same user's takes its place.
    private static let ownPatience = Duration.seconds(10)
    /// Pages that nobody has fetched stay for so long after the scan.
    private static let keeping = Duration.seconds(3600)
    /// A state is told again within that time.
    private static let freshness = Duration.milliseconds(250)

    init(_ scanner: Scanner, _ capabilities: ScannerCapabilities?, identity: String, setting: EndpointSetting) {
        self.scanner = scanner
        deviceID = scanner.deviceID
        self.capabilities = capabilities
        self.identity = identity
        self.setting = setting
        state = SharedScannerState(scanner, freshness: Self.freshness)
    }

    nonisolated var interests: HTTPInterests {
        var interests = HTTPInterests()
        interests.headers = ["host", "origin", "sec-fetch-site", "content-type"]
        interests.body = Self.longestSettings
        interests.user = true
        return interests
    }

    nonisolated var headers: [(name: String, value: String)] {
        [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
    }

    // MARK: Requests

    func answer(_ request: HTTPRequest) async -> HTTPAnswer {
        guard let user = request.user else { return Self.unknownUser }
        guard setting.callers.serves(user) else {
            return .text(403, "This scanner is only for users who may talk to userdriverd: members of its socket's group.")
        }
        if let refusal = Self.refusal(request) { return refusal }
        guard let capabilities, let path = EndpointPath(request.path) else { return .text(404, "There is nothing at this path.") }
        guard path.methods.contains(request.method) else {
            var answer = HTTPAnswer.text(405, "This path accepts \(path.methods.joined(separator: ", ")).")
            answer.headers.append(("Allow", path.methods.joined(separator: ", ")))
            return answer
        }
        switch path {
        case .capabilities: return Self.xml(EndpointText.capabilities(capabilities, identity: identity))
        case .status: return await status(for: user)
        case .jobs: return await begin(request, user, capabilities)
        case .job(let token): return await delete(token, user)
        case .nextDocument(let token):
            // It feeds paper.
            guard !request.isHead else { return .text(405, "A page can only be fetched.") }
            return await nextDocument(token, user)
        }
    }

    private static let unknownUser = HTTPAnswer.text(
        403, "The kernel does not say whose connection this is, and not everyone is served. Is its module tcp_diag loaded?")

    // MARK: Printing

    /// Where printers are asked; jobs have paths below it.
    static let printing = "/ipp/"

    nonisolated func prints(_ printer: Printer) { self.printer.withLock { $0 = printer } }

    nonisolated func upload(_ request: HTTPRequest) -> (any HTTPUpload)? {
        guard request.method == "POST", PrintPiece.isPath(request.path), let printer = printer.withLock(\.self) else { return nil }
        return PrintUpload(printer, path: request.path) { [setting] in
            guard let user = request.user else { return Self.unknownUser }
            guard setting.callers.prints(user) else {
                return .text(403, "This printer is only for users who may talk to userdriverd, and for the print system.")
            }
            if let refusal = Self.refusal(request) { return refusal }
            guard request.headers["content-type"]?.lowercased() == "application/ipp" else {
                return .text(415, "A printer accepts only application/ipp.")
            }
            return nil
        }
    }

    /// Pages of other sites in this user's own browser come from this user, too.
    static func refusal(_ request: HTTPRequest) -> HTTPAnswer? {
        guard request.headers["origin"] == nil, request.headers["sec-fetch-site"] == nil else {
            return .text(403, "Browsers are not served.")
        }
        guard let host = request.headers["host"], isOwn(host) else {
            return .text(421, "This server does not go by that name: use 127.0.0.1.")
        }
        return nil
    }

    private static func isOwn(_ host: String) -> Bool {
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } + "]" : host.prefix { $0 != ":" }
        return ["127.0.0.1", "localhost", "[::1]"].contains(name.lowercased())
    }

    private static func xml(_ text: String) -> HTTPAnswer { HTTPAnswer(200, type: "text/xml", Array(text.utf8)) }

    private static func later(_ why: String, status: UInt32 = 503) -> HTTPAnswer {
        var answer = HTTPAnswer.text(status, why)
        answer.headers.append(("Retry-After", "1"))
        return answer
    }

    // MARK: Status

    private func status(for user: UInt32) async -> HTTPAnswer {
        let state: ScannerState
        do { state = try await self.state.current() } catch { return Self.later("\(error)") }
        var told: [EndpointText.Job] = []
        for job in jobs.reversed() where job.user == user { told.append(await Self.told(job)) }
        let feeder = await trouble() ?? state.feeder
        // Some clients ask only of a scanner that stands still whether paper is jammed.
        return Self.xml(EndpointText.status(state: state.escl, feeder: feeder?.escl, jobs: told))
    }

    /// What ended the last job is what its client asks for next, when the scanner may have forgotten it.
    private func trouble() async -> ScannerState.Feeder? {
        guard let job = jobs.last, job.begun.duration(to: .now) < .seconds(3600), await job.idle < .seconds(20), let end = await job.end
        else { return nil }
        switch end.reason {
        case .jam: return .jam
        case .coverOpen: return .open
        case .empty: return .empty
        default: return nil
        }
    }

    private static func told(_ job: EndpointJob) async -> EndpointText.Job {
        let (state, reason): (String, String) =
            if await job.isDeleted {
                ("Canceled", "JobCanceledByUser")
            } else if await job.failure != nil {
                ("Aborted", "AbortedBySystem")
            } else {
                switch await job.end?.reason {
                case nil: ("Processing", "JobScanning")
                case .done, .empty: ("Completed", "JobCompletedSuccessfully")
                case .cancelled: ("Canceled", "JobCanceledByUser")
                default: ("Aborted", "AbortedBySystem")
                }
            }
        return EndpointText.Job(
            token: job.token, state: state, reason: reason, age: Int(job.begun.duration(to: .now).components.seconds),
            completed: await job.delivered, waiting: await job.waiting)
    }

    // MARK: Jobs

    private func begin(_ request: HTTPRequest, _ user: UInt32, _ capabilities: ScannerCapabilities) async -> HTTPAnswer {
        let settings: ScanSettings
        do throws(SettingsRefusal) { settings = try ScanSettings(document: request.body, for: capabilities) } catch {
            switch error {
            case .malformed(let why): return .text(400, why)
            case .unsupported(let why): return .text(409, why)
            }
        }
        guard !isBeginning else { return Self.later("Another job is about to begin.") }
        isBeginning = true
        defer { isBeginning = false }
        if let open = await openJob() {
            guard open.user == user, await open.idle > Self.ownPatience else { return Self.later("The scanner is working on another job.") }
            // Its client has gone without a word.
            await open.cancel()
            await open.waitUntilOver(within: .seconds(20))
            guard await open.isOver else { return Self.later("The scanner is ending another job.") }
        }
        return await begin(settings, user, host: request.headers["host"] ?? "127.0.0.1")
    }

    private func openJob() async -> EndpointJob? {
        for job in jobs.reversed() where await !job.isOver { return job }
        return nil
    }

    private func begin(_ settings: ScanSettings, _ user: UInt32, host: String) async -> HTTPAnswer {
        let handle: DeviceJob
        do throws(ClientError) { handle = try await scanner.client.openJob(deviceID) } catch { return Self.failure(error) }
        let job = job(handle, user, settings)
        jobs.append(job)
        // Before the scanner hears of it: a process that follows this one goes on with it.
        setting.book.remember(
            EndpointBook.Job(token: job.token, user: user, device: deviceID, settings: settings, delivered: 0))
        Task { await job.run() }
        // sane-airscan waits for 30 s.
        await job.waitUntilBegun(within: .seconds(25))
        if let failure = await job.failure {
            await drop(job)
            return Self.failure(failure)
        }
        await tidy()
        return HTTPAnswer(201, [("Location", "http://\(host)\(EndpointPath.job(job.token))")], .bytes([]))
    }

    private func job(_ handle: DeviceJob, _ user: UInt32, _ settings: ScanSettings, delivered: Int = 0) -> EndpointJob {
        EndpointJob(handle, of: user, scanner: scanner, settings: settings, delivered: delivered) { [setting] count in
            setting.book.delivered(handle.token, count)
        }
    }

    /// Goes on with jobs of an earlier process of this endpoint: they are where they were. Throws where
    /// that can't be told now.
    func resume(_ past: [EndpointBook.Job]) async throws(ClientError) {
        for entry in past where entry.device == deviceID && !jobs.contains(where: { $0.token == entry.token }) {
            do throws(ClientError) {
                // What the daemon does not know would be begun anew.
                _ = try await scanner.client.objects(job: entry.token)
                let handle = try await scanner.client.openJob(deviceID, token: entry.token)
                let job = job(handle, entry.user, entry.settings, delivered: entry.delivered)
                jobs.append(job)
                Task { await job.run() }
            } catch {
                guard !error.isTransient, error.code != .timedOut else { throw error }
                setting.book.forget(entry.token)
            }
        }
    }

    /// Whose it is not, it is not there for.
    private func find(_ token: String, _ user: UInt32) -> EndpointJob? { jobs.first { $0.token == token && $0.user == user } }

    private func delete(_ token: String, _ user: UInt32) async -> HTTPAnswer {
        guard let job = find(token, user), await !job.isDeleted else { return .text(404, "There is no such job.") }
        await job.delete()
        // Its pages go with it, once the driver is through.
        Task {
            await job.waitUntilOver(within: .seconds(120))
            await job.discard()
        }
        setting.book.forget(token)
        return HTTPAnswer(200, [], .bytes([]))
    }

    // MARK: Pages

    private func nextDocument(_ token: String, _ user: UInt32) async -> HTTPAnswer {
        guard let job = find(token, user), await !job.isDeleted else { return .text(404, "There is no such job.") }
        switch await job.next() {
        case .busy: return Self.later("The page is being fetched already.")
        case .broken(let why):
            setting.log("\(deviceID): \(why)")
            return .text(500, why)
        case .failed(let error):
            setting.log("\(deviceID): \(error.message)")
            return Self.failure(error)
        case .ended(let end): return Self.ended(end)
        case .page(let page, let object):
            let body = PageBody(object) { isSent, failure in Task { await job.sent(page, isSent: isSent, failure) } }
            return HTTPAnswer(
                200, [("Content-Type", page.format), ("Content-Location", EndpointPath.job(token) + "/Pages/\(page.number)")],
                .stream(body, length: nil))
        }
    }

    /// What is asked for behind the last page.
    static func ended(_ end: ScanEnd) -> HTTPAnswer {
        switch end.reason {
        case .done, .empty: .text(404, end.message)
        case .jam, .coverOpen, .refused: .text(409, end.message)
        case .busy: later(end.message)
        case .cancelled, .clientGone: .text(410, end.message)
        case .interrupted, .failed: .text(500, end.message)
        }
    }

    static func failure(_ error: ClientError) -> HTTPAnswer {
        switch error.code {
        case .busy, .limitReached, .deviceUnavailable, .daemonNotRunning, .connectionLost, .noSuchDevice: later(error.message)
        case .notSupported, .invalidParameter: .text(409, error.message)
        case .noSuchJob, .noSuchObject: .text(404, error.message)
        default: .text(500, error.message)
        }
    }

    // MARK: Time

    /// Every few seconds: ends what nobody asks anything of, and forgets what is over.
    func tidy() async {
        for job in jobs {
            let idle = await job.idle
            guard await job.isOver else {
                if idle > Self.patience, await !job.isDeleted {
                    setting.log("\(deviceID): nobody fetches a scan's pages any more: ending it.")
                    await job.cancel()
                }
                continue
            }
            let isThrough = await !job.hasPages && idle > .seconds(120)
            guard isThrough || idle > Self.keeping else { continue }
            await drop(job)
        }
        while jobs.count > Self.mostJobs, let oldest = jobs.first, await oldest.isOver { await drop(oldest) }
    }

    private func drop(_ job: EndpointJob) async {
        jobs.removeAll { $0 === job }
        setting.book.forget(job.token)
        await job.discard()
    }
}
