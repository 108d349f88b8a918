// Pages come as they are asked for, each sheet once.

import Pictures
import Testing

@testable import EmulatedScanner

@Suite struct ScanTests {
    @Test(arguments: EmulatedScannerOptions.Framing.allCases, [true, false])
    func theFeederGivesEachSheetOnceAndEndsWith404(framing: EmulatedScannerOptions.Framing, odd: Bool) throws {
        let bus = try ScannerBus {
            $0.sheets = 3
            $0.framing = framing
            $0.splitsOddly = odd
        }
        let job = try bus.open()
        for sheet in 1...3 {
            let page = try bus.next(job)
            #expect(page.status == 200)
            #expect(page.fields["content-type"] == "image/jpeg")
            #expect(page.body == (try EmulatedScanner.page(sheet: sheet, job: 1, settings: ScannerBus.plain)))
        }
        #expect(try bus.next(job).status == 404)
        #expect(bus.scanner.sheetsLeft == 0 && bus.scanner.openJobs == 0)
        #expect(bus.scanner.scannedPages.map(\.isWhole) == [true, true, true])
        #expect(try bus.status().contains("<scan:AdfState>ScannerAdfEmpty</scan:AdfState>"))
        // Nothing is left to be fed.
        #expect(try bus.ask("POST", "/eSCL/ScanJobs", body: ScannerBus.settings()).status == 409)
        bus.scanner.load(sheets: 1)
        let again = try bus.open()
        let picture = try Picture(jpeg: try bus.next(again).body)
        let stamp = try #require(PageStamp.read(picture))
        #expect(stamp.sheet == 4 && stamp.job == 2)
    }

    @Test func aFeederThatIsFilledAgainHasNewSheets() throws {
        let bus = try ScannerBus {
            $0.sheets = 1
            $0.reloads = true
        }
        for sheet in 1...2 {
            let job = try bus.open()
            #expect(PageStamp.read(try Picture(jpeg: try bus.next(job).body))?.sheet == sheet)
            #expect(try bus.next(job).status == 404)
        }
    }

