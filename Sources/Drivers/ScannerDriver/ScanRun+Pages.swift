// A scan's pages: asked for, put into objects as they come, and gone on with where another process
// stopped.

import DriverObjects
import ESCL
import IPPUSB
import ScannerInterface
import UserDriver
import Wire

/// A page on its way into its object.
private struct ComingPage {
    var number: Int
    /// What it was written by: this process, or one before.
    var writer: ObjectWriter?
    var isResumed = false
    /// It had been dealt with before, and comes once more.
    var isKnown = false
    /// Its first bytes, until there are enough to tell what it is.
    var opening: [UInt8] = []
    var format = PageFormat.other
    /// Why it can't become whole.
    var problem: String?
}

extension ScanRun {
    func fetch() async throws {
        if record.serial == nil {
            if await !isFed() { return end(.clientGone, "Nobody asked for the next page within two minutes.") }
            if await !isWanted() { return end(.clientGone, "The program that asked for the scan went away and did not come back.") }
            await restBetweenPages()
            // Last: no sheet is fed for a scan that was cancelled while it waited.
            if record.isCancelled { return end(.cancelled, "The scan was cancelled.") }
        }
        guard let path = record.path else { return end(.failed, "The scanner's job is not known.") }
        await scanner.pages.turns.take()
        let begun = ContinuousClock.now
        let status: Int
        do {
            try await ask(HTTPRequest(.get, ESCLPath.nextDocument(path)), .nextPage)
            status = try await head()
            if status == 200 { try await page() } else { try await rest() }
        } catch {
            await scanner.pages.giveUp()
            scanner.pages.turns.giveBack()
            let sheet = record.place(of: record.page).sheet
            // A page that has begun is damaged; of one that has not, the sheet may be gone.
            let isLost = record.isFromFeeder && !record.damaged.contains(sheet)
            let help = record.isFromFeeder ? " Scan sheet \(sheet) again." : ""
            supervisor.log("warning", "Page \(record.page) did not come: \(error)")
            if PipeFailure.meansGone(error) {
                return end(.interrupted, Self.unplugged + help, lost: isLost ? sheet : nil)
            }
            return end(.failed, "The scan failed: \(error)\(help)", lost: isLost ? sheet : nil)
        }
        await scanner.pages.finish()
        scanner.pages.turns.giveBack()
        guard status != 200 else {
            lastPageTook = begun.duration(to: .now)
            return succeeded()
        }
        let verdict = ESCLVerdict(
            fetching: status, await statusNow(), job: path, fromFeeder: record.isFromFeeder, pages: record.whole + record.damaged.count)
        try await refused(verdict)
    }

    /// Between pages, where the scanner needs it: half as long as the last page took, a second at most.
    private func restBetweenPages() async {
        guard record.isFromFeeder, record.page > 1, await scanner.has(.restBetweenPages) else { return }
        _ = await changes(within: min(lastPageTook / 2, .seconds(1))) { $0.record.isCancelled }
    }

    /// Whether somebody waits for the next page, or comes back in time.
    private func isWanted() async -> Bool {
        await changes(within: Self.grace) { $0.news.listenerCount > 0 || $0.record.isCancelled }
    }

    /// Whether the next page is wanted in time, in a job whose pages are wanted one by one.
    private func isFed() async -> Bool {
        await changes(within: Self.hold) { run in
            run.record.isCancelled || run.record.wanted.map { run.record.page <= $0 } ?? true
        }
    }

    // MARK: Reading

    /// The next piece of the answer. Says now and then that it is waited for.
    private func next() async throws -> Pipe.Event {
        var silence = Duration.zero
        while true {
            if let event = try await scanner.pages.poll(within: Self.waiting) { return event }
            silence += Self.waiting
            guard silence < (record.isCancelled ? .seconds(15) : patience) else {
                throw PipeFailure(code: .silent, description: "The scanner has sent nothing for \(silence.components.seconds) s.")
            }
            news.say(ScanProgress(.waiting, message: "Nothing has come from the scanner for \(silence.components.seconds) s."))
        }
    }

    /// The status of the answer.
    private func head() async throws -> Int {
        while true {
            // An earlier process may have dealt with the head.
            if let status = await scanner.pages.status { return status }
            if case .end = try await next() { throw PipeFailure(code: .malformed, description: "The scanner's answer has no header.") }
        }
    }

    private func rest() async throws {
        while true { if case .end = try await next() { return } }
    }

    // MARK: Pages

    private func page() async throws {
        var page = try await comingPage()
        do {
            try await take(&page)
        } catch {
            try await give(up: page, "\(error)")
            throw error
        }
        try await complete(page)
    }

    /// What is known of the page that begins to come, or that is in the middle of coming.
    private func comingPage() async throws -> ComingPage {
        var page = ComingPage(number: record.page)
        guard let job = try await objects.jobs().first(where: { $0.job == token }) else {
            record.isCancelled = true
            page.isKnown = true
            return page
        }
        let index = record.page - 1
        if let left = job.unfinished.first(where: { $0.index == index }) {
            let writer = try await objects.resume(left.id)
            page.writer = writer
            page.isResumed = true
            page.format = PageFormat.allCases.first { $0.mediaType == writer.metadata["format"]?.stringValue } ?? .other
            // The answer's bytes before this one are gone: the object has to have them.
            if await UInt64(writer.length) < scanner.pages.bodyLength { page.problem = "a part of it was lost" }
        } else if job.opened > index {
            page.isKnown = true
        } else if await scanner.pages.bodyLength > 0 {
            page.problem = "its beginning was lost"
        }
        return page
    }

