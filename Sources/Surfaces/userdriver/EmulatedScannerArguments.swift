// The emulated scanner's options, for `emulate scanner`.

import ArgumentParser
import EmulatedScanner
import USBEmulation

struct EmulatedScannerArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The scanner's serial number; more scanners count up from it.", valueName: "serial"))
    var serial: String?

    @Option(help: ArgumentHelp("Sheets in the feeder. Sheets that were fed are gone.", valueName: "count"))
    var sheets = 5

    @Flag(help: "Refill the feeder after each job that has emptied it.")
    var reload = false

    @Option(help: ArgumentHelp("Interfaces for IPP over USB, 1 to 4: each is one connection.", valueName: "count"))
    var pairs = 3

    @Option(
        help: ArgumentHelp(
            "The interfaces' alternate settings: shared with the old printer protocol, plain (one setting), hollow (the first has no endpoints).",
            valueName: "layout"))
    var layout = Layout.shared

    @Option(help: ArgumentHelp("How the end of a body is marked.", valueName: "how"))
    var framing = Framing.chunked

    @Flag(name: .customLong("no-zlp"), help: "Send no zero-length packet after a full one.")
    var noZLP = false

    @Flag(help: "Split answers into transfers of any length.")
    var oddSplits = false

    @Option(
        help: ArgumentHelp(
            "How fast it is: fast (as fast as software can be) or desktop (like a machine with a lamp and motors).", valueName: "pace")
    )
    var pace = PaceName.fast

    @Option(
        help: ArgumentHelp("Milliseconds that the lamp warms up before the first page; until then the answer is 503.", valueName: "ms"))
    var warmUpMs: Int?

    @Option(help: ArgumentHelp("Milliseconds from asking for a page to its first byte.", valueName: "ms"))
    var feedMs: Int?

    @Option(help: ArgumentHelp("Bytes of a page a second, 0 for no limit.", valueName: "bytes"))
    var bytesPerSecond: Int?

    @Option(help: ArgumentHelp("Bytes a second that the printer takes, 0 for no limit.", valueName: "bytes"))
    var printBytesPerSecond: Int?

    @Option(help: ArgumentHelp("Seconds until an idle job ends.", valueName: "seconds"))
    var jobTimeout = 60

    @Option(
        help: ArgumentHelp(
            "A fault to inject, as in jam@3 or location-https; list prints them all. Repeatable, or separated by commas.",
            valueName: "fault"))
    var fault: [String] = []

    enum PaceName: String, ExpressibleByArgument, CaseIterable {
        case fast, desktop
    }

    enum Layout: String, ExpressibleByArgument, CaseIterable {
        case shared, plain, hollow
    }

    enum Framing: String, ExpressibleByArgument, CaseIterable {
        case chunked, length
    }

    func validate() throws {
        guard (0...100_000).contains(sheets) else { throw ValidationError("--sheets must be from 0 to 100000.") }
        guard (1...4).contains(pairs) else { throw ValidationError("--pairs must be from 1 to 4.") }
        for (name, value) in [("warm-up-ms", warmUpMs), ("feed-ms", feedMs)] {
            guard (0...600_000).contains(value ?? 0) else { throw ValidationError("--\(name) must be from 0 to 600000.") }
        }
        for (name, value) in [("bytes-per-second", bytesPerSecond), ("print-bytes-per-second", printBytesPerSecond)] {
            guard (0...1_000_000_000).contains(value ?? 0) else { throw ValidationError("--\(name) must be from 0 to 1000000000.") }
        }
        guard (1...86_400).contains(jobTimeout) else { throw ValidationError("--job-timeout must be from 1 to 86400.") }
        if fault == ["list"] { throw CleanExit.message(ScannerFaults.documentation) }
        _ = try faults()
    }

    private func faults() throws -> ScannerFaults {
        do {
            return try ScannerFaults(parsing: fault.joined(separator: ","))
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// Scanner `index`, from 0. `log` is called from any thread.
    func device(_ index: Int, log: (@Sendable (String) -> Void)?) throws -> EmulatedScanner {
        var options = EmulatedScannerOptions()
        options.serial = EmulatedWebcamArguments.serial(serial ?? options.serial, index)
        options.sheets = sheets
        options.reloads = reload
        options.pairs = pairs
        options.layout =
            switch layout {
            case .shared: .shared
            case .plain: .plain
            case .hollow: .hollow
            }
        options.framing = framing == .chunked ? .chunked : .length
        options.sendsEmptyPackets = !noZLP
        options.splitsOddly = oddSplits
        options.pace = pace == .desktop ? .desktop : EmulatedScannerOptions.Pace()
        if let warmUpMs { options.pace.warmUpMilliseconds = warmUpMs }
        if let feedMs { options.pace.feedMilliseconds = feedMs }
        if let bytesPerSecond { options.pace.bytesPerSecond = bytesPerSecond }
        if let printBytesPerSecond { options.pace.printBytesPerSecond = printBytesPerSecond }
        options.jobTimeoutMilliseconds = jobTimeout * 1000
        options.faults = try faults()
        return EmulatedScanner(options: options, log: log)
    }
}
