// Faults happen where they were asked for.

import CLinux
import Pictures
import Testing
import Threads
import USB
import USBEmulation

@testable import EmulatedScanner

@Suite struct FaultTests {
    @Test func textBecomesFaultsAndBack() throws {
        let text = "jam@3,cover-open,cover-open@2,cut@1,stall@20000,busy,busy@2,not-ready@3,location-https,gzip,stale@100"
        #expect(try ScannerFaults(parsing: text).description == text)
        #expect(try ScannerFaults(parsing: " ").description == "")
    }

    @Test(arguments: ["explode", "jam", "jam@", "jam@x", "jam@0", "jam@-1", "gzip@2", ",", "stall@5@6"])
    func badTextIsAnErrorThatListsWhatExists(text: String) {
        #expect { try ScannerFaults(parsing: text) } throws: { error in
            "\(error)".contains("jam@K") && "\(error)".contains("location-missing") && "\(error)".contains("busy[@N]")
        }
    }

    @Test func aJamKeepsTheSheetUntilTheJobHasEnded() throws {
        let bus = try ScannerBus("jam@2") { $0.sheets = 2 }
        let job = try bus.open()
        #expect(try bus.next(job).status == 200)
        #expect(try bus.next(job).status == 409)
        #expect(try bus.status().contains("ScannerAdfJam"))
        #expect(try bus.next(job).status == 409)
        #expect(try bus.ask("DELETE", job).status == 200)
        #expect(try bus.status().contains("ScannerAdfLoaded"))
        let again = try bus.open()
        #expect(PageStamp.read(try Picture(jpeg: try bus.next(again).body))?.sheet == 2)
    }

    @Test func anOpenCoverIsSaid() throws {
        let always = try ScannerBus("cover-open")
        #expect(try always.ask("POST", "/eSCL/ScanJobs", body: ScannerBus.settings()).status == 409)
        #expect(try always.status().contains("ScannerAdfDoorOpen"))
        let once = try ScannerBus("cover-open@1")
        let job = try once.open()
        #expect(try once.next(job).status == 409)
        #expect(try once.status().contains("<pwg:State>Stopped</pwg:State>"))
    }

    @Test(arguments: EmulatedScannerOptions.Framing.allCases)
    func aCutPictureComesInGoodForm(framing: EmulatedScannerOptions.Framing) throws {
        let bus = try ScannerBus("cut@1") { $0.framing = framing }
        let page = try bus.next(try bus.open())
        let whole = try EmulatedScanner.page(sheet: 1, job: 1, settings: ScannerBus.plain)
        #expect(page.status == 200 && page.body == Array(whole[..<(whole.count - whole.count / 2)]))
        #expect(try bus.status().contains("<pwg:ImagesCompleted>1<"))
    }

    @Test func anEndpointHaltsAtAByteAndGoesOnOnceCleared() throws {
        let bus = try ScannerBus("stall@20000") { $0.framing = .length }
        let job = try bus.open()
        bus.write(ScannerBus.request("GET", "\(job)/NextDocument"))
        var bytes: [UInt8] = []
        #expect(throws: PipeFailure.stall) { while true { bytes += try bus.transfer() } }
        #expect(throws: PipeFailure.stall) { try bus.transfer() }
        let head = try #require(bytes.indices.first { bytes[$0...].starts(with: [13, 10, 13, 10]) }) + 4
        #expect(bytes.count - head == 20_000)
        bus.scanner.haltCleared(endpoint: ScannerInterface.in(0), now: 0)
        let page = try EmulatedScanner.page(sheet: 1, job: 1, settings: ScannerBus.plain)
        while bytes.count - head < page.count { bytes += try bus.transfer() }
        #expect(Array(bytes[head...]) == page)
    }

    @Test func silenceLastsUntilAReset() throws {
        let bus = try ScannerBus("silence@1000")
        let job = try bus.open()
        bus.write(ScannerBus.request("GET", "\(job)/NextDocument"))
        _ = try bus.transfer()
        bus.patience = 1
        #expect(throws: PipeFailure.silence) { while true { _ = try bus.transfer() } }
        guard
            case .silence = bus.scanner.control(
                ControlSetup(requestType: 0xa1, request: 0, value: 0, index: 0, length: 9), data: [], now: 0)
        else { Issue.record("answered"); return }
        #expect(bus.scanner.takesOut(endpoint: ScannerInterface.out(1), now: 0) != nil)
        bus.attach()
        bus.patience = 20_000_000_000
        #expect(PageStamp.read(try Picture(jpeg: try bus.next(job, 1).body))?.sheet == 2)
    }

    @Test(arguments: [("unplug@1000", false), ("replug@1000", true)])
    func theCableIsPulled(fault: String, comesBack: Bool) throws {
        let bus = try ScannerBus(fault)
        let job = try bus.open()
        bus.write(ScannerBus.request("GET", "\(job)/NextDocument"))
        #expect(throws: PipeFailure.unplugged) { while true { _ = try bus.transfer() } }
        guard comesBack else { return }
        let deadline = clinux_monotonic_ns() + 30_000_000_000
        #expect(bus.signal.state.wait(until: deadline) { $0.isPlugged ? true : nil } == true)
    }

    @Test func staleBytesComeBeforeTheFirstAnswer() throws {
        let bus = try ScannerBus("stale@700")
        bus.write(ScannerBus.request("GET", "/eSCL/ScannerStatus"))
        #expect(try bus.transfer().count == 700)
        #expect(try bus.answer().text.contains("ScannerStatus"))
    }

    @Test func itIsBusyAsOftenAsAsked() throws {
        let bus = try ScannerBus("busy@2")
        let statuses = try (0..<3).map { _ in try bus.ask("POST", "/eSCL/ScanJobs", body: ScannerBus.settings()).status }
        #expect(statuses == [503, 503, 201])
        let always = try ScannerBus("busy")
        for _ in 0..<5 { #expect(try always.ask("POST", "/eSCL/ScanJobs", body: ScannerBus.settings()).status == 503) }
    }

    @Test(arguments: [("not-ready@2", 503), ("gone@1", 410), ("early-404@1", 404)])
    func aPageIsNotReadyYet(fault: String, status: Int) throws {
        let bus = try ScannerBus(fault)
        let job = try bus.open()
        #expect(try bus.next(job).status == status)
        if status == 503 { #expect(try bus.next(job).status == status) }
        #expect(PageStamp.read(try Picture(jpeg: try bus.next(job).body))?.sheet == 1)
    }

    @Test func theFeedersEndIsToldAsAJam() throws {
        let bus = try ScannerBus("empty-as-jam") { $0.sheets = 1 }
        let job = try bus.open()
        #expect(try bus.next(job).status == 200)
        #expect(try bus.next(job).status == 409)
        #expect(try bus.status().contains("ScannerAdfJam"))
    }

    @Test(arguments: [
        ("location-host", "http://BR54BFB02C05XK.03f011c2.hpLedmUSB/eSCL/ScanJobs/"),
        ("location-https", "https://localhost/eSCL/ScanJobs/"),
        ("location-relative", "ScanJobs/"), ("", "http://localhost/eSCL/ScanJobs/"),
    ])
    func locationIsWhatFirmwareMakesOfIt(fault: String, prefix: String) throws {
        let bus = try ScannerBus(fault)
        let answer = try bus.ask("POST", "/eSCL/ScanJobs", body: ScannerBus.settings())
        #expect(answer.status == 201 && answer.fields["location"]?.hasPrefix(prefix) == true)
    }

    @Test func aMissingLocationIsFoundInTheStatus() throws {
        let bus = try ScannerBus("location-missing")
        let answer = try bus.ask("POST", "/eSCL/ScanJobs", body: ScannerBus.settings())
        #expect(answer.status == 201 && answer.fields["location"] == nil)
        let elements = XMLElements.read(Array(try bus.status().utf8))
        let uri = try #require(elements.first { $0.name == "JobUri" }).text
        #expect(try bus.next(uri).status == 200)
    }

    @Test func capabilitiesComeCompressed() throws {
        let bus = try ScannerBus("gzip")
        let answer = try bus.ask("GET", "/eSCL/ScannerCapabilities")
        #expect(answer.fields["content-encoding"] == "gzip" && answer.body.starts(with: [0x1f, 0x8b, 8]))
        let plain = try ScannerBus().ask("GET", "/eSCL/ScannerCapabilities").body
        // The last word is the length of what was compressed.
        #expect(answer.body.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) } == plain.count)
    }

    @Test func textsDifferAsFirmwareDiffers() throws {
        let prefixes = try ScannerBus("prefixes").ask("GET", "/eSCL/ScannerCapabilities").text
        #expect(prefixes.contains("<ScannerCapabilities xmlns=") && prefixes.contains("<sm9:Version>") && !prefixes.contains("scan:"))
        let range = try ScannerBus("resolution-range").ask("GET", "/eSCL/ScannerCapabilities").text
        #expect(range.contains("<scan:ResolutionRange>") && !range.contains("DiscreteResolution"))
        #expect(try ScannerBus("doctype").status().contains("<!DOCTYPE"))
    }

    @Test func a201ComesInOtherForms() throws {
        let bus = try ScannerBus("continue-first,created-without-length")
        bus.write(ScannerBus.request("POST", "/eSCL/ScanJobs", body: ScannerBus.settings()))
        #expect(try bus.answer().status == 100)
        let answer = try bus.answer()
        #expect(answer.status == 201 && answer.fields["content-length"] == nil && answer.fields["transfer-encoding"] == nil)
        #expect(try bus.status().contains("Processing"))
    }

    @Test func chunksEndWithoutTheirLastLine() throws {
        let bus = try ScannerBus("no-last-line")
        #expect(try bus.ask("GET", "/eSCL/ScannerStatus", lastLine: false).text.contains("ScannerStatus"))
        #expect(try bus.ask("GET", "/eSCL/ScannerStatus", lastLine: false).text.contains("ScannerStatus"))
    }

    @Test func aJPEGComesAsPNG() throws {
        let bus = try ScannerBus("jpeg-for-png")
        let page = try bus.next(try bus.open(ScannerBus.settings(format: "image/png")))
        #expect(page.fields["content-type"] == "image/png" && page.body.starts(with: [0xff, 0xd8]))
    }
}