    private func take(_ page: inout ComingPage) async throws {
        while true {
            switch try await next() {
            case .head: break
            case .body(let bytes):
                if page.problem == nil, !page.isKnown { try await add(bytes, to: &page) }
                await scanner.pages.keep()
                say(page)
            case .end:
                if page.writer == nil, page.problem == nil, !page.isKnown { try await open(&page) }
                return
            }
        }
    }

    private func add(_ bytes: [UInt8], to page: inout ComingPage) async throws {
        guard let writer = page.writer else {
            page.opening += bytes
            if page.opening.count >= PageFormat.opening { try await open(&page) }
            return
        }
        // An earlier process may have written some of them.
        let end = await Int(clamping: scanner.pages.bodyLength)
        let isWritten = writer.length - (end - bytes.count)
        if isWritten < bytes.count { try await write(isWritten > 0 ? Array(bytes[isWritten...]) : bytes, to: writer) }
    }

    /// Its object is begun, with its first bytes.
    private func open(_ page: inout ComingPage) async throws {
        let (sheet, side) = record.place(of: page.number)
        page.format = PageFormat(opening: page.opening)
        let expected = await scanner.pages.expectedLength
        do {
            let writer = try await objects.open(
                job: token,
                metadata: [
                    "name": .string("page \(page.number)"), "page": .int(Int64(page.number)), "sheet": .int(Int64(sheet)),
                    "side": .string(side.rawValue), "format": .string(page.format.mediaType ?? "application/octet-stream"),
                    "resolution": .int(Int64(record.settings.resolution)),
                ], space: Int(clamping: min(expected ?? 0, 256 << 20)))
            page.writer = writer
            try await write(page.opening, to: writer)
        } catch let error as CallError where error.code == "NoSuchJob" {
            // Nobody wants its pages any more.
            record.isCancelled = true
            page.isKnown = true
        }
        page.opening = []
    }

    private func write(_ bytes: [UInt8], to writer: ObjectWriter) async throws {
        do {
            try await writer.append(bytes)
            gotOn()
        } catch let error as CallError where error.code == "NoSuchObject" {
            record.isCancelled = true
        }
    }

    /// All of it has come.
    private func complete(_ page: ComingPage) async throws {
        var page = page
        if page.problem == nil, !page.isKnown, let defect = await scanner.pages.contents.defect {
            page.problem = record.isCancelled ? "the scan was cancelled" : defect
        }
        if page.problem != nil {
            try await give(up: page, page.problem ?? "")
        } else {
            if let writer = page.writer {
                do {
                    try await writer.commit()
                } catch let error as CallError where ["NoSuchObject", "NoSuchJob"].contains(error.code) {
                    record.isCancelled = true
                }
            }
            // One that comes once more may have been found damaged before.
            if !page.isKnown || !record.damaged.contains(record.place(of: page.number).sheet) { record.whole += 1 }
        }
        advance(behind: page)
        gotOn()
        say(page, isDone: true)
    }

    /// What follows a page, written down before its answer is let go of.
    private func advance(behind page: ComingPage) {
        record.page = page.number + 1
        record.serial = nil
        if record.isCancelled {
            end(.cancelled, "The scan was cancelled.")
        } else if !record.isFromFeeder || record.limit.map({ page.number >= $0 }) == true {
            end(.done, record.isFromFeeder ? "All the pages that were asked for are there." : "The page is there.")
        } else {
            keep()
        }
    }

    /// It will never be whole.
    private func give(up page: ComingPage, _ why: String) async throws {
        let sheet = record.place(of: page.number).sheet
        record.damage(sheet)
        keep()
        supervisor.log("warning", "Page \(page.number) is incomplete: \(why)")
        var page = page
        if page.writer == nil, !page.isKnown { try await open(&page) }
        do {
            try await page.writer?.abandon("Sheet \(sheet) was not scanned completely: \(why)")
        } catch let error as CallError where ["NoSuchObject", "NoSuchJob"].contains(error.code) {
            record.isCancelled = true
        }
    }

    // MARK: News

    /// At most four times a second.
    private func say(_ page: ComingPage, isDone: Bool = false) {
        guard let writer = page.writer, isDone || lastSaid.duration(to: .now) > .milliseconds(250) else { return }
        lastSaid = .now
        let (sheet, side) = record.place(of: page.number)
        let told = ScanPage(
            page: page.number, sheet: sheet, side: side, object: writer.id, bytes: writer.length, expected: nil,
            format: page.format.mediaType ?? "application/octet-stream", resumed: page.isResumed, problem: page.problem)
        news.say(ScanProgress(isDone ? .pageDone : .page, page: told))
    }

    // MARK: The end

    /// Tells the scanner that the job is over: it may have ended it itself, and says so then.
    func close() async {
        let isOver = record.end?.reason == .done ? await scanner.has(.endsJobsItself) : false
        if let path = record.path, !isOver {
            await scanner.pages.turns.take()
            do {
                try await ask(HTTPRequest(.delete, path), .endJob)
                if await !scanner.pages.isAnswered { _ = try await ScannerPort.small(scanner.pages) }
                await scanner.pages.finish()
            } catch {
                await scanner.pages.giveUp()
                supervisor.log("warning", "The scanner could not be told that the job is over: \(error)")
            }
            scanner.pages.turns.giveBack()
        }
        await lookAtFeeder()
        finish(record.end ?? ScanEnd(reason: .failed, message: "The scan failed.", pages: record.whole, damaged: record.damaged))
    }

    /// Some scanners call it a jam when the feeder is through. A jam is one still when the job is
    /// over, or there is paper left.
    private func lookAtFeeder() async {
        guard var end = record.end, end.reason == .jam, await statusNow()?.feeder == .empty else { return }
        (end.reason, end.message) = end.pages > 0 ? (.done, "The feeder is done.") : (.empty, "There is no paper in the feeder.")
        record.end = end
    }
}
