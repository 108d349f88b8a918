// The scanner itself: one job at a time, a feeder that depletes, and what its web service answers.

import Pictures

/// What a page is drawn from.
struct PageOrder: Hashable, Sendable {
    var job: Int
    var sheet: Int
    var side: PageSide
    var settings: ScanSettings
}

/// All that survives a host. Time is CLOCK_MONOTONIC in nanoseconds.
struct ScanMachine: Sendable {
    enum Reply: Sendable {
        case answer(HTTPAnswer)
        case page(PageOrder)
    }

    let options: EmulatedScannerOptions
    var faults: ScannerFaults
    private(set) var jobs: [ScanJob] = []
    var feeder: Feeder
    private var serial = 0
    private var busyLeft: Int
    /// When the lamp was last on.
    private var lastUse: UInt64?
    private(set) var pages: [ScannedPage] = []
    /// What somebody who follows is told.
    var notes: [String] = []
    /// Jobs that have ended since this was last looked at: what is left of their pages goes.
    var ended: [Int] = []
    private let text: ScannerText

    static let second: UInt64 = 1_000_000_000
    /// How long the lamp stays warm.
    private static let warmth = 60 * second

    init(_ options: EmulatedScannerOptions) {
        self.options = options
        faults = options.faults
        feeder = Feeder(sheets: options.sheets)
        busyLeft = options.faults.number(.busy) ?? 0
        text = ScannerText(options)
    }

    var openJob: ScanJob? { jobs.last { $0.state == .processing } }

    // MARK: Requests

    mutating func handle(_ request: HTTPRequest, now: UInt64) -> Reply {
        expire(now: now)
        let words = request.path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        guard words.first == "eSCL", request.path.utf8.first == UInt8(ascii: "/") else { return .answer(.text(404)) }
        switch words.count {
        case 2 where words[1] == "ScannerCapabilities":
            return get(request) { machine in machine.capabilities() }
        case 2 where words[1] == "ScannerStatus":
            return get(request) { machine in .xml(machine.text.status(machine, now: now)) }
        case 2 where words[1] == "ScanJobs":
            guard request.method == "POST" else { return .answer(.text(405, [("Allow", "POST")])) }
            return .answer(open(request, now: now))
        case 3 where words[1] == "ScanJobs":
            guard request.method == "DELETE" else { return .answer(.text(405, [("Allow", "DELETE")])) }
            return .answer(delete(words[2]))
        case 4 where words[1] == "ScanJobs" && words[3] == "NextDocument":
            guard request.method == "GET" else { return .answer(.text(405, [("Allow", "GET")])) }
            return nextDocument(words[2], now: now)
        case 4 where words[1] == "ScanJobs" && words[3] == "ScanImageInfo":
            return get(request) { machine in machine.imageInformation(words[2]) }
        default: return .answer(.text(404))
        }
    }

    private func get(_ request: HTTPRequest, _ answer: (ScanMachine) -> HTTPAnswer) -> Reply {
        guard request.method == "GET" || request.method == "HEAD" else {
            return .answer(.text(405, [("Allow", "GET, HEAD")]))
        }
        return .answer(answer(self))
    }

    private func capabilities() -> HTTPAnswer {
        var answer = HTTPAnswer.xml(text.capabilities())
        if faults.has(.gzip), let compressed = Gzip.compressed(answer.body) {
            answer.body = compressed
            answer.fields.append(("Content-Encoding", "gzip"))
        }
        return answer
    }

    private func imageInformation(_ name: String) -> HTTPAnswer {
        guard let job = jobs.first(where: { $0.name == name }), job.imagesBegun > 0 else { return .text(404) }
        return .xml(text.imageInformation(job))
    }

    // MARK: Jobs

