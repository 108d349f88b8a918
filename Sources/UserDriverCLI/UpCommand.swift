// `userdriver up`: everything in the foreground, for trying it.

import ArgumentParser
import Glibc
import UserDriverClient

struct UpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Run the daemon in the foreground, with emulated devices if you like.",
        discussion: """
            Needs no rights and no installation: everything lives in a folder of your own, and ends with Ctrl-C. What happens to the devices \
            is printed as it happens. A daemon or an emulator that dies is started again.

            Example:
              userdriver up --emulate webcam
              userdriver up --emulate webcam --source holiday.mjpeg
              userdriver up --attach usbip://192.168.1.7/1-1
            """)

    @Option(
        help: ArgumentHelp("Emulate these devices and drive them: webcam; several separated by commas.", valueName: "kinds"))
    var emulate: [EmulatedKinds] = []

    @Option(help: ArgumentHelp("Drive a device that somebody else serves: usbip://HOST[:PORT]/BUSID. Repeatable.", valueName: "url"))
    var attach: [String] = []

    @Option(
        name: .customLong("runtime-dir"),
        help: ArgumentHelp(
            "The folder to run in, which is made if it is not there.",
            discussion: "Left out: $USERDRIVER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/userdriver, else /tmp/userdriver-UID.",
            valueName: "folder"),
        completion: .directory)
    var runtimeDirectory: String?

    @Flag(help: "Run drivers that nobody signed. For development only; every status says so.")
    var allowUnsigned = false

    @OptionGroup(title: "Options of the emulated webcam")
    var camera: EmulatedWebcamArguments

    @Flag(name: [.short, .long], help: "Also print what the daemon and the emulators log.")
    var verbose = false

    /// Kinds of device, separated by commas.
    struct EmulatedKinds: ExpressibleByArgument, Hashable {
        var kinds: [String]
        init?(argument: String) {
            kinds = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            guard !kinds.isEmpty, kinds.allSatisfy({ $0 == "webcam" }) else { return nil }
        }
    }

    func validate() throws { for url in attach { try USBIPAddress.validate(url) } }

    func run() throws {
        let interrupts = try Interrupt.descriptor()
        let directory = RuntimeDirectory.own(option: runtimeDirectory)
        try directory.create()
        var session = try UpSession(
            directory: directory, webcams: emulate.reduce(0) { $0 + $1.kinds.count }, camera: camera.words, attached: attach,
            allowsUnsigned: allowUnsigned, verbose: verbose, interrupts: interrupts)
        try session.run()
    }
}
