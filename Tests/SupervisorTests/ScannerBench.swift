// An emulated scanner under a real supervisor, a real proxy and the real driver, which tests kill.

import class EmulatedScanner.EmulatedScanner
import struct EmulatedScanner.EmulatedScannerOptions
import FoundationEssentials
import Glibc
import ScannerClient
import Testing
import USB
import USBEmulation
import UserDriverClient
import Wire

@testable import Supervisor

/// A scanner, and who scans.
struct ScannerBench {
    let bench: Bench
    let device: EmulatedScanner
    let server: EmulationServer
    let client: UserDriverClient
    let scanner: Scanner

    /// - Parameter quirks: of the manifest, beside its own: YAML.
    init(quirks: String = "", _ adjust: (inout EmulatedScannerOptions) -> Void = { _ in }) async throws {
        var options = EmulatedScannerOptions()
        adjust(&options)
        device = EmulatedScanner(options: options) { if getenv("USERDRIVER_TEST_LOG") != nil { print("scanner: \($0)") } }
        server = EmulationServer(devices: [("1-1", device)], port: 0)
        let folder = TemporaryFolder()
        mkdir(folder.path + "/drivers", 0o700)
        try Self.makeBundle(in: folder.path + "/drivers", quirks)
        let url = try AttachmentURL("usbip://127.0.0.1:\(try server.start())/1-1")
        bench = try await Bench(in: folder) {
            $0.attachments = [url]
            $0.portExecutable = Bench.executable("usbip-proxy")
        }
        client = UserDriverClient(runtimeDirectory: RuntimeDirectory(folder.path))
        _ = try await Self.process(bench, after: 0)
        scanner = try await client.scanner()
    }

    /// The driver's own manifest, with the executable that was built for these tests.
    private static func makeBundle(in folder: String, _ quirks: String) throws {
        let bundle = folder + "/scanner.driver"
        mkdir(bundle, 0o755)
        mkdir(bundle + "/interfaces", 0o755)
        let sources = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/Sources/"
        let manifest = try StateFile.read(sources + "Drivers/scanner-driver/driver.yaml", maximumBytes: 1 << 16)
        // Its quirks are the last of it.
        try StateFile.write(manifest + Array(quirks.utf8), to: bundle + "/driver.yaml")
        for interface in [ScannerInterface.interface, PrinterInterface.interface] {
            try StateFile.write(Array(interface.text.utf8), to: bundle + "/interfaces/\(interface.name).varlink")
        }
        if link(Bench.executable("scanner-driver"), bundle + "/scanner-driver") != 0 {
            let bytes = try StateFile.read(Bench.executable("scanner-driver"), maximumBytes: 256 << 20)
            try StateFile.write(bytes, to: bundle + "/scanner-driver")
            chmod(bundle + "/scanner-driver", 0o755)
        }
    }

    func stop() async {
        await bench.stop()
        server.stop()
    }

    /// The driver's process, once it drives and is another than the one before.
    static func process(_ bench: Bench, after last: Int32) async throws -> Int32 {
        while true {
            if let device = try await bench.status().first {
                if device.state == .running, device.pid != last, device.pid != 0 { return device.pid }
                if device.state == .failed || device.state == .unsupported { throw CallError("DeviceError", device.reason ?? "failed") }
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// What a scan brought.
    struct Outcome {
        var pages: [(page: ScannedPage, bytes: [UInt8])] = []
        var end: ScanEnd?
        var events = 0
    }

    /// Scans, takes each page, and acknowledges it. `happening` hears of everything.
    func scan(
        _ settings: ScanSettings, token: String = DeviceJob.newToken(),
        _ happening: (ScanEvent) async throws -> Void = { _ in }
    ) async throws -> Outcome {
        let job = try await client.openJob(scanner.deviceID, token: token)
        var outcome = Outcome()
        for try await event in scanner.scan(settings, job: job) {
            outcome.events += 1
            try await happening(event)
            switch event {
            case .page(let page):
                let bytes = page.isWhole ? try await job.open(page.object.id).bytes() : []
                outcome.pages.append((page, bytes))
                try await job.acknowledge(page.object.id)
            case .ended(let end): outcome.end = end
            default: break
            }
        }
        // What a scanner that was unplugged left unfinished goes with the job.
        #expect(try await job.objects().allSatisfy { $0.state == .open && outcome.end?.reason == .interrupted })
        try await job.discard()
        return outcome
    }

    /// What the emulated scanner sends for a sheet with the settings below.
    static func expected(sheet: Int, isBack: Bool = false, job: Int = 1, isDuplex: Bool = false, isFlat: Bool = false) throws -> [UInt8] {
        try ExpectedPage(sheet: sheet, isBack: isBack, job: job, isDuplex: isDuplex, isFlat: isFlat).bytes
    }

    /// The settings that `expected` is about.
    static var feeder: ScanSettings {
        ScanSettings(source: .feeder, resolution: 75, mode: .color, format: "image/jpeg", width: 2480, height: 3508)
    }
}
