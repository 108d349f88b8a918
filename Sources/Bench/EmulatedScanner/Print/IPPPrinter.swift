// The printer beside the scanner: enough of IPP Everywhere that a print system takes it for one. What
// is printed is thrown away.

struct IPPPrinter: Sendable {
    static let path = "/ipp/print"
    private let options: EmulatedScannerOptions
    private var jobs = 0

    init(_ options: EmulatedScannerOptions) { self.options = options }

    private enum Operation: UInt16, CaseIterable {
        case printJob = 0x0002
        case validateJob = 0x0004
        case cancelJob = 0x0008
        case getJobAttributes = 0x0009
        case getJobs = 0x000a
        case getPrinterAttributes = 0x000b
    }

    mutating func handle(_ request: HTTPRequest) -> HTTPAnswer {
        guard request.method == "POST" else { return .text(405, [("Allow", "POST")]) }
        guard request["content-type"]?.lowercased() == "application/ipp" else { return .text(415) }
        guard let message = IPPRequest(request.body) else { return .text(400) }
        guard let operation = Operation(rawValue: message.operation) else { return Self.answer(IPPAnswer(message, status: 0x0501)) }
        var answer = IPPAnswer(message, status: 0)
        switch operation {
        case .getPrinterAttributes: describe(&answer)
        case .printJob:
            jobs += 1
            answer.begin(.job)
            answer.add("job-id", .integer(jobs))
            answer.add("job-uri", .uri("\(uri)/\(jobs)"))
            answer.add("job-state", .enumeration(9))
            answer.add("job-state-reasons", .keyword("job-completed-successfully"))
            // So that whoever prints can see that each byte came, once.
            answer.add("job-state-message", .text("\(request.bodyLength) bytes, SHA-256 \(request.digest.text)"))
        case .validateJob, .getJobs: break
        case .cancelJob: answer = IPPAnswer(message, status: 0x0404)
        case .getJobAttributes:
            guard jobs > 0 else { return Self.answer(IPPAnswer(message, status: 0x0406)) }
            answer.begin(.job)
            answer.add("job-id", .integer(jobs))
            answer.add("job-uri", .uri("\(uri)/\(jobs)"))
            answer.add("job-state", .enumeration(9))
            answer.add("job-state-reasons", .keyword("job-completed-successfully"))
        }
        return Self.answer(answer)
    }

    private static func answer(_ answer: IPPAnswer) -> HTTPAnswer {
        var answer = answer
        answer.begin(.end)
        return HTTPAnswer(200, [("Content-Type", "application/ipp")], body: answer.bytes)
    }

    private var uri: String { "ipp://localhost\(Self.path)" }

    private func describe(_ answer: inout IPPAnswer) {
        answer.begin(.printer)
        answer.add("printer-uri-supported", .uri(uri))
        answer.add("uri-authentication-supported", .keyword("none"))
        answer.add("uri-security-supported", .keyword("none"))
        answer.add("printer-name", .name(options.model))
        answer.add("printer-info", .text("\(options.manufacturer) \(options.model)"))
        answer.add("printer-make-and-model", .text("\(options.manufacturer) \(options.model)"))
        answer.add("printer-location", .text(""))
        answer.add("printer-more-info", .uri("http://localhost/"))
        answer.add("printer-uuid", .uri("urn:uuid:\(options.uuid)"))
        answer.add("printer-device-id", .text("MFG:\(options.manufacturer);MDL:\(options.model);CMD:PWGRaster,AppleRaster,PDF,JPEG;"))
        answer.add("printer-state", .enumeration(3))
        answer.add("printer-state-reasons", .keyword("none"))
        answer.add("printer-is-accepting-jobs", .boolean(true))
        answer.add("printer-up-time", .integer(1000))
        answer.add("queued-job-count", .integer(0))
        answer.add("ipp-versions-supported", .keyword("1.1"), .keyword("2.0"))
        answer.add("ipp-features-supported", .keyword("ipp-everywhere"))
        answer.add("operations-supported", Operation.allCases.map { .enumeration(Int($0.rawValue)) })
        answer.add("charset-configured", .charset("utf-8"))
        answer.add("charset-supported", .charset("utf-8"))
        answer.add("natural-language-configured", .language("en"))
        answer.add("generated-natural-language-supported", .language("en"))
        answer.add("pdl-override-supported", .keyword("attempted"))
        answer.add("compression-supported", .keyword("none"))
        answer.add("document-format-default", .mimeType("application/octet-stream"))
        answer.add(
            "document-format-supported",
            ["application/octet-stream", "image/pwg-raster", "image/urf", "application/pdf", "image/jpeg"].map { .mimeType($0) })
        answer.add("color-supported", .boolean(true))
        answer.add("print-color-mode-default", .keyword("color"))
        answer.add("print-color-mode-supported", .keyword("auto"), .keyword("color"), .keyword("monochrome"))
        answer.add("sides-default", .keyword("one-sided"))
        answer.add("sides-supported", .keyword("one-sided"), .keyword("two-sided-long-edge"), .keyword("two-sided-short-edge"))
        answer.add("copies-default", .integer(1))
        answer.add("copies-supported", .range(1, 99))
        answer.add("output-bin-default", .keyword("face-down"))
        answer.add("output-bin-supported", .keyword("face-down"))
        answer.add("print-quality-default", .enumeration(4))
        answer.add("print-quality-supported", .enumeration(3), .enumeration(4), .enumeration(5))
        answer.add("printer-resolution-default", .resolution(300))
        answer.add("printer-resolution-supported", .resolution(300), .resolution(600))
        answer.add("pwg-raster-document-resolution-supported", .resolution(300), .resolution(600))
        answer.add("pwg-raster-document-sheet-back", .keyword("normal"))
        answer.add("pwg-raster-document-type-supported", .keyword("sgray_8"), .keyword("srgb_8"))
        answer.add("urf-supported", ["V1.4", "CP1", "W8", "SRGB24", "RS300-600", "DM1"].map { .keyword($0) })
        describeMedia(&answer)
    }

    private func describeMedia(_ answer: inout IPPAnswer) {
        let media = [("iso_a4_210x297mm", 21_000, 29_700), ("na_letter_8.5x11in", 21_590, 27_940)]
        func size(_ entry: (String, Int, Int)) -> IPPAnswer.Value {
            .collection([("x-dimension", .integer(entry.1)), ("y-dimension", .integer(entry.2))])
        }
        let margins = ["bottom", "left", "right", "top"]
        func column(_ entry: (String, Int, Int)) -> IPPAnswer.Value {
            .collection([("media-size", size(entry))] + margins.map { ("media-\($0)-margin", .integer(423)) })
        }
        answer.add("media-default", .keyword(media[0].0))
        answer.add("media-ready", .keyword(media[0].0))
        answer.add("media-supported", media.map { .keyword($0.0) })
        answer.add("media-size-supported", media.map(size))
        answer.add("media-col-supported", ["media-size"].map { .keyword($0) } + margins.map { .keyword("media-\($0)-margin") })
        answer.add("media-col-default", column(media[0]))
        answer.add("media-col-ready", column(media[0]))
        answer.add("media-col-database", media.map(column))
        for margin in margins { answer.add("media-\(margin)-margin-supported", .integer(423)) }
        answer.add("media-source-supported", .keyword("auto"))
        answer.add("media-type-supported", .keyword("stationery"))
    }
}
