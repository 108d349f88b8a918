// Fuzzes what scanners say: HTTP responses, eSCL's documents, pages, device identifiers.

import ESCL
import IPPUSB
import USB

/// The first byte says how large the pieces are in which the rest comes. In pieces it is what it is
/// in one; and a parser that goes on where another stopped says what that would have said.
enum ResponseFuzz: FuzzTarget {
    static let name = "http-responses"
    static let seeds: [[UInt8]] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 404 No\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nLocation: /eSCL/ScanJobs/1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;x=y\nhello\n1\n!\n0\nA: b\n\n", "old bytesHTTP/1.1 200 OK\r\n\r\nunframed",
    ].map { [3] + Array($0.utf8) }

    private struct Reading: Equatable {
        var status: Int?
        var body: [UInt8] = []
        var isOver = false
        var error: HTTPSyntaxError?
    }

    static func run(_ bytes: [UInt8]) {
        let rest = Array(bytes.dropFirst())
        let whole = read(rest, piece: rest.count, goesOn: false)
        precondition(read(rest, piece: Int(bytes.first ?? 1), goesOn: false) == whole, "pieces change what it says")
        precondition(read(rest, piece: Int(bytes.first ?? 1), goesOn: true) == whole, "a parser that goes on says something else")
    }

    private static func read(_ bytes: [UInt8], piece: Int, goesOn: Bool) -> Reading {
        var parser = HTTPResponseParser()
        var reading = Reading()
        var start = 0
        do throws(HTTPSyntaxError) {
            while start < bytes.count, !parser.isOver {
                let part = Array(bytes[start...].prefix(max(piece, 1)))
                start += part.count
                var position = 0
                while let event = try parser.next(in: part, at: &position) {
                    if case .body(let range) = event { reading.body += part[range] }
                }
                if goesOn, let checkpoint = parser.checkpoint { parser = try HTTPResponseParser(checkpoint: checkpoint) }
            }
        } catch {
            reading.error = error
        }
        (reading.status, reading.isOver) = (parser.status, parser.isOver)
        precondition(parser.bodyLength == UInt64(reading.body.count), "the body's bytes are counted")
        return reading
    }
}

/// A document of a scanner's, as each of those that it can be; and a page's bytes.
enum ESCLFuzz: FuzzTarget {
    static let name = "escl"
    static let seeds: [[UInt8]] =
        [
            """
            <?xml version="1.0"?><!DOCTYPE x><s:ScannerCapabilities xmlns:s="a" xmlns:p="b"><p:Version>2.6</p:Version><p:MakeAndModel>x</p:MakeAndModel>\
            <s:Platen><s:PlatenInputCaps><s:MaxWidth>2550</s:MaxWidth><s:SettingProfiles><s:SettingProfile><s:ColorMode>RGB24</s:ColorMode>\
            <s:DocumentFormatExt>image/jpeg</s:DocumentFormatExt><s:DiscreteResolution><s:XResolution>300</s:XResolution><s:YResolution>300</s:YResolution>\
            </s:DiscreteResolution></s:SettingProfile></s:SettingProfiles></s:PlatenInputCaps></s:Platen></s:ScannerCapabilities>
            """,
            """
            <s:ScannerCapabilities xmlns:s="a"><s:Adf><s:AdfDuplexInputCaps><s:SettingProfiles><s:SettingProfile><s:ResolutionRange><s:XResolutionRange>\
            <s:Min>75</s:Min><s:Max>600</s:Max><s:Step>1</s:Step></s:XResolutionRange></s:ResolutionRange></s:SettingProfile></s:SettingProfiles>\
            </s:AdfDuplexInputCaps></s:Adf></s:ScannerCapabilities>
            """,
            """
            <s:ScannerStatus xmlns:s="a"><s:State>Idle</s:State><s:AdfState>ScannerAdfJam</s:AdfState><s:Jobs><s:JobInfo>\
            <s:JobUri>http://h/eSCL/ScanJobs/1</s:JobUri><s:JobState>Processing</s:JobState><s:ImagesToTransfer>1</s:ImagesToTransfer></s:JobInfo></s:Jobs>\
            </s:ScannerStatus>
            """,
        ].map { Array($0.utf8) } + [[0xff, 0xd8, 0xff, 0xe0, 1, 2, 3, 4, 5, 0xff, 0xd9], Array("%PDF-1.4\n\n%%EOF\n".utf8)]

    static func run(_ bytes: [UInt8]) {
        do {
            let capabilities = try ESCLCapabilities(parsing: bytes)
            for source in ESCLSource.allCases {
                guard let settings = ESCLSettings(capabilities, source: source, resolution: 333) else { continue }
                let document = try XMLElement(parsing: settings.document)
                precondition(document["XResolution"]?.number == settings.resolution, "what is asked for is what was chosen")
                precondition(settings.width > 0 && settings.height > 0 && settings.x >= 0 && settings.y >= 0, "a region lies within")
                _ = capabilities.sources[source]?.resolutions.shown
            }
        } catch {
            precondition(!"\(error)".isEmpty, "an error says what is wrong")
        }
        do {
            let status = try ESCLStatus(parsing: bytes)
            for job in status.jobs { precondition(job.path.map(HTTPRequest.isPath) ?? true, "a job's path is one that can be asked for") }
            for http in [200, 404, 409, 503] {
                _ = ESCLVerdict(fetching: http, status, job: status.jobs.first?.path ?? "/x", fromFeeder: true, pages: 1)
                _ = ESCLVerdict(creating: http, status, fromFeeder: true)
            }
        } catch {
            precondition(!"\(error)".isEmpty, "an error says what is wrong")
        }
        pages(bytes)
        _ = DeviceIdentifier(parsing: bytes).model
        if let decoded = ContentDecoding.decoded(bytes, most: 1 << 16) {
            precondition(decoded.count <= max(bytes.count, 1 << 16), "bounded")
        }
        if let path = ESCLPath.path(of: String(decoding: bytes, as: UTF8.self), root: ESCLPath.root) {
            precondition(HTTPRequest.isPath(path), "a path is one that can be asked for")
        }
    }

    private static func pages(_ bytes: [UInt8]) {
        var whole = PageContents()
        whole.take(bytes[...])
        var parts = PageContents()
        for start in stride(from: 0, to: bytes.count, by: 3) {
            parts.take(bytes[start..<min(start + 3, bytes.count)])
            guard let kept = PageContents(checkpoint: parts.checkpoint) else { preconditionFailure("its own state is refused") }
            parts = kept
        }
        precondition(whole.defect == parts.defect && whole.length == parts.length, "pieces change what a page is")
        if let odd = PageContents(checkpoint: bytes) { _ = odd.defect }
        do throws(HTTPSyntaxError) { _ = try HTTPResponseParser(checkpoint: bytes) } catch {
            precondition(error == .checkpoint, "an error says what is wrong")
        }
    }
}
