// userdriverd: the daemon's command line.

import ArgumentParser
import Bundles
import CLinux
import Glibc
import Logging
import Supervisor
import Wire

struct Userdriverd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "userdriverd",
        abstract: "Drives USB devices in user mode: finds them, gives each a driver process, and keeps it running.",
        discussion: """
            Exit status: 0 stopped as asked, 1 could not start or failed, 2 wrong usage.
            """,
        version: Supervisor.version)

    @Option(
        name: .customLong("runtime-dir"), help: "The folder of its socket (default: $USERDRIVER_RUNTIME_DIR, or /run/userdriver for root).")
    var runtimeDirectory: String?

    @Option(
        name: .customLong("state-dir"),
        help: "The folder of crash reports (default: /var/lib/userdriver, or `state` in the runtime folder).")
    var stateDirectory: String?

    @Option(help: "A folder of NAME.driver bundles, or one of them. Repeatable.")
    var drivers: [String] = []

    @Option(
        help:
            "A list of signers whose drivers may run, in the format of OpenSSH's allowed_signers (default: /etc/userdriver/allowed_signers and the system's). Repeatable."
    )
    var allowedSigners: [String] = []

    @Option(help: "A list of revoked keys: a KRL or public keys (default: /etc/userdriver/revoked_keys). Repeatable.")
    var revokedKeys: [String] = []

    @Flag(help: "Run unsigned drivers. For development only; every status says so.")
    var allowUnsigned = false

    @Option(help: "A device on another machine: usbip://HOST[:PORT]/BUSID. Repeatable.")
    var attach: [String] = []

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: String = "info"

    @Flag(name: .customLong("no-usb"), help: "Leave the devices of this machine alone.")
    var noUSB = false

    @Flag(help: "Take every device from the kernel's own driver, except those that were released.")
    var detachKernelDrivers = false

    @Flag(name: .customLong("no-sandbox"), help: "Don't sandbox drivers. For development only; every status says so.")
    var noSandbox = false

    @Flag(name: .customLong("no-standby"), help: "Keep no standby process to replace one that dies: less memory, slower replacement.")
    var noStandby = false

    @Flag(
        name: .customLong("no-mapped-transfers"),
        help: "Let usbfs copy stream data: drivers then do without the second process that keeps their transfers when they die.")
    var noMappedTransfers = false

    @Option(
        help: ArgumentHelp(
            "Which devices are taken from the kernel's own drivers (default: /etc/userdriver/userdriver.yaml for the system's daemon).",
            valueName: "file"))
    var policy: String?

    @Flag(name: .customLong("print-udev-rules"), help: "Print udev rules for the drivers' devices, and exit.")
    var printsUdevRules = false

    @Flag(
        name: .customLong("keep-streams"),
        help: ArgumentHelp(
            "Let streams survive the daemon, in systemd's descriptor store (FileDescriptorStoreMax=). If the unit allows it (KillMode=process), drivers keep streaming until the next daemon takes over, for half a minute at most. The daemon then gives nothing back to the kernel's drivers when it ends: that is left to the next daemon, or to --give-back."
        ))
    var keepsStreams = false

    @Flag(
        name: .customLong("give-back"),
        help: "Give the kernel's drivers back what earlier daemons took and no daemon uses any more, and exit.")
    var givesBack = false

    func validate() throws {
        for text in attach { _ = try AttachmentURL(text) }
        guard Logger.Level(rawValue: logLevel) != nil else { throw ValidationError("\"\(logLevel)\" is not a log level.") }
    }

    /// Where drivers are, and whom to trust.
    func driversConfiguration(runtime: String = "", state: String = "") -> SupervisorConfiguration {
        var configuration = SupervisorConfiguration(
            runtimeDirectory: runtime, stateDirectory: state, driverFolders: drivers.isEmpty ? DriverPlaces.drivers : drivers)
        configuration.allowedSigners = allowedSigners.isEmpty ? DriverPlaces.trust.allowedSigners : allowedSigners
        configuration.revokedKeys = revokedKeys.isEmpty ? DriverPlaces.trust.revokedKeys : revokedKeys
        configuration.allowsUnsigned = allowUnsigned
        return configuration
    }

    private var folders: (runtime: String, state: String) {
        let runtime = Folders.runtime(runtimeDirectory)
        return (runtime, Folders.state(stateDirectory, runtime: runtime))
    }

    /// - Parameter descriptors: how many this process may have.
    func supervisorConfiguration(_ manager: ServiceManager, descriptors: Int) throws -> SupervisorConfiguration {
        let (runtime, state) = folders
        guard runtime.utf8.count <= 92 else {
            throw StartError(description: "The runtime folder \(runtime) is too long for a socket's address.")
        }
        try Folders.make(runtime)
        try Folders.make(state)
        var configuration = driversConfiguration(runtime: runtime, state: state)
        configuration.limits.fit(descriptors: descriptors)
        configuration.attachments = try attach.map { text throws(AttachmentURL.ParseError) in try AttachmentURL(text) }
        configuration.portExecutable = Folders.portExecutable
        // This very program, whatever has taken its file's place meanwhile.
        configuration.namesExecutable = "/proc/self/exe"
        configuration.usesUSB = !noUSB
        configuration.sandboxesDrivers = !noSandbox
        configuration.keepsStandby = !noStandby
        configuration.mapsTransfers = !noMappedTransfers
        configuration.detachesKernelDrivers = detachKernelDrivers
        configuration.policyPath = policy ?? (runtime == Folders.systemRuntime ? Folders.systemPolicy : nil)
        configuration.listener = manager.listener
        configuration.store = keepsStreams ? manager.notifier : nil
        configuration.inherited = manager.stored
        return configuration
    }

    /// 1 where something is not given back.
    func giveBack() -> Int32 {
        let problems = DeviceReturn.run(runtimeDirectory: folders.runtime, stateDirectory: folders.state)
        let bytes = Array(problems.map { "Error: \($0.printable)\n" }.joined().utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
        return problems.isEmpty ? 0 : 1
    }
}

