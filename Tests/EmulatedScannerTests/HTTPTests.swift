// The web service speaks HTTP/1.1, and says no to what is none.

import Testing

@testable import EmulatedScanner

@Suite struct HTTPTests {
    static func request(_ lines: String..., body: String = "") -> String { lines.map { $0 + "\r\n" }.joined() + "\r\n" + body }

    static let refused: [(String, Int)] = [
        (request("GET /nothing HTTP/1.1", "Host: a"), 404),
        (request("DELETE /eSCL/ScannerStatus HTTP/1.1", "Host: a"), 405),
        (request("GET /eSCL/ScanJobs HTTP/1.1", "Host: a"), 405),
        (request("GET /eSCL/ScannerStatus HTTP/1.1"), 400),
        (request("GET /eSCL/ScannerStatus HTTP/2.0", "Host: a"), 505),
        (request("GET  /eSCL/ScannerStatus HTTP/1.1", "Host: a"), 400),
        (request("G(T /eSCL/ScannerStatus HTTP/1.1", "Host: a"), 400),
        (request("GET /eSCL/ScannerStatus HTTP/1.1", "Host: a", "no colon"), 400),
        (request("GET /eSCL/ScannerStatus HTTP/1.1", "Host: a", "Long: \(String(repeating: "x", count: 17_000))"), 431),
        ("GET /" + String(repeating: "x", count: 9000), 414),
        (request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a"), 411),
        (request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a", "Content-Length: -1"), 400),
        (request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a", "Content-Length: +1"), 400),
        (request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a", "Content-Length: 999999999999"), 413),
        (request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a", "Transfer-Encoding: gzip"), 501),
        (request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body: "zz\r\n"), 400),
        (request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body: "1\r\nxy\r\n"), 400),
        (request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 1", body: "x"), 400),
    ]

    @Test(arguments: refused)
    func whatIsWrongIsSaidAndTheNextRequestIsAnswered(request: String, status: Int) throws {
        let bus = try ScannerBus()
        bus.write(request)
        #expect(try bus.answer().status == status)
        #expect(try bus.ask("GET", "/eSCL/ScannerCapabilities").status == 200)
    }

    @Test func requestsComeInAnyPieces() throws {
        let bus = try ScannerBus()
        for byte in ScannerBus.request("POST", "/eSCL/ScanJobs", body: ScannerBus.settings()).utf8 { bus.write([byte]) }
        #expect(try bus.answer().status == 201)
    }

    @Test func aBodyInChunksIsRead() throws {
        let bus = try ScannerBus()
        let settings = ScannerBus.settings()
        let half = settings.utf8.count / 2
        let (first, second) = (settings.utf8.prefix(half), settings.utf8.dropFirst(half))
        bus.write(Self.request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"))
        bus.write("\(String(half, radix: 16));x=y\r\n\(String(decoding: first, as: UTF8.self))\r\n")
        bus.write("\(String(second.count, radix: 16))\r\n\(String(decoding: second, as: UTF8.self))\r\n0\r\nTrailer: x\r\n\r\n")
        #expect(try bus.answer().status == 201)
    }

    @Test func requestsBehindOneAnotherAreAnsweredInTurn() throws {
        let bus = try ScannerBus()
        bus.write(ScannerBus.request("GET", "/eSCL/ScannerStatus") + ScannerBus.request("GET", "/nothing"))
        #expect(try bus.answer().text.contains("ScannerStatus"))
        #expect(try bus.answer().status == 404)
    }

    @Test func pairsAnswerEachByItself() throws {
        let bus = try ScannerBus()
        let job = try bus.open()
        bus.write(ScannerBus.request("GET", "\(job)/NextDocument"))
        _ = try bus.transfer()
        #expect(try bus.status(2).contains("ScannerAdfProcessing"))
    }

    @Test func whoExpects100GetsItBeforeTheBody() throws {
        let bus = try ScannerBus()
        let settings = ScannerBus.settings()
        bus.write(Self.request("POST /eSCL/ScanJobs HTTP/1.1", "Host: a", "Content-Length: \(settings.utf8.count)", "Expect: 100-continue"))
        #expect(try bus.answer().status == 100)
        bus.write(settings)
        #expect(try bus.answer().status == 201)
    }

    @Test func headHasNoBody() throws {
        let bus = try ScannerBus()
        #expect(try bus.ask("HEAD", "/eSCL/ScannerCapabilities").status == 200)
        #expect(try bus.ask("GET", "http://scanner/eSCL/ScannerStatus?a=b").text.contains("ScannerStatus"))
    }

    @Test func aFullPacketIsFollowedByAnEmptyOneOrByNothing() throws {
        for sends in [true, false] {
            // An answer whose every piece is a full packet: stale bytes.
            let bus = try ScannerBus("stale@1024") { $0.sendsEmptyPackets = sends }
            if sends {
                #expect(try bus.transfer().count == 1024)
            } else {
                // Nothing ends the transfer before it is full.
                bus.patience = 1
                #expect(throws: PipeFailure.silence) { try bus.transfer() }
            }
        }
    }

    @Test func whatIsPrintedIsTakenAtItsPace() throws {
        let bus = try ScannerBus { $0.pace.printBytesPerSecond = 1000 }
        let out = ScannerInterface.out(0)
        #expect(bus.scanner.takesOut(endpoint: out, now: 5) == nil)
        let bytes = [UInt8](repeating: 0x0d, count: 500)
        _ = bytes.withUnsafeBytes { bus.scanner.dataOut(endpoint: out, now: 5, data: $0) }
        #expect(bus.scanner.takesOut(endpoint: out, now: 5) == 500_000_005)
        #expect(bus.scanner.takesOut(endpoint: ScannerInterface.out(1), now: 5) == nil, "each interface by itself")
        #expect(bus.scanner.takesOut(endpoint: out, now: 500_000_005) == nil)
    }

    @Test func theInputIsBoundedWhileAnAnswerWaits() throws {
        let bus = try ScannerBus()
        bus.write(ScannerBus.request("GET", "/eSCL/ScannerStatus"))
        let out = ScannerInterface.out(0)
        #expect(bus.scanner.takesOut(endpoint: out, now: 5) == nil)
        bus.write([UInt8](repeating: 0x0d, count: 16 << 10))
        #expect(bus.scanner.takesOut(endpoint: out, now: 5) != nil)
        _ = try bus.answer()
        #expect(bus.scanner.takesOut(endpoint: out, now: 5) == nil)
    }

    @Test func thePrinterHalfDescribesItself() throws {
        let bus = try ScannerBus()
        // IPP 2.0, Get-Printer-Attributes, request 7; the operation's attributes; the end.
        let message: [UInt8] = [2, 0, 0x00, 0x0b, 0, 0, 0, 7, 0x01, 0x03]
        let head = Self.request("POST /ipp/print HTTP/1.1", "Host: a", "Content-Type: application/ipp", "Content-Length: \(message.count)")
        bus.write(Array(head.utf8) + message)
        let answer = try bus.answer()
        #expect(answer.status == 200 && answer.fields["content-type"] == "application/ipp")
        // Version 2.0, successful-ok, request 7; the operation's group first.
        #expect(answer.body.starts(with: [2, 0, 0, 0, 0, 0, 0, 7, 1]) && answer.body.last == 3)
        for name in ["printer-make-and-model", "document-format-supported", "image/pwg-raster", "printer-uuid", "media-col-database"] {
            #expect(answer.text.contains(name), "\(name)")
        }
        let unknown: [UInt8] = [1, 1, 0x40, 0x00, 0, 0, 0, 8, 0x01, 0x03]
        bus.write(Array(head.utf8) + unknown)
        #expect(try bus.answer().body.starts(with: [1, 1, 0x05, 0x01, 0, 0, 0, 8]))
    }
}
