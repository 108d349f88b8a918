// Scanning under a real supervisor: every page once, whatever dies; what went wrong is said.

import class EmulatedScanner.EmulatedScanner
import struct EmulatedScanner.EmulatedScannerOptions
import struct EmulatedScanner.ScannerFaults
import Glibc
import ScannerClient
import Synchronization
import Testing
import USB
import USBEmulation
import UserDriverClient
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(30))) struct ScannerTests {
    @Test func `sheets of the feeder arrive as the scanner made them`() async throws {
        let bench = try await ScannerBench { $0.sheets = 3 }
        let outcome = try await bench.scan(ScannerBench.feeder)
        #expect(outcome.end?.reason == .done && outcome.end?.pages == 3 && outcome.end?.isComplete == true)
        #expect(outcome.pages.map(\.page.sheet) == [1, 2, 3])
        for (index, page) in outcome.pages.enumerated() {
            #expect(page.bytes == (try ScannerBench.expected(sheet: index + 1)), "sheet \(index + 1)")
        }
        #expect(bench.device.openJobs == 0 && bench.device.sheetsLeft == 0)
        // Another scan follows at once, from the flatbed.
        var settings = ScannerBench.feeder
        settings.source = .flatbed
        let flat = try await bench.scan(settings)
        #expect(flat.end?.reason == .done && flat.pages.count == 1)
        #expect(flat.pages.first?.bytes == (try ScannerBench.expected(sheet: 0, job: 2, isFlat: true)))
        #expect(bench.device.openJobs == 0)
        await bench.stop()
    }

    @Test func `both sides of a sheet are two pages`() async throws {
        let bench = try await ScannerBench { $0.sheets = 2 }
        var settings = ScannerBench.feeder
        settings.source = .feederDuplex
        let outcome = try await bench.scan(settings)
        #expect(outcome.pages.map(\.page.sheet) == [1, 1, 2, 2] && outcome.pages.map(\.page.side) == [.front, .back, .front, .back])
        #expect(outcome.pages[1].bytes == (try ScannerBench.expected(sheet: 1, isBack: true, isDuplex: true)))
        await bench.stop()
    }

    @Test func `no more sheets are taken than were wanted`() async throws {
        let bench = try await ScannerBench { $0.sheets = 3 }
        var settings = ScannerBench.feeder
        settings.pages = 2
        let outcome = try await bench.scan(settings)
        #expect(outcome.end?.reason == .done && outcome.pages.count == 2)
        #expect(bench.device.sheetsLeft == 1 && bench.device.openJobs == 0)
        await bench.stop()
    }

    /// What firmware gets wrong and nobody need notice (FACTS of real devices).
    @Test(arguments: [
        "location-host", "location-https", "location-relative", "location-missing", "gzip", "prefixes", "resolution-range", "not-ready@2",
        "continue-first", "created-without-length", "gone@2", "early-404@2", "no-last-line", "doctype", "empty-as-jam", "stale@165000",
    ]) func `firmware's mistakes are survived`(fault: String) async throws {
        let faults = try ScannerFaults(parsing: fault)
        let bench = try await ScannerBench {
            $0.sheets = 2
            $0.faults = faults
        }
        let outcome = try await bench.scan(ScannerBench.feeder)
        #expect(outcome.end?.isComplete == true, "\(fault): \(outcome.end?.message ?? "no end")")
        #expect(outcome.pages.map(\.bytes) == [try ScannerBench.expected(sheet: 1), try ScannerBench.expected(sheet: 2)], "\(fault)")
        #expect(bench.device.openJobs == 0)
        await bench.stop()
    }

    @Test(arguments: [1, 2, 4], [EmulatedScannerOptions.Layout.shared, .plain, .hollow])
    func `devices of all shapes are driven`(pairs: Int, layout: EmulatedScannerOptions.Layout) async throws {
        let bench = try await ScannerBench {
            $0.sheets = 2
            ($0.pairs, $0.layout) = (pairs, layout)
            ($0.framing, $0.sendsEmptyPackets, $0.splitsOddly) = (.length, pairs != 1, pairs == 2)
        }
        let outcome = try await bench.scan(ScannerBench.feeder)
        #expect(outcome.end?.isComplete == true, "\(outcome.end?.message ?? "no end")")
        #expect(outcome.pages.map(\.bytes) == [try ScannerBench.expected(sheet: 1), try ScannerBench.expected(sheet: 2)])
        await bench.stop()
    }

    @Test(arguments: [
        ("jam@2", ScanEnd.Reason.jam, 1), ("cover-open@2", .coverOpen, 1), ("cut@2", .done, 2), ("stall@5000", .failed, 0),
    ]) func `what went wrong is said`(fault: String, reason: ScanEnd.Reason, pages: Int) async throws {
        let faults = try ScannerFaults(parsing: fault)
        let bench = try await ScannerBench {
            $0.sheets = 3
            $0.faults = faults
        }
        let outcome = try await bench.scan(ScannerBench.feeder)
        #expect(outcome.end?.reason == reason && outcome.end?.pages == pages, "\(fault): \(String(describing: outcome.end))")
        #expect(outcome.end?.isComplete == false)
        if fault == "cut@2" { #expect(outcome.end?.damaged == [2]) }
        #expect(bench.device.openJobs == 0)
        // It can be used again.
        bench.device.load(sheets: 1)
        var settings = ScannerBench.feeder
        settings.pages = 1
        #expect(try await bench.scan(settings).pages.count == 1)
        await bench.stop()
    }

    @Test func `a quirk holds for the models that it is listed for`() async throws {
        func bench(_ set: String) async throws -> ScannerBench {
            try await ScannerBench(quirks: "  - {match: {device: \"1209\"}, set: {\(set)}, reason: a test, source: this}\n") {
                $0.sheets = 2
            }
        }
        let limited = try await bench("up-to-300-dpi: [\"Nothing\", \"UserDriver Emulated *\"]")
        #expect(try await limited.scanner.capabilities().sources.allSatisfy { $0.resolutions.max() == 300 })
        await limited.stop()
        let other = try await bench("up-to-300-dpi: [\"Emulated\"], ends-jobs-itself: [\"*\"], rest-between-pages: [\"emulated scanner\"]")
        #expect(try await other.scanner.capabilities().sources.allSatisfy { $0.resolutions.max() == 600 })
        let outcome = try await other.scan(ScannerBench.feeder)
        #expect(outcome.end?.isComplete == true && outcome.pages.count == 2)
        #expect(other.device.openJobs == 0, "the scanner has ended it by itself")
        await other.stop()
    }

    @Test func `an empty feeder is said`() async throws {
        let bench = try await ScannerBench { $0.sheets = 0 }
        let outcome = try await bench.scan(ScannerBench.feeder)
        #expect(outcome.end?.reason == .empty && outcome.pages.isEmpty)
        await bench.stop()
    }

    @Test func `a scanner that is unplugged in the middle of a page names the sheet`() async throws {
        let bench = try await ScannerBench {
            $0.sheets = 3
            $0.faults = ScannerFaults([.init(.unplug, 5000)])
            $0.pace.bytesPerSecond = 200_000
        }
        let outcome = try await bench.scan(ScannerBench.feeder)
        let end = try #require(outcome.end)
        #expect(end.reason == .interrupted && !end.isComplete, "\(end)")
        // Whether the client has heard of the page by then is anybody's guess.
        #expect(end.damaged + (end.lost.map { [$0] } ?? []) == [1] && end.pages == 0, "\(end)")
        #expect(end.message.contains("heet 1"), "\(end)")
        await bench.stop()
    }

    @Test(arguments: [(ScanSource.feeder, 2), (.feederDuplex, 1)])
    func `a scanner that is unplugged behind a page says which sheet to look for`(source: ScanSource, sheet: Int) async throws {
        let bench = try await ScannerBench { $0.sheets = 3 }
        var settings = ScannerBench.feeder
        settings.source = source
        settings.held = true
        let job = try await bench.client.openJob(bench.scanner.deviceID)
        let iterator = bench.scanner.scan(settings, job: job).makeAsyncIterator()
        var (pages, end): (Int, ScanEnd?) = (0, nil)
        while let event = try await iterator.next() {
            switch event {
            case .started: try await bench.scanner.feed(job, pages: 1)
            case .page(let page):
                pages += page.isWhole ? 1 : 0
                try await job.acknowledge(page.object.id)
                bench.server.stop()
            case .ended(let told): end = told
            default: break
            }
        }
        #expect(pages == 1 && end?.reason == .interrupted && end?.pages == 1, "\(String(describing: end))")
        #expect(end?.lost == sheet && end?.damaged == [], "\(String(describing: end))")
        await bench.stop()
    }

    @Test func `a scan that is held feeds a sheet when it is asked for, also after deaths`() async throws {
        let bench = try await ScannerBench { $0.sheets = 3 }
        let job = try await bench.client.openJob(bench.scanner.deviceID)
        var settings = ScannerBench.feeder
        settings.held = true
        let iterator = bench.scanner.scan(settings, job: job).makeAsyncIterator()
        var isStarted = false
        while !isStarted, let event = try await iterator.next() { if case .started = event { isStarted = true } }
        var driver: Int32 = 0
        for sheet in 1...2 {
            // Nothing moves by itself: the driver's process is another one before each page is asked for.
            driver = try await ScannerBench.process(bench.bench, after: driver)
            #expect(bench.device.sheetsLeft == 4 - sheet)
            kill(driver, SIGKILL)
            _ = try await ScannerBench.process(bench.bench, after: driver)
            #expect(bench.device.sheetsLeft == 4 - sheet)
            try await bench.scanner.feed(job, pages: sheet)
            try await bench.scanner.feed(job, pages: sheet - 1)
            var page: ScannedPage?
            while page == nil, let event = try await iterator.next() { if case .page(let found) = event { page = found } }
            #expect(page?.sheet == sheet && page?.isWhole == true)
        }
        try await bench.scanner.cancel(job)
        var end: ScanEnd?
        while let event = try await iterator.next() { if case .ended(let found) = event { end = found } }
        #expect(end?.reason == .cancelled && end?.pages == 2)
        #expect(bench.device.sheetsLeft == 1 && bench.device.openJobs == 0)
        await bench.stop()
    }

    @Test func `a client that leaves finds its pages, and no sheet is fed for nobody`() async throws {
        let bench = try await ScannerBench {
            $0.sheets = 3
            $0.pace.bytesPerSecond = 100_000
        }
        let token = DeviceJob.newToken()
        let job = try await bench.client.openJob(bench.scanner.deviceID, token: token)
        for try await event in bench.scanner.scan(ScannerBench.feeder, job: job) { if case .coming = event { break } }
        // The page comes to its end without anybody.
        while try await !job.objects().contains(where: { $0.state == .committed }) { try await Task.sleep(for: .milliseconds(5)) }
        #expect(bench.device.sheetsLeft == 2)
        let outcome = try await bench.scan(ScannerBench.feeder, token: token)
        #expect(outcome.end?.isComplete == true && outcome.pages.map(\.page.sheet) == [1, 2, 3])
        #expect(outcome.pages.map(\.bytes) == (try (1...3).map { try ScannerBench.expected(sheet: $0) }))
        await bench.stop()
    }

    @Test func `a scan that is cancelled ends at the scanner too`() async throws {
        let bench = try await ScannerBench {
            $0.sheets = 5
            $0.pace.bytesPerSecond = 50_000
        }
        let token = DeviceJob.newToken()
        let job = try await bench.client.openJob(bench.scanner.deviceID, token: token)
        let outcome = try await bench.scan(ScannerBench.feeder, token: token) { event in
            if case .coming = event { try await bench.scanner.cancel(job) }
        }
        #expect(outcome.end?.reason == .cancelled)
        #expect(bench.device.openJobs == 0)
        await bench.stop()
    }

    // MARK: Deaths

    private final class KillCount: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock { $0 } }
        func add() { count.withLock { $0 += 1 } }
    }

    /// How often drivers die: 40 times unless `USERDRIVER_SCANNER_KILLS` says so.
    private static let kills = getenv("USERDRIVER_SCANNER_KILLS").flatMap { Int(String(cString: $0)) } ?? 40

    @Test(arguments: [1, 3]) func `no sheet is lost or doubled however often the driver is killed`(pairs: Int) async throws {
        let sheets = 4
        let bench = try await ScannerBench {
            $0.sheets = sheets
            $0.reloads = true
            $0.pairs = pairs
            $0.framing = pairs == 1 ? .length : .chunked
            $0.pace.bytesPerSecond = 400_000
            $0.pace.feedMilliseconds = 5
        }
        let kills = KillCount()
        var (jobs, resumed) = (0, 0)
        while kills.value < Self.kills {
            jobs += 1
            let killer = Task { [bench = bench.bench] in
                var random = SystemRandomNumberGenerator()
                var last: Int32 = 0
                while true {
                    // The instant of its death is anywhere.
                    try await Task.sleep(for: .microseconds(Int64(random.next(upperBound: UInt64(120_000)))))
                    let process = try await ScannerBench.process(bench, after: last)
                    try Task.checkCancellation()
                    kill(process, SIGKILL)
                    kills.add()
                    last = process
                }
            }
            let outcome = try await bench.scan(ScannerBench.feeder)
            killer.cancel()
            _ = await killer.result
            try #require(outcome.end?.isComplete == true, "job \(jobs): \(String(describing: outcome.end))")
            try #require(outcome.pages.count == sheets, "job \(jobs)")
            for (index, page) in outcome.pages.enumerated() {
                let sheet = (jobs - 1) * sheets + index + 1
                try #require(page.bytes == (try ScannerBench.expected(sheet: sheet, job: jobs)), "job \(jobs), sheet \(index + 1)")
                if page.page.resumed { resumed += 1 }
            }
            try #require(bench.device.openJobs == 0, "job \(jobs)")
        }
        #expect(bench.device.scannedPages.count == jobs * sheets, "each sheet was fed once")
        print("scanner, \(pairs) pairs: \(kills.value) kills in \(jobs) jobs, \(resumed) pages gone on with")
        await bench.stop()
    }
}