    @Test func duplexGivesFrontAndBack() throws {
        let bus = try ScannerBus { $0.sheets = 2 }
        let job = try bus.open(ScannerBus.settings(duplex: true))
        var stamps: [PageStamp] = []
        while case let page = try bus.next(job), page.status == 200 {
            stamps.append(try #require(PageStamp.read(try Picture(jpeg: page.body))))
        }
        #expect(stamps.map(\.sheet) == [1, 1, 2, 2])
        #expect(stamps.map(\.side) == [.front, .back, .front, .back])
    }

    @Test func thePlatenGivesOnePage() throws {
        let bus = try ScannerBus { $0.sheets = 0 }
        let job = try bus.open(ScannerBus.settings(source: "Platen"))
        let page = try bus.next(job)
        #expect(PageStamp.read(try Picture(jpeg: page.body))?.sheet == 0)
        let information = try bus.ask("GET", "\(job)/ScanImageInfo").text
        #expect(information.contains("<scan:ActualWidth>620</scan:ActualWidth>"))
        #expect(information.contains("<scan:ActualBytesPerLine>1860</scan:ActualBytesPerLine>"))
        #expect(try bus.next(job).status == 404)
        #expect(try bus.ask("DELETE", job).status == 404)
        #expect(bus.scanner.openJobs == 0)
    }

    @Test(
        arguments: ScanSettings.ColourMode.allCases, ScanSettings.Format.allCases)
    func eachFormatAndModeShowsItsSheet(mode: ScanSettings.ColourMode, format: ScanSettings.Format) throws {
        let bus = try ScannerBus()
        let job = try bus.open(ScannerBus.settings(resolution: 100, mode: mode.rawValue, format: format.rawValue))
        let page = try bus.next(job)
        #expect(page.fields["content-type"] == format.rawValue)
        var picture = page.body
        if format == .pdf {
            #expect(picture.starts(with: "%PDF-1.4".utf8) && picture.suffix(6).elementsEqual("%%EOF\n".utf8))
            let start = try #require(picture.indices.first { picture[$0...].starts(with: [0xff, 0xd8, 0xff]) })
            let end = try #require(picture.indices.last { picture[$0...].starts(with: "\nendstream".utf8) })
            picture = Array(picture[start..<end])
        }
        let decoded = try Picture(decoding: picture)
        #expect(decoded.width == 826 && decoded.height == 1169)
        let stamp = try #require(PageStamp.read(decoded))
        #expect(stamp.sheet == 1 && stamp.resolution == 100)
    }

    @Test(arguments: [75, 150, 300, 600])
    func theStampIsReadableAtEachResolution(resolution: Int) throws {
        var settings = ScanSettings()
        settings.resolution = resolution
        // The part of the sheet that has it.
        settings.region = ScanSettings.Region(x: 1300, y: 60, width: 1100, height: 400)
        let picture = try Picture(jpeg: try EmulatedScanner.page(sheet: 123_456, side: .back, job: 77, settings: settings))
        let stamp = try #require(PageStamp.read(picture, x: 1300, y: 60))
        #expect(stamp.sheet == 123_456 && stamp.side == .back && stamp.job == 77 && stamp.resolution == resolution)
        var altered = picture
        altered.pixels = altered.pixels.map { $0 > 128 ? 0 : 255 }
        #expect(PageStamp.read(altered, x: 1300, y: 60) == nil)
    }

    @Test func oneJobAtATime() throws {
        let bus = try ScannerBus()
        let job = try bus.open()
        #expect(try bus.ask("POST", "/eSCL/ScanJobs", body: ScannerBus.settings(), 1).status == 503)
        #expect(try bus.ask("DELETE", job, 1).status == 200)
        #expect(try bus.next(job).status == 409)
        #expect(try bus.ask("POST", "/eSCL/ScanJobs", body: ScannerBus.settings(), 1).status == 201)
    }

    @Test func aJobThatNobodyClosesEndsAfterItsTime() throws {
        let bus = try ScannerBus { $0.jobTimeoutMilliseconds = 0 }
        let job = try bus.open()
        #expect(try bus.status().contains("<pwg:JobState>Aborted</pwg:JobState>"))
        #expect(try bus.next(job).status == 410)
    }

    @Test(arguments: [
        ("<nothing/>", 400), ("", 400), (ScannerBus.settings(resolution: 80), 409), (ScannerBus.settings(source: "Camera"), 409),
        (ScannerBus.settings(format: "image/tiff"), 409), (ScannerBus.settings(mode: "RGB48"), 409),
        (ScannerBus.settings(more: "<x>").replacing("<pwg:Width>2480", with: "<pwg:Width>99999"), 409),
        (ScannerBus.settings().replacing("2480", with: "wide"), 400),
    ])
    func settingsThatItHasNotAreRefused(settings: String, status: Int) throws {
        let bus = try ScannerBus()
        #expect(try bus.ask("POST", "/eSCL/ScanJobs", body: settings).status == status)
        #expect(bus.scanner.openJobs == 0)
    }

    @Test func prefixesAndOrderOfSettingsDoNotMatter() throws {
        let bus = try ScannerBus()
        let settings =
            "<ScanSettings xmlns='x'><YResolution>75</YResolution><a:XResolution xmlns:a='y'> 75 </a:XResolution><InputSource>Feeder</InputSource></ScanSettings>"
        let job = try bus.open(settings)
        #expect(PageStamp.read(try Picture(jpeg: try bus.next(job).body))?.resolution == 75)
    }

    @Test func aSheetThatWasFedAndNotReadIsGone() throws {
        let bus = try ScannerBus { $0.sheets = 3 }
        let job = try bus.open()
        bus.write(ScannerBus.request("GET", "\(job)/NextDocument"))
        _ = try bus.transfer()
        _ = try bus.transfer()
        // The cable is pulled and plugged in again: the pipe is empty, the job is open still.
        bus.attach()
        bus.forget()
        #expect(bus.scanner.sheetsLeft == 2 && bus.scanner.openJobs == 1)
        let page = try bus.next(job)
        #expect(PageStamp.read(try Picture(jpeg: page.body))?.sheet == 2)
        #expect(bus.scanner.scannedPages.map(\.isWhole) == [false, true])
    }

    @Test func whatAHostHasLeftUnreadTheNextOneReadsFirst() throws {
        let bus = try ScannerBus { $0.unreadBytesKept = 20_000 }
        let job = try bus.open()
        bus.write(ScannerBus.request("GET", "\(job)/NextDocument"))
        let head = try bus.transfer() + bus.transfer()
        // That host dies; the next one knows the job from the status, over another pair.
        #expect(try bus.status(1).contains("<pwg:JobState>Processing</pwg:JobState>"))
        #expect(try bus.next(job, 1).status == 503)
        #expect(try bus.ask("DELETE", job, 1).status == 200)
        // The old page's rest comes first, cut, in good form; then what was asked for.
        bus.write(ScannerBus.request("GET", "/eSCL/ScannerStatus"))
        var stale: [UInt8] = []
        while !String(decoding: stale, as: UTF8.self).contains("ScannerStatus") { stale += try bus.transfer() }
        let page = try EmulatedScanner.page(sheet: 1, job: 1, settings: ScannerBus.plain)
        #expect(!stale.starts(with: "HTTP".utf8))
        #expect(head.count + stale.count < page.count)
        #expect(bus.scanner.scannedPages.map(\.isWhole) == [false])
    }

    @Test func aRequestBegunByOneHostIsEndedByTheNext() throws {
        let bus = try ScannerBus()
        bus.write("GET /eSCL/ScannerStatus HTTP/1.1\r\nHost: local")
        bus.write(ScannerBus.request("GET", "/eSCL/ScannerCapabilities"))
        // The new request's first line has become the value of the old one's field.
        let answer = try bus.answer()
        #expect(answer.status == 400 || answer.text.contains("<scan:ScannerStatus"))
    }

    @Test func untilTheLampIsWarmNextDocumentIsRefused() throws {
        var options = EmulatedScannerOptions()
        options.pace.warmUpMilliseconds = 500
        var machine = ScanMachine(options)
        func status(_ method: String, _ path: String, body: String = "", at milliseconds: UInt64) -> Int {
            let request = HTTPRequest(method: method, path: path, body: Array(body.utf8), bodyLength: body.utf8.count)
            guard case .answer(let answer) = machine.handle(request, now: milliseconds * 1_000_000) else { return 200 }
            return answer.status
        }
        #expect(status("POST", "/eSCL/ScanJobs", body: ScannerBus.settings(), at: 1000) == 201)
        let job = "/eSCL/ScanJobs/\(try #require(machine.openJob).name)"
        #expect(status("GET", "\(job)/NextDocument", at: 1499) == 503)
        #expect(ScannerText(options).status(machine, now: 1_499_000_000).contains("<pwg:State>Testing</pwg:State>"))
        #expect(status("GET", "\(job)/NextDocument", at: 1500) == 200)
        #expect(status("DELETE", job, at: 1501) == 200)
        // It is warm still, and cold after a minute.
        #expect(status("POST", "/eSCL/ScanJobs", body: ScannerBus.settings(), at: 1502) == 201)
        let second = "/eSCL/ScanJobs/\(try #require(machine.openJob).name)"
        #expect(status("GET", "\(second)/NextDocument", at: 1503) == 200)
        #expect(status("DELETE", second, at: 1504) == 200)
        #expect(status("POST", "/eSCL/ScanJobs", body: ScannerBus.settings(), at: 62_000) == 201)
        let third = "/eSCL/ScanJobs/\(try #require(machine.openJob).name)"
        #expect(status("GET", "\(third)/NextDocument", at: 62_100) == 503)
    }

    @Test func aPageComesNoFasterThanItIsScanned() throws {
        let bus = try ScannerBus {
            $0.pace.feedMilliseconds = 20
            $0.pace.bytesPerSecond = 1_000_000
        }
        let clock = ContinuousClock()
        let start = clock.now
        let page = try bus.next(try bus.open())
        #expect(page.status == 200)
        #expect(start.duration(to: clock.now) >= .milliseconds(20) + .microseconds(page.body.count))
    }
}