    private mutating func open(_ request: HTTPRequest, now: UInt64) -> HTTPAnswer {
        let settings: ScanSettings
        do throws(ScanSettings.Refusal) {
            guard request.bodyLength <= HTTPLimits.keptBody else { return .text(413) }
            settings = try ScanSettings(xml: request.body)
        } catch {
            return .text(error == .malformed ? 400 : 409)
        }
        if busyLeft > 0 {
            if busyLeft < .max { busyLeft -= 1 }
            return .text(503, [("Retry-After", "1")])
        }
        guard openJob == nil else { return .text(503, [("Retry-After", "1")]) }
        if faults.has(.coverOpen), faults.number(.coverOpen) == .max { return .text(409) }
        if settings.source == .feeder, feeder.sheets == 0 || feeder.trouble != nil { return .text(409) }
        serial += 1
        let isCold = lastUse.map { now > $0 + Self.warmth } ?? true
        let job = ScanJob(
            serial: serial, settings: settings, touched: now, created: now,
            warmUntil: isCold ? now + UInt64(options.pace.warmUpMilliseconds) * 1_000_000 : now,
            refusals: Self.refusals(faults))
        jobs.append(job)
        if jobs.count > 10 { jobs.removeFirst() }
        let source = settings.source.rawValue + (settings.isDuplex ? ", duplex" : "")
        notes.append("Job \(serial) is opened: \(source), \(settings.resolution) dpi.")
        let path = "/eSCL/ScanJobs/\(job.name)"
        var answer = HTTPAnswer(201)
        if faults.has(.createdWithoutLength) { answer.hidesLength = true }
        if faults.has(.otherHost) {
            answer.fields.append(("Location", "http://BR54BFB02C05XK.03f011c2.hpLedmUSB\(path)"))
        } else if faults.has(.secureLocation) {
            answer.fields.append(("Location", "https://localhost\(path)"))
        } else if faults.has(.relativeLocation) {
            answer.fields.append(("Location", "ScanJobs/\(job.name)"))
        } else if !faults.has(.missingLocation) {
            answer.fields.append(("Location", "http://\(request["host"] ?? "localhost")\(path)"))
        }
        return answer
    }

    private static func refusals(_ faults: ScannerFaults) -> [Int] {
        [(ScannerFaults.Kind.notReady, 503), (.gone, 410), (.earlyNotFound, 404)].flatMap { kind, status in
            [Int](repeating: status, count: min(faults.number(kind, always: 1) ?? 0, 1000))
        }
    }

    private mutating func delete(_ name: String) -> HTTPAnswer {
        guard let index = jobs.firstIndex(where: { $0.name == name }) else { return .text(404) }
        guard jobs[index].state == .processing else { return .text(404) }
        end(index, .cancelled)
        return HTTPAnswer(200)
    }

    private mutating func end(_ index: Int, _ state: ScanJob.State) {
        jobs[index].state = state
        jobs[index].isPageMoving = false
        ended.append(jobs[index].serial)
        // Somebody sees to the paper.
        feeder.trouble = nil
        if options.reloads, feeder.sheets == 0 { feeder.sheets = options.sheets }
        notes.append("Job \(jobs[index].serial) has ended: \(state.rawValue), \(jobs[index].imagesCompleted) pages.")
    }

    /// Ends a job that nobody has asked anything of for too long.
    mutating func expire(now: UInt64) {
        for index in jobs.indices where jobs[index].state == .processing {
            if now > jobs[index].touched + UInt64(options.jobTimeoutMilliseconds) * 1_000_000 { end(index, .aborted) }
        }
    }

    // MARK: Pages

    private mutating func nextDocument(_ name: String, now: UInt64) -> Reply {
        guard let index = jobs.firstIndex(where: { $0.name == name }) else { return .answer(.text(404)) }
        let isFeeder = jobs[index].settings.source == .feeder
        switch jobs[index].state {
        case .processing: break
        case .completed: return .answer(.text(404))
        case .cancelled: return .answer(.text(409))
        case .aborted: return .answer(.text(410))
        }
        guard !jobs[index].isPageMoving else { return .answer(.text(503)) }
        jobs[index].touched = now
        if !jobs[index].refusals.isEmpty { return .answer(.text(jobs[index].refusals.removeFirst())) }
        if now < jobs[index].warmUntil { return .answer(.text(503, [("Retry-After", "1")])) }
        lastUse = now
        if !isFeeder {
            guard jobs[index].imagesBegun == 0 else {
                end(index, .completed)
                return .answer(.text(404))
            }
            return begin(index, sheet: 0, side: .front)
        }
        if let sheet = jobs[index].backOf {
            jobs[index].backOf = nil
            return begin(index, sheet: sheet, side: .back)
        }
        if let refusal = feed(index) { return .answer(.text(refusal)) }
        let sheet = feeder.next - 1
        if jobs[index].settings.isDuplex { jobs[index].backOf = sheet }
        return begin(index, sheet: sheet, side: .front)
    }