@main
enum Entry {
    static func main() async {
        NameLookup.runIfAsked()
        let command: Userdriverd
        do {
            command = try Userdriverd.parse()
        } catch {
            let code = Userdriverd.exitCode(for: error)
            let text = Userdriverd.fullMessage(for: error)
            // Help and version are asked for; everything else is a mistake.
            let bytes = Array((text + "\n").utf8)
            _ = write(code.isSuccess ? STDOUT_FILENO : STDERR_FILENO, bytes, bytes.count)
            exit(code.isSuccess ? 0 : 2)
        }
        if command.printsUdevRules { exit(printUdevRules(command)) }
        if command.givesBack { exit(command.giveBack()) }
        // A reader of the log that has gone must not end the daemon.
        signal(SIGPIPE, SIG_IGN)
        let queue = LogQueue()
        var logger = Logger(label: "userdriverd") { _ in QueuedLogHandler(queue: queue) }
        logger.logLevel = Logger.Level(rawValue: command.logLevel) ?? .info
        let status = await run(command, logger)
        queue.flush()
        exit(status)
    }

    private static func run(_ command: Userdriverd, _ logger: Logger) async -> Int32 {
        do {
            let manager = ServiceManager.fromEnvironment()
            let descriptors = clinux_raise_descriptor_limit()
            if descriptors < 4096 {
                logger.warning(
                    "the limit on open descriptors is low, so fewer clients are served: LimitNOFILE=, ulimit -Hn",
                    metadata: ["limit": "\(descriptors)"])
            }
            for one in manager.unexpected {
                logger.warning("the service manager handed over something unexpected", metadata: ["what": "\(one)"])
            }
            if command.keepsStreams, manager.notifier == nil {
                logger.warning("streams end with the daemon: there is no service manager to keep them")
            }
            let supervisor = await Supervisor(
                configuration: try command.supervisorConfiguration(manager, descriptors: descriptors), logger: logger)
            try await Daemon(supervisor: supervisor, manager: manager, logger: logger).run()
            return 0
        } catch {
            logger.error("\(error)")
            return 1
        }
    }

    private static func printUdevRules(_ command: Userdriverd) -> Int32 {
        do throws(SupervisorError) {
            print(try UdevRules.text(for: command.driversConfiguration()), terminator: "")
            return 0
        } catch {
            let bytes = Array("Error: \("\(error)".printable)\n".utf8)
            _ = write(STDERR_FILENO, bytes, bytes.count)
            return 1
        }
    }
}
