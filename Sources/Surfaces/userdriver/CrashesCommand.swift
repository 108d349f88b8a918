// `userdriver crashes`: what drivers died of.

import ArgumentParser
import UserDriverClient
import Wire

struct CrashesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crashes",
        abstract: "Show how drivers died.",
        discussion: """
            Example:
              userdriver crashes
              userdriver crashes show
            """,
        subcommands: [CrashesListCommand.self, CrashesShowCommand.self], defaultSubcommand: CrashesListCommand.self)
}

struct CrashList: Encodable {
    var crashes: [CrashReport]
}

struct CrashesListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the deaths of drivers, oldest first (the default).",
        discussion: """
            Example:
              userdriver crashes list 1209:0001
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws {
        let client = daemon.client
        try show(try await client.crashes(target.selector))
    }

    private func show(_ crashes: [CrashReport]) throws {
        if output.json { return try output.printJSON(CrashList(crashes: crashes)) }
        if crashes.isEmpty { return Terminal.note("No driver has died.") }
        try Terminal.print(Self.table(crashes))
    }

    static func table(_ crashes: [CrashReport]) -> TextTable {
        var table = TextTable("NUMBER", "TIME", "DEVICE", "DRIVER", "CAUSE", "DECISION", rightAligned: [0], spared: [5, 3, 4])
        for crash in crashes {
            table.add(
                .init("\(crash.number)"), .init(crash.time), .init(crash.deviceID), .init(crash.driver), .init(crash.cause, .red),
                .init(crash.decision))
        }
        return table
    }
}

struct CrashesShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one death in full: last words, backtrace, last transfers.",
        discussion: """
            Example:
              userdriver crashes show
              userdriver crashes show 1 --capture crash.pcapng    # for Wireshark
            """)

    @Argument(help: ArgumentHelp("Its number in `userdriver crashes`. Left out: the last one.", valueName: "number"))
    var number: Int?
    @OptionGroup var daemon: DaemonOptions
    @Option(
        help: ArgumentHelp("Write the last transfers before it to a pcapng file, or to standard output with -.", valueName: "file"),
        completion: .file())
    var capture: String?
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = daemon.client
        let crash = try choose(try await client.crashes())
        if let capture {
            let bytes = try await client.crashCapture(crash.number)
            let writer = try FrameWriter(path: capture)
            try writer.put(bytes)
            try writer.close()
            if capture == "-" { return }
        }
        try show(crash)
    }

    private func choose(_ crashes: [CrashReport]) throws -> CrashReport {
        guard let crash = number.map({ number in crashes.first { $0.number == number } }) ?? crashes.last else {
            throw CommandFailure(
                number.map { "There is no crash \($0); `userdriver crashes` lists them all." } ?? "No driver has died.")
        }
        return crash
    }

    private func show(_ crash: CrashReport) throws {
        if output.json { return try output.printJSON(crash) }
        for line in Self.lines(crash) { try Terminal.printWrapped(line) }
    }

    static func lines(_ crash: CrashReport) -> [String] {
        var lines = [
            "Crash \(crash.number): \(crash.driver)\(crash.driverVersion.map { " \($0)" } ?? "") (process \(crash.pid), incarnation \(crash.generation))",
            "  device    \(crash.deviceID)",
            "  time      \(crash.time)",
            "  cause     \(crash.cause)",
            "  decision  \(crash.decision)",
        ]
        lines.append(crash.lastWords.isEmpty ? "It left no last words." : "Its last words:")
        lines += crash.lastWords.map { "  \($0)" }
        lines.append(crash.backtrace.isEmpty ? "There is no backtrace." : "Backtrace, innermost first:")
        lines += crash.backtrace.enumerated().map { "  #\($0)  \($1)" }
        if let transfers = crash.lastTransfers, !transfers.isEmpty {
            lines.append("The device's last transfers:")
            lines += transfers.map { "  \($0)" }
        }
        if let captured = crash.captured {
            lines.append("\(captured) transfers for Wireshark: userdriver crashes show \(crash.number) --capture crash.pcapng")
        }
        return lines
    }
}