    /// Takes the next sheet; a status where it does not come.
    private mutating func feed(_ index: Int) -> Int? {
        guard feeder.trouble == nil else { return 409 }
        guard feeder.sheets > 0 else {
            if faults.has(.emptyAsJam) {
                feeder.trouble = .jam
                return 409
            }
            end(index, .completed)
            return 404
        }
        for (kind, trouble) in [(ScannerFaults.Kind.jam, Feeder.Trouble.jam), (.coverOpen, .coverOpen)] where faults.has(kind, feeder.next)
        {
            faults.remove(kind, feeder.next)
            feeder.trouble = trouble
            notes.append("Fault: \(kind.rawValue) at sheet \(feeder.next).")
            return 409
        }
        feeder.sheets -= 1
        feeder.next += 1
        return nil
    }

    private mutating func begin(_ index: Int, sheet: Int, side: PageSide) -> Reply {
        jobs[index].isPageMoving = true
        jobs[index].imagesBegun += 1
        pages.append(ScannedPage(job: jobs[index].serial, sheet: sheet, side: side))
        // A year's work is enough to look back on.
        if pages.count > 100_000 { pages.removeFirst(10_000) }
        var settings = jobs[index].settings
        if faults.has(.jpegForPNG), settings.format == .png { settings.format = .jpeg }
        return .page(PageOrder(job: jobs[index].serial, sheet: sheet, side: side, settings: settings))
    }

    /// The answer with a page that has been drawn; `nil` bytes where that failed.
    mutating func answer(_ order: PageOrder, _ bytes: [UInt8]?) -> HTTPAnswer {
        guard let bytes, openJob?.serial == order.job else { return .text(409) }
        var body = bytes
        if faults.has(.cut, order.sheet) {
            body.removeLast(body.count / 2)
            notes.append("Fault: cut at sheet \(order.sheet).")
        }
        let format = jobs.last { $0.serial == order.job }?.settings.format ?? order.settings.format
        return HTTPAnswer(200, [("Content-Type", format.rawValue)], body: body)
    }

    /// The host has the page's last byte.
    mutating func sent(_ page: OutgoingPage, now: UInt64) {
        guard page.isWhole else { return }
        if let index = pages.lastIndex(where: { $0.job == page.job && $0.sheet == page.sheet && $0.side == page.side }) {
            pages[index].isWhole = true
        }
        notes.append("Sheet \(page.sheet), \(page.side == .front ? "front" : "back"), was read to the end.")
        guard let index = jobs.firstIndex(where: { $0.serial == page.job }), jobs[index].state == .processing else { return }
        jobs[index].isPageMoving = false
        jobs[index].imagesCompleted += 1
        jobs[index].touched = now
        lastUse = now
        if jobs[index].settings.source == .platen { end(index, .completed) }
    }

    /// A page is gone that no host has read: the next one may be asked for.
    mutating func lost(_ page: OutgoingPage) {
        guard let index = jobs.firstIndex(where: { $0.serial == page.job }) else { return }
        if jobs[index].isPageMoving { notes.append("Sheet \(page.sheet) is lost.") }
        jobs[index].isPageMoving = false
    }

    /// All pages on their way are gone.
    mutating func losePages() {
        for index in jobs.indices { jobs[index].isPageMoving = false }
    }

    /// Bytes of a page go out.
    mutating func touch(_ job: Int, now: UInt64) {
        if let index = jobs.lastIndex(where: { $0.serial == job }) { jobs[index].touched = now }
    }

    /// What is scanned after this page, so that it can be drawn meanwhile.
    func following(_ order: PageOrder) -> PageOrder? {
        guard order.settings.source == .feeder else { return nil }
        var next = order
        if order.settings.isDuplex, order.side == .front {
            next.side = .back
        } else {
            guard feeder.sheets > 0 else { return nil }
            next.side = .front
            next.sheet += 1
        }
        return next
    }
}
