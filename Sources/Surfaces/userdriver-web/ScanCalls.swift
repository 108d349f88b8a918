// What the page asks of scanners, and how.

import HTTPServer
import ScannerClient
import UserDriverClient
import Wire

struct ScanCalls: Sendable {
    private let desks: ScanDesks

    init(client: UserDriverClient) { desks = ScanDesks(client: client) }

    /// What of a query is looked at.
    static let words = ["source", "resolution", "mode", "page", "pages", "save", "besides"]

    private enum Path: String {
        case scanner = "/api/scanner"
        case state = "/api/scanner/state"
        case scan = "/api/scan"
        case cancel = "/api/scan/cancel"
        case remove = "/api/scan/remove"
        case page = "/scan/page"
        case book = "/scan/book.pdf"

        var methods: [String] {
            switch self {
            case .scanner, .state, .page, .book: ["GET"]
            case .scan: ["GET", "POST"]
            case .cancel, .remove: ["POST"]
            }
        }
    }

    /// What a scanner has, and which sheets have room in it.
    private struct Offer: Encodable {
        var capabilities: ScannerCapabilities
        /// By the source's name.
        var papers: [String: [String]]

        init(_ capabilities: ScannerCapabilities) {
            self.capabilities = capabilities
            papers = Dictionary(
                capabilities.sources.map { ($0.source.rawValue, PaperSize.names(fitting: $0.maximum)) },
                uniquingKeysWith: { first, _ in first }
            )
        }
    }

    /// `nil` for other paths.
    func answer(_ request: Request) async -> Answer? {
        guard let path = Path(rawValue: request.path) else { return nil }
        guard path.methods.contains(request.method) else { return .wrongMethod(path.methods) }
        do {
            let desk = try await desks.desk(of: DeviceCalls.device(of: request))
            switch path {
            case .scanner: return .json(Offer(try await desk.capabilities()))
            case .state: return .json(try await desk.scannerState())
            case .scan where request.method == "POST": return try await begin(request, desk)
            case .scan: return .json(try await desk.snapshot(besides: request.query["besides"].flatMap { Int($0) }))
            case .cancel:
                try await desk.cancel()
                return .text(202, "The scan will end as soon as it can.")
            case .remove:
                try await desk.remove(try request.query["page"].map(Self.number))
                return .text(200, "Removed.")
            case .page: return try await page(request, desk)
            case .book: return try await book(desk)
            }
        } catch { return .failure(error) }
    }

    private func begin(_ request: Request, _ desk: ScanDesk) async throws -> Answer {
        try await desk.begin(ScanSettings(request))
        return .text(202, "The scan is starting.")
    }

    private static func number(_ text: String) throws -> UInt64 {
        guard let number = UInt64(text) else { throw WebError("page must be a page's id.") }
        return number
    }

    /// One page; with `save` as a file to keep.
    private func page(_ request: Request, _ desk: ScanDesk) async throws -> Answer {
        guard let id = request.query["page"] else { throw WebError("page is missing.") }
        let (page, object) = try await desk.open(Self.number(id))
        let isSaving = request.query["save"] != nil
        let stream = PieceStream(ObjectPieces(object), length: object.status.length) { isWhole in
            if isWhole, isSaving { Task { await desk.saved([page.id]) } }
        }
        // What a device sends is shown as the picture that it is known to be, or not at all.
        let isShown = !isSaving && (page.format == .jpeg || page.format == .png)
        return Answer(
            200,
            [
                ("Content-Type", page.format?.mediaType ?? "application/octet-stream"),
                ("Content-Disposition", "\(isShown ? "inline" : "attachment"); filename=\"\(page.name)\""),
            ], .stream(stream, length: object.status.length))
    }

    /// All pages in one document, as a file to keep.
    private func book(_ desk: ScanDesk) async throws -> Answer {
        let pages = await desk.wholePages
        guard !pages.isEmpty else { throw WebError("There are no pages.", status: 404) }
        if let other = pages.first(where: { $0.format != .jpeg }) {
            throw WebError("\(other.name) is not a JPEG, so it can't be put into a PDF: save the pages one by one.", status: 409)
        }
        let stream = PieceStream(BookPieces(pages, of: desk), length: nil) { isWhole in
            if isWhole { Task { await desk.saved(pages.map(\.id)) } }
        }
        return Answer(
            200, [("Content-Type", "application/pdf"), ("Content-Disposition", "attachment; filename=\"scan.pdf\"")],
            .stream(stream, length: nil))
    }
}

extension ScanSettings {
    /// What a request asks for, in the words of `userdriver scan`. What the scanner has of it, it says itself.
    init(_ request: Request) throws {
        func word<Value>(_ name: String, _ value: (String) -> Value?, else what: String) throws -> Value? {
            guard let text = request.query[name] else { return nil }
            guard let value = value(text) else { throw WebError("\(name) must be \(what).") }
            return value
        }
        let paper = try word("size", { PaperSize($0) }, else: "the name of a paper size, as in A4, or WxH in millimetres")
        self.init(
            source: try word("source", ScanSource.init, else: ScanSource.allCases.map(\.rawValue).joined(separator: ", ")) ?? .automatic,
            resolution: try word(
                "resolution", { Int($0).flatMap { 1...19_200 ~= $0 ? $0 : nil } }, else: "1 to 19200 dots per inch") ?? 300,
            mode: try word("mode", ScanMode.init, else: ScanMode.allCases.map(\.rawValue).joined(separator: ", ")) ?? .color,
            format: (try word("format", PageFileFormat.init(word:), else: "jpeg, png or pdf") ?? .jpeg).mediaType,
            width: paper?.width, height: paper?.height,
            pages: try word("pages", { Int($0).flatMap { 1...10_000 ~= $0 ? $0 : nil } }, else: "a number from 1 to 10000"))
    }
}
