// `userdriver scan`: pages from a scanner into files.

import ArgumentParser
import CLinux
import Glibc
import ScannerClient
import Synchronization
import UserDriverClient
import Wire

struct ScanCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan",
        abstract: "Scan pages into files.",
        discussion: """
            Each page's file appears whole or not at all, and only then does the daemon let go of the page. When the driver dies \
            in the middle of a page, its successor continues at the same byte: no sheet is lost and none comes twice. Where a scan \
            can't continue (unplugging, a jam), the message names the sheet, and the exit status is not 0.

            An interrupted scan keeps its pages: `userdriver pages` lists them, and --job continues the scan.

            Example:
              userdriver scan -o page-%d.jpg
              userdriver scan --source adf-duplex --mode gray --resolution 200 -o book.pdf
              userdriver scan --source flatbed --size A5 -o photo.png
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument
    @OptionGroup var facts: OutputOptions

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Where the pages go: page-%d.jpg numbers them, book.pdf holds all, photo.png one; - is standard output.", valueName: "file"),
        completion: .file(extensions: ["jpg", "jpeg", "png", "pdf"]))
    var output: String

    @Option(help: ArgumentHelp("Where the paper is: flatbed, adf, adf-duplex or auto.", valueName: "source"))
    var source = WordArgument(ScanSource.automatic)

    @Option(help: ArgumentHelp("Dots per inch; the scanner's nearest resolution is used.", valueName: "dpi"))
    var resolution = 300

    @Option(help: ArgumentHelp("Colours: color, gray or bw.", valueName: "mode"))
    var mode = WordArgument(ScanMode.color)

    @Option(
        help: ArgumentHelp("The paper: A3 to A6, Letter, Legal, or WxH in millimetres. Left out: the whole area.", valueName: "size"))
    var size: PaperSize?

    @Option(help: ArgumentHelp("The kind of file, if its name does not say it: jpeg, png or pdf.", valueName: "format"))
    var format: PageFileFormat?

    @Option(help: ArgumentHelp("How many pages to take from the feeder at most: a number, or all.", valueName: "count"))
    var pages = PageCount(value: nil)

    @Option(
        help: ArgumentHelp(
            "Continue this scan, or fetch its pages. A name of your own starts a new scan that you can continue under it.",
            valueName: "name"))
    var job: String?

    func validate() throws {
        let destination = try ScanDestination(path: output, format: format)
        guard 1...19_200 ~= resolution else { throw ValidationError("--resolution must be from 1 to 19200 dots per inch.") }
        if destination.isForOnePage, let count = pages.value, count > 1 {
            throw ValidationError("'\(output)' holds one page: number the files, as in page-%d.jpg, or name a .pdf.")
        }
        if facts.json, output == "-" { throw ValidationError("--json and -o - both want standard output.") }
    }

    func run() async throws {
        let destination = try ScanDestination(path: output, format: format)
        if output == "-", Terminal.isTerminal(STDOUT_FILENO) {
            throw CommandFailure(
                "Standard output is a terminal, which can't show a page: pipe it into a program, or write a file with -o FILE.",
                status: ExitStatus.usage)
        }
        let stops = StopRequests()
        try Interrupt.onFirst { stops.ask() }
        let scanner = try await daemon.client.scanner(target.selector)
        if let job { try await check(job, of: scanner) }
        let job = try await daemon.client.openJob(scanner.deviceID, token: self.job ?? DeviceJob.newToken())
        stops.answer { Task { try? await scanner.cancel(job) } }  // a scan that can't be cancelled ends with its connection
        var settings = ScanSettings(source: source.value, resolution: resolution, mode: mode.value, format: destination.wantedType)
        (settings.width, settings.height) = (size?.width, size?.height)
        settings.pages = destination.isForOnePage ? 1 : pages.value
        var session = ScanSession(job: job, destination: destination, path: output, json: facts.json ? facts : nil)
        try await session.run(scanner.scan(settings, job: job))
    }
}

extension ScanCommand {
    // By itself: swiftc 6.3.1 crashes on errors of a known type between several suspensions.
    @inline(never)
    private func check(_ job: String, of scanner: Scanner) async throws {
        do throws(ClientError) {
            // A name that a program has chosen begins a scan that it can continue, whatever becomes of the program. One that was made here is
            // known, or mistyped.
            guard job.count >= 16, job.allSatisfy(\.isHexDigit) else { return }
            _ = try await scanner.client.objects(scanner.deviceID, job: job)
        } catch {
            guard error.code == .noSuchJob else { throw error }
            throw CommandFailure("There is no scan \(job.printable): `userdriver pages` lists those whose pages are kept.")
        }
    }
}

/// One of the words that a contract has.
struct WordArgument<Value: RawRepresentable & CaseIterable & Hashable & Sendable>: ExpressibleByArgument, Hashable, CustomStringConvertible
where Value.RawValue == String {
    var value: Value
    init(_ value: Value) { self.value = value }
    init?(argument: String) {
        guard let value = Value(rawValue: argument.lowercased()) else { return nil }
        self.value = value
    }
    static var allValueStrings: [String] { Value.allCases.map(\.rawValue) }
    var description: String { value.rawValue }
    var defaultValueDescription: String { value.rawValue }
}

/// How many pages: a number, or `all`.
struct PageCount: ExpressibleByArgument, Hashable, CustomStringConvertible {
    var value: Int?
    init(value: Int?) { self.value = value }
    init?(argument: String) {
        if argument.lowercased() == "all" {
            value = nil
        } else if let number = Int(argument), 1...10_000 ~= number {
            value = number
        } else {
            return nil
        }
    }
    var description: String { value.map { "\($0)" } ?? "all" }
}

/// Ctrl-C, which may come before there is anything to be stopped.
private final class StopRequests: Sendable {
    private let state = Mutex<(isAsked: Bool, stop: (@Sendable () -> Void)?)>((false, nil))

    func ask() {
        let stop = state.withLock { state in
            state.isAsked = true
            return state.stop
        }
        // Nothing has begun yet.
        guard let stop else { _exit(ExitStatus.failed) }
        stop()
    }

    func answer(_ stop: @escaping @Sendable () -> Void) { state.withLock { $0.stop = stop } }
}
