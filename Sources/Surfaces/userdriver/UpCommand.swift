// `userdriver up`: everything in the foreground, for trying it.

import ArgumentParser
import Bundles
import FileDescriptors
import Glibc
import UserDriverClient

struct UpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Run the daemon in the foreground, with emulated devices if you like.",
        discussion: """
            Needs no privileges and no installation: everything is in a folder of your own and ends with Ctrl-C. It prints a link \
            to a page that shows the devices, and each emulated scanner's address for SANE programs. It reports what happens to \
            the devices, and restarts the daemon or the emulator if one dies.

            Example:
              userdriver up --emulate webcam
              userdriver up --emulate webcam --count 2
              userdriver up --emulate webcam,scanner
              userdriver up --emulate webcam --source holiday.mjpeg
              userdriver up --attach usbip://127.0.0.1:3240/1-1
              userdriver up --drivers thermo.driver --allow-unsigned
            """)

    @Option(
        help: ArgumentHelp("Emulate devices and drive them: webcam, scanner. Several kinds are separated by commas.", valueName: "kinds"))
    var emulate: [EmulatedKinds] = []

    @Option(help: ArgumentHelp("How many of each emulated device.", valueName: "count"))
    var count = 1

    @Option(help: ArgumentHelp("Drive a device that another machine serves: usbip://HOST[:PORT]/BUSID. Repeatable.", valueName: "url"))
    var attach: [String] = []

    @Option(
        name: .customLong("runtime-dir"),
        help: ArgumentHelp(
            "The folder to run in. It is created if missing; if it exists, only you may be able to write to it.",
            discussion: "Left out: $USERDRIVER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/userdriver, else /tmp/userdriver-UID.",
            valueName: "folder"),
        completion: .directory)
    var runtimeDirectory: String?

    @Option(
        help: ArgumentHelp(
            "Prefer these drivers to the installed ones: a folder of NAME.driver bundles, or a single bundle. Repeatable.",
            valueName: "folder"),
        completion: .directory)
    var drivers: [String] = []

    @Option(
        name: .customLong("allowed-signers"),
        help: ArgumentHelp(
            "Whose drivers may run, besides those already trusted: a list in the format of OpenSSH's allowed_signers. Repeatable.",
            valueName: "file"),
        completion: .file())
    var allowedSigners: [String] = []

    @Flag(help: "Run unsigned drivers. For development only; `status` says so.")
    var allowUnsigned = false

    @Flag(name: .customLong("no-page"), help: "Don't serve the page that shows the devices in a browser.")
    var noPage = false

    @OptionGroup(title: "Options of the emulated webcam")
    var camera: EmulatedWebcamArguments

    @Option(
        help: ArgumentHelp("Sheets in the emulated scanner's feeder, which is refilled when it is empty.", valueName: "count"))
    var sheets = 5

    @Flag(name: [.short, .long], help: "Also print what the daemon and the emulator log.")
    var verbose = false

    /// Kinds of device, separated by commas.
    struct EmulatedKinds: ExpressibleByArgument, Hashable {
        var kinds: [String]
        init?(argument: String) {
            kinds = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            guard !kinds.isEmpty, kinds.allSatisfy({ $0 == "webcam" || $0 == "scanner" }) else { return nil }
        }
    }

    /// One group for each kind.
    private var groups: [EmulatedGroup] {
        let kinds = emulate.flatMap(\.kinds)
        let words = ["webcam": camera.words, "scanner": ["--sheets", "\(sheets)", "--reload"]]
        return ["webcam", "scanner"].compactMap { kind in
            let number = kinds.filter { $0 == kind }.count * count
            return number > 0 ? EmulatedGroup(kind: kind, count: number, words: words[kind] ?? []) : nil
        }
    }

    func validate() throws {
        for url in attach { try USBIPAddress.validate(url) }
        guard (1...16).contains(count) else { throw ValidationError("--count must be from 1 to 16.") }
        guard groups.allSatisfy({ $0.count <= 16 }) else { throw ValidationError("At most 16 devices of a kind can be emulated at once.") }
        guard count == 1 || !groups.isEmpty else { throw ValidationError("--count needs --emulate.") }
        guard (0...100_000).contains(sheets) else { throw ValidationError("--sheets must be from 0 to 100000.") }
        for folder in drivers where access(folder, R_OK | X_OK) != 0 {
            throw ValidationError("--drivers \(folder): \(String(cString: strerror(errno))).")
        }
        for file in allowedSigners where access(file, R_OK) != 0 {
            throw ValidationError("--allowed-signers \(file): \(String(cString: strerror(errno))).")
        }
    }

    /// What the daemon is told of drivers. Its options replace what it would look at by itself,
    /// which is to go on counting here.
    private var driverWords: [String] {
        var words = drivers.isEmpty ? [] : (drivers + DriverPlaces.drivers).flatMap { ["--drivers", $0] }
        if !allowedSigners.isEmpty {
            let others = DriverPlaces.trust.allowedSigners.filter { access($0, F_OK) == 0 }
            words += (allowedSigners + others).flatMap { ["--allowed-signers", $0] }
        }
        return words + (allowUnsigned ? ["--allow-unsigned"] : [])
    }

    func run() throws {
        let interrupts = try Interrupt.descriptor()
        let directory = RuntimeDirectory.own(option: runtimeDirectory)
        try directory.create()
        var session = try UpSession(
            directory: directory, emulated: groups, attached: attach, drivers: driverWords, hasPage: !noPage, verbose: verbose,
            interrupts: interrupts.number)
        try session.run()
    }
}
