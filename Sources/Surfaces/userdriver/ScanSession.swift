// A scan at work: pages into files, one after the other, and how it ended.

import Glibc
import Pictures
import ScannerClient
import UserDriverClient
import Wire

struct ScanSession {
    /// What is said of a page.
    private struct PageFacts: Encodable {
        var page: Int
        var sheet: Int
        var side: String
        var bytes: Int
        var sha256: String?
        var resumed: Bool
        var file: String?
        var problem: String?
    }

    private struct EndFacts: Encodable {
        var end: ScanEnd
        var job: String
    }

    private let job: DeviceJob
    private let destination: ScanDestination
    private let path: String
    private let json: OutputOptions?
    private var book = PDFBook()
    /// The book's bytes so far; or a page that is a PDF already, where the scanner makes nothing else.
    private var document: [UInt8] = []
    /// Pages of the book: kept until it is on the disk.
    private var kept: [UInt64] = []
    /// Whole pages that were written.
    private var written = 0

    init(job: DeviceJob, destination: ScanDestination, path: String, json: OutputOptions?) {
        self.job = job
        self.destination = destination
        self.path = path
        self.json = json
    }

    mutating func run(_ events: ScanEvents) async throws {
        defer { Terminal.endProgress() }
        var end: ScanEnd?
        do {
            for try await event in events {
                switch event {
                case .started(let words): Terminal.showProgress("Scanning: \(words)")
                case .waiting(let why): Terminal.showProgress(why)
                case .coming(let page): Terminal.showProgress(Self.progress(page))
                case .interrupted(let why): Terminal.showProgress(why)
                case .page(let page): try await take(page)
                case .ended(let found): end = found
                }
            }
            try await finish()
        } catch {
            Terminal.endProgress()
            throw Self.withJob(error, job)
        }
        Terminal.endProgress()
        try judge(end ?? ScanEnd(reason: .failed, message: "The scan ended without saying how.", pages: 0))
    }

    private static func progress(_ page: ScanPage) -> String {
        let side = page.side == .back ? ", back" : ""
        return "Page \(page.page) (sheet \(page.sheet)\(side)): \(Figure.bytes(Double(page.bytes)))"
    }

    /// Pages that are kept can be had later.
    private static func withJob(_ error: any Error, _ job: DeviceJob) -> any Error {
        guard let error = error as? OutputError else { return error }
        return CommandFailure(
            "\(error) The page is kept: `userdriver scan --job \(job.token) -o FILE` fetches it.",
            status: ExitStatus.status(for: error))
    }

    // MARK: Pages

    private mutating func take(_ page: ScannedPage) async throws {
        guard page.isWhole else {
            try say(page, file: nil)
            if json == nil { Terminal.note("Sheet \(page.sheet): \(page.object.reason ?? "it is incomplete").") }
            return try await job.acknowledge(page.object.id)
        }
        let bytes = try await job.open(page.object.id).bytes()
        switch destination {
        case .numbered, .single:
            guard let file = destination.path(of: page.number) else { return }
            try WholeFile.write(
                try PageContent.converted(bytes, of: page.format, to: destination.format, resolution: page.resolution), to: file,
                isDurable: true)
            try say(page, file: file)
            try await job.acknowledge(page.object.id)
            written += 1
        case .standardOutput(let format):
            let content = try PageContent.converted(bytes, of: page.format, to: format, resolution: page.resolution)
            let failed = content.withUnsafeBytes { Terminal.writeAll($0, to: STDOUT_FILENO) }
            guard failed == 0 else { throw OutputError(number: failed) }
            try await job.acknowledge(page.object.id)
            written += 1
        case .book:
            let isDocument = page.format == PageFileFormat.pdf.mediaType
            guard document.isEmpty || !isDocument && book.pageCount > 0 else {
                throw CommandFailure(
                    "The scanner sends a PDF for each page, and they can't be joined here: number them, as in page-%d.pdf.")
            }
            document +=
                isDocument ? bytes : try book.page(jpeg: try PageContent.jpeg(bytes, of: page.format), resolution: page.resolution ?? 300)
            kept.append(page.object.id)
            try say(page, file: path)
        }
    }

    private func say(_ page: ScannedPage, file: String?) throws {
        let facts = PageFacts(
            page: page.number, sheet: page.sheet, side: page.side.rawValue, bytes: page.object.length, sha256: page.object.sha256,
            resumed: page.resumed, file: file, problem: page.isWhole ? nil : page.object.reason ?? "it is incomplete")
        if json != nil {
            try Terminal.print(PlainText.escaped(String(decoding: try JSON.encode(facts), as: UTF8.self)), styled: true)
        } else if let file, Terminal.isTerminal(STDERR_FILENO) {
            Terminal.note("\(file): page \(page.number), \(Figure.bytes(Double(page.object.length)))")
        }
    }

    /// The book, whole; then its pages are let go of.
    private mutating func finish() async throws {
        guard case .book(let path) = destination, !kept.isEmpty else { return }
        if book.pageCount > 0 { document += book.end() }
        try WholeFile.write(document, to: path, isDurable: true)
        for id in kept { try await job.acknowledge(id) }
    }

    // MARK: The end

    private func judge(_ end: ScanEnd) throws {
        if json != nil {
            let text = String(decoding: try JSON.encode(EndFacts(end: end, job: job.token)), as: UTF8.self)
            try Terminal.print(PlainText.escaped(text), styled: true)
        }
        guard !end.isComplete else { return }
        // Whoever wanted one page has it, whatever became of the scan since.
        if destination.isForOnePage, written == 1, end.damaged.isEmpty, end.lost == nil, end.reason != .cancelled {
            return Terminal.note("\(end.message) The page is whole.")
        }
        var message = end.message
        if !end.damaged.isEmpty {
            let sheets = end.damaged.map(String.init).joined(separator: ", ")
            message +=
                end.damaged.count == 1 ? " Sheet \(sheets) was not scanned completely." : " Sheets \(sheets) were not scanned completely."
        }
        if end.pages > 0, end.reason != .done { message += " \(Figure.count(end.pages, "page is", "pages are")) whole." }
        throw CommandFailure(message)
    }
}
