// `userdriver pages`: pages that are kept because nobody has taken them yet.

import ArgumentParser
import ScannerClient
import UserDriverClient
import Wire

struct PagesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pages",
        abstract: "List scanned pages that have not been fetched yet.",
        discussion: """
            A page is kept until the program that asked for it has it on disk. Pages left over from an interrupted scan are listed \
            here. `userdriver scan --job NAME -o FILE` fetches them; --discard throws them away.

            Example:
              userdriver pages
              userdriver pages --discard 4f1c0e5a9b2d47f8
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DevicesArgument
    @OptionGroup var output: OutputOptions

    @Option(help: ArgumentHelp("Throw the pages of this scan away.", valueName: "name"))
    var discard: String?

    private struct PageList: Encodable { var pages: [ObjectStatus] }

    func run() async throws {
        let pages = try await kept()
        if let discard { return try await throwAway(discard, pages) }
        try show(pages)
    }

    // By themselves: swiftc 6.3.1 crashes on errors of a known type between several suspensions.
    @inline(never)
    private func kept() async throws -> [ObjectStatus] {
        try await daemon.client.objects(target.selector).filter { $0.metadata["page"] != nil }
    }

    @inline(never)
    private func throwAway(_ name: String, _ pages: [ObjectStatus]) async throws {
        guard let device = pages.first(where: { $0.job == name })?.device else {
            throw CommandFailure("No pages are kept from a scan \(name.printable).")
        }
        try await (try await job(name, device)).discard()
    }

    @inline(never)
    private func job(_ name: String, _ device: String) async throws -> DeviceJob {
        try await daemon.client.openJob(device, token: name)
    }

    private func show(_ pages: [ObjectStatus]) throws {
        if output.json { return try output.printJSON(PageList(pages: pages)) }
        if pages.isEmpty { return Terminal.note("No pages are kept.") }
        var table = TextTable("JOB", "PAGE", "SHEET", "STATE", "BYTES", "DEVICE", spared: [0, 5])
        for page in pages {
            let state: TextTable.Cell =
                switch page.state {
                case .open: .init("coming", .yellow)
                case .committed: .init("whole", .green)
                case .abandoned: .init("incomplete", .red)
                }
            table.add(
                .init(page.job), .init("\(page.metadata["page"]?.intValue ?? 0)"), .init("\(page.metadata["sheet"]?.intValue ?? 0)"), state,
                .init(Figure.bytes(Double(page.length))), .init(page.device))
        }
        try Terminal.print(table)
    }
}
