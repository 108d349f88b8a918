// What happens in a scan, from its beginning to its end, whoever dies in between.

public import ScannerInterface
import UserDriverClient
public import Wire

/// Something that happens in a scan.
public enum ScanEvent: Sendable {
    /// With what, in words.
    case started(String)
    /// The scanner is not ready, or says nothing: why, in words.
    case waiting(String)
    /// A page has begun, or more of it has come.
    case coming(ScanPage)
    /// A page is whole (`committed`) or never will be (`abandoned`). Each comes once in a scan.
    case page(ScannedPage)
    /// The driver, or the daemon, is on its way back; it goes on by itself.
    case interrupted(String)
    case ended(ScanEnd)
}

/// A page that is finished.
public struct ScannedPage: Sendable {
    /// Its object: `id`, `length`, `sha256`, `state`, and why it is not whole.
    public var object: ObjectStatus
    /// An earlier process of the driver had begun it.
    public var resumed: Bool

    public init(object: ObjectStatus, resumed: Bool) {
        self.object = object
        self.resumed = resumed
    }

    /// From 1, of the job.
    public var number: Int { Self.counted(object.metadata["page"]?.intValue) ?? object.index + 1 }
    public var sheet: Int { Self.counted(object.metadata["sheet"]?.intValue) ?? number }
    /// What a driver says is not trusted: no job has more than a million pages.
    public static func counted(_ number: Int?) -> Int? { number.flatMap { 1...1_000_000 ~= $0 ? $0 : nil } }
    public var side: ScanPage.Side { object.metadata["side"]?.stringValue.flatMap(ScanPage.Side.init) ?? .front }
    /// A media type.
    public var format: String { object.metadata["format"]?.stringValue ?? "application/octet-stream" }
    /// Dots per inch.
    public var resolution: Int? { object.metadata["resolution"]?.intValue }
    public var isWhole: Bool { object.state == .committed }
}

/// The events of a scan; the last one is `ended`. Iterating begins it, and throws `ClientError`. To
/// stop iterating leaves the scan running: it waits half a minute for somebody to come back, and
/// ends before the next sheet.
public struct ScanEvents: AsyncSequence, Sendable {
    public typealias Element = ScanEvent
    let scanner: Scanner
    let settings: ScanSettings
    let job: DeviceJob

    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    public final class Iterator: AsyncIteratorProtocol {
        /// So often in a row a scan is joined again without a word from it.
        private static let mostAttempts = 50

        private let scan: ScanEvents
        private var replies: ServiceReplies.Iterator?
        private var queue: [ScanEvent] = []
        private var told: Set<UInt64> = []
        /// Sheets of pages that are not whole.
        private var damaged: Set<Int> = []
        /// By their objects.
        private var resumed: Set<UInt64> = []
        private var latest: ScanPage?
        /// The last one, until it is said to be done.
        private var coming: ScanPage?
        private var wholeObjects: Set<UInt64> = []
        /// The scanner has the job: a sheet may have left the feeder.
        private var hasStarted = false
        private var attempts = 0
        private var isOver = false

        init(_ scan: ScanEvents) { self.scan = scan }

        public func next() async throws -> ScanEvent? {
            while true {
                if !queue.isEmpty { return queue.removeFirst() }
                guard !isOver else { return nil }
                do {
                    try await listen()
                } catch let error as ClientError {
                    try await overcome(error)
                }
            }
        }

        /// Takes the next reply.
        private func listen() async throws {
            let replies = self.replies ?? call()
            self.replies = replies
            guard let reply = try await replies.next() else {
                throw ClientError(.connectionLost, "The driver's answer ended before the scan did.")
            }
            attempts = 0
            let progress: ScanProgress = try reply.decode()
            if let page = progress.page, ScannedPage.counted(page.sheet) != nil {
                latest = page
                coming = progress.event == .pageDone ? nil : page
                if page.resumed { resumed.insert(page.object) }
            }
            switch progress.event {
            case .started:
                hasStarted = true
                queue.append(.started(progress.message ?? ""))
                // Who joins a scan is not told of pages that were done before, and one that is held has no
                // other to tell of until this one was fetched.
                try await collect()
            case .waiting: queue.append(.waiting(progress.message ?? ""))
            case .page: if let page = progress.page { queue.append(.coming(page)) }
            case .pageDone: try await collect()
            case .ended:
                try await collect()
                isOver = true
                queue.append(.ended(seen(progress.end)))
            }
        }

        /// What came counts, beside what the driver says of it.
        private func seen(_ end: ScanEnd?) -> ScanEnd {
            var end = end ?? ScanEnd(reason: .failed, message: "The scan ended without saying how.", pages: wholeObjects.count)
            end.damaged = damaged.union(end.damaged).sorted()
            return end
        }

        private func call() -> ServiceReplies.Iterator {
            var parameters: [String: JSONValue] = ["job": .string(scan.job.token)]
            do { parameters["settings"] = try JSONValue(encoding: scan.settings) } catch {
                // Text and whole numbers are always JSON.
                preconditionFailure("\(error)")
            }
            return scan.scanner.client.replies(
                to: Scanner.method(.scan), device: scan.scanner.deviceID, .object(parameters)
            ).makeAsyncIterator()
        }

        /// The job's pages that are finished and were not told yet.
        private func collect() async throws {
            for object in try await scan.job.objects().sorted(by: { $0.index < $1.index }) where object.state != .open {
                guard told.insert(object.id).inserted else { continue }
                let page = ScannedPage(object: object, resumed: resumed.contains(object.id))
                if page.isWhole { wholeObjects.insert(object.id) } else { damaged.insert(page.sheet) }
                queue.append(.page(page))
            }
        }

        private func overcome(_ error: ClientError) async throws {
            replies = nil
            guard !Task.isCancelled, attempts < Self.mostAttempts else { throw error }
            attempts += 1
            switch error.code {
            case .driverRestarted: queue.append(.interrupted("The driver is being replaced."))
            case .connectionLost, .daemonNotRunning:
                queue.append(.interrupted("The daemon does not answer; waiting for it."))
                try await scan.scanner.client.waitUntilRunning(timeout: .seconds(30))
                // It may be that one that is just going down.
                if attempts > 1 { try await Task.sleep(for: .milliseconds(100)) }
            case .deviceUnavailable where hasStarted || latest != nil || !told.isEmpty:
                try await collect()
                isOver = true
                queue.append(.ended(cutOff(error)))
            default: throw error
            }
        }

        /// How a scan ends whose scanner is gone.
        private func cutOff(_ error: ClientError) -> ScanEnd {
            var end = ScanEnd(reason: .interrupted, message: error.message, pages: wholeObjects.count)
            if let coming, !wholeObjects.contains(coming.object) {
                // No other sheet was fed behind it.
                end.damaged = [coming.sheet]
                end.message += " Sheet \(coming.sheet) was not scanned completely; scan it again."
            } else if scan.settings.source == .flatbed {
                end.message += " The page on the flatbed was not scanned."
            } else {
                end.lost = nextSheet
                end.message += " Sheet \(nextSheet) may have left the feeder: check, and scan it again."
            }
            return seen(end)
        }

        /// Of the page behind the last one.
        private var nextSheet: Int {
            guard let latest else { return 1 }
            return scan.settings.source == .feederDuplex && latest.side == .front ? latest.sheet : latest.sheet + 1
        }
    }
}
