// What the endpoint says, read back by the parser that reads what scanners say.

import ESCL
import HTTPServer
import ScannerClient
import Testing

@testable import ESCLEndpoint

@Suite struct TextTests {
    @Test func `capabilities are those of the scanner`() throws {
        let text = EndpointText.capabilities(SettingsTests.scanner, identity: EndpointIdentity.text(of: "a"))
        let read = try ESCLCapabilities(parsing: Array(text.utf8))
        #expect(read.model == "Scanner & Sons" && read.serialNumber == "1")
        #expect(Set(read.sources.keys) == [.platen, .feeder, .duplex])
        let platen = try #require(read.sources[.platen])
        #expect(platen.maximumWidth == 2550 && platen.maximumHeight == 3508)
        #expect(Set(platen.colorModes) == [.color, .gray] && platen.formats == ["image/jpeg", "image/png"])
        #expect(platen.resolutions == .list([75, 300]))
        #expect(read.sources[.feeder]?.colorModes == [.color])
    }

    @Test func `a name that is no text for XML is made one`() throws {
        var scanner = SettingsTests.scanner
        scanner.name = "<a>\u{1}&\u{ffff}]]>"
        let text = EndpointText.capabilities(scanner, identity: "x")
        #expect(try ESCLCapabilities(parsing: Array(text.utf8)).model == "<a>&]]>")
    }

    @Test func `the status has state, feeder and jobs`() throws {
        let job = EndpointText.Job(
            token: String(repeating: "a", count: 32), state: "Processing", reason: "JobScanning", age: 3, completed: 1, waiting: 1)
        let text = EndpointText.status(state: "Processing", feeder: "ScannerAdfLoaded", jobs: [job])
        let read = try ESCLStatus(parsing: Array(text.utf8))
        #expect(read.state == .processing && read.feeder == .loaded)
        #expect(read.jobs.map(\.path) == ["/eSCL/ScanJobs/\(job.token)"] && read.jobs.first?.imagesToTransfer == 1)
    }

    @Test func `there are five paths, and no others`() {
        let token = "0123456789abcdef0123456789abcdef"
        #expect(EndpointPath("/eSCL/ScannerCapabilities") == .capabilities && EndpointPath("/eSCL/ScannerStatus") == .status)
        #expect(EndpointPath("/eSCL/ScanJobs") == .jobs && EndpointPath("/eSCL/ScanJobs/\(token)") == .job(token: token))
        #expect(EndpointPath("/eSCL/ScanJobs/\(token)/NextDocument") == .nextDocument(token: token))
        for path in [
            "", "/", "/eSCL", "/eSCL/",
            "//eSCL/ScannerStatus", "/eSCL//ScannerStatus", "/eSCL/ScannerStatus/", "/eSCL/../eSCL/ScannerStatus",
            "/eSCL/ScanJobs/", "/eSCL/ScanJobs/..", "/eSCL/ScanJobs/\(token.uppercased())", "/eSCL/ScanJobs/\(token)x",
            "/eSCL/ScanJobs/\(token)/../NextDocument", "/escl/ScannerStatus", "/eSCL/ScanJobs/\(token)/NextDocument/1",
        ] { #expect(EndpointPath(path) == nil, "\(path)") }
    }

    @Test func `browsers and other names are refused`() {
        func refusal(_ headers: [String: String]) -> UInt32? {
            var request = HTTPRequest(method: "GET", path: "/")
            request.headers = headers
            return ScannerEndpoint.refusal(request)?.status
        }
        for host in ["127.0.0.1", "127.0.0.1:8740", "localhost:8740", "LOCALHOST", "[::1]:8740"] {
            #expect(refusal(["host": host]) == nil, "\(host)")
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "evil.example:8740", "[::2]", ""] {
            #expect(refusal(["host": host]) == 421, "\(host)")
        }
        #expect(refusal([:]) == 421)
        #expect(refusal(["host": "127.0.0.1", "origin": "http://127.0.0.1"]) == 403)
        #expect(refusal(["host": "127.0.0.1", "sec-fetch-site": "none"]) == 403)
    }

    @Test func `each end has the status that clients know it by`() {
        func status(_ reason: ScanEnd.Reason) -> UInt32 { ScannerEndpoint.ended(ScanEnd(reason: reason, message: "m", pages: 1)).status }
        #expect(status(.done) == 404 && status(.empty) == 404 && status(.jam) == 409 && status(.coverOpen) == 409)
        #expect(status(.busy) == 503 && status(.cancelled) == 410 && status(.failed) == 500 && status(.interrupted) == 500)
    }
}
