// `userdriver driver`: the drivers on disk, and who vouches for them.

import ArgumentParser
import Bundles
import Trust
import UserDriverClient
import Wire

struct DriverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "driver",
        abstract: "Write and install drivers, and decide whose drivers may run.",
        discussion: """
            A driver is a folder NAME.driver with driver.yaml, its signature driver.yaml.sig (an SSH signature in the namespace \
            userdriver) and an executable. It runs only if it is signed by someone listed in /etc/userdriver/allowed_signers.

            Example:
              userdriver driver
              userdriver driver sign webcam.driver --key ~/.ssh/id_ed25519
              userdriver driver trust ~/.ssh/id_ed25519.pub
              userdriver driver install webcam.driver
            """,
        subcommands: [
            DriverNewCommand.self, DriverListCommand.self, DriverInstallCommand.self, DriverRollbackCommand.self,
            DriverRemoveCommand.self, DriverVerifyCommand.self, DriverSignCommand.self, DriverTrustCommand.self, DriverRevokeCommand.self,
        ], defaultSubcommand: DriverListCommand.self)
}

/// Whom a verb trusts.
struct TrustOptions: ParsableArguments {
    @Option(
        name: .customLong("allowed-signers"),
        help: ArgumentHelp(
            "A list of signers, in the format of OpenSSH's allowed_signers. Repeatable.",
            discussion:
                "Left out: /etc/userdriver/allowed_signers, /usr/lib/userdriver/allowed_signers, and allowed_signers beside this program.",
            valueName: "file"),
        completion: .file())
    var allowedSigners: [String] = []

    @Option(
        name: .customLong("revoked-keys"),
        help: ArgumentHelp(
            "A list of revoked keys: a KRL, or public keys. Left out: /etc/userdriver/revoked_keys. Repeatable.", valueName: "file"),
        completion: .file())
    var revokedKeys: [String] = []

    @Flag(help: "Accept unsigned drivers. For development only.")
    var allowUnsigned = false

    var trust: DriverTrust {
        var files = DriverPlaces.trust
        if !allowedSigners.isEmpty { files.allowedSigners = allowedSigners }
        if !revokedKeys.isEmpty { files.revokedKeys = revokedKeys }
        let trust = DriverTrust(reading: files, allowsUnsigned: allowUnsigned)
        for problem in trust.problems { Terminal.note("userdriver: \(problem)") }
        return trust
    }
}

/// Which daemon is told of a change.
struct ReloadOptions: ParsableArguments {
    @Flag(name: .customLong("no-reload"), help: "Don't tell the running daemon.")
    var noReload = false

    @OptionGroup var daemon: DaemonOptions

    /// Has a daemon that runs take up what has changed. Streams go on.
    func reload() async throws {
        guard !noReload else { return }
        let client = daemon.client
        do {
            try await client.reloadDrivers()
        } catch let error where error.code == .daemonNotRunning {
            Terminal.note("No daemon is running; this takes effect when one starts.")
        }
    }
}

/// Where drivers are installed.
struct InstallationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The folder of drivers. Left out: \(DriverPlaces.localDrivers).", valueName: "folder"), completion: .directory)
    var directory: String?

    @OptionGroup var change: ReloadOptions

    var installer: BundleInstaller { BundleInstaller(folder: directory ?? DriverPlaces.localDrivers) }

    func reload() async throws { try await change.reload() }
}

/// What has been done to a driver, for scripts.
struct DriverChange: Encodable {
    var id: String
    var version: String
    var path: String
    var signer: String?
    var key: String?
    var previousVersion: String?
    var changed: Bool

    init(_ installed: BundleInstaller.Installed) {
        self.init(installed.bundle, changed: !installed.wasThere)
        previousVersion = installed.previousVersion
    }

    init(_ bundle: DriverBundle, changed: Bool) {
        id = bundle.manifest.id
        version = bundle.manifest.version
        path = bundle.path
        signer = bundle.verdict.signer?.name
        key = bundle.verdict.signer?.key.fingerprint
        self.changed = changed
    }

    var voucher: String { signer.map { "signed by \($0) (\(key ?? ""))" } ?? "unsigned" }
}

struct DriverListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the drivers, including refused ones, and who signed them (the default).",
        discussion: """
            Asks the daemon. If none is running, or with --directory, it reads the folders itself.

            Example:
              userdriver driver list --json
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var trust: TrustOptions
    @Option(help: ArgumentHelp("Read this folder of drivers instead of asking the daemon. Repeatable.", valueName: "folder"))
    var directory: [String] = []

    struct DriverList: Encodable {
        var drivers: [DriverStatus]
    }

    func run() async throws {
        let client = daemon.client
        try show(directory.isEmpty ? try await Self.known(to: client) : nil)
    }

    /// `nil` when no daemon runs.
    private static func known(to client: UserDriverClient) async throws -> [DriverStatus]? {
        do {
            return try await client.drivers()
        } catch let error where error.code == .daemonNotRunning {
            return nil
        }
    }

    private func show(_ known: [DriverStatus]?) throws {
        let drivers =
            known ?? DriverCatalog(folders: directory.isEmpty ? DriverPlaces.drivers : directory, trust: trust.trust).statuses
        if output.json { return try output.printJSON(DriverList(drivers: drivers)) }
        if drivers.isEmpty { return Terminal.note("No driver is installed.") }
        try Terminal.print(Self.table(drivers))
        for driver in drivers where driver.state == .refused {
            try Terminal.printWrapped("\(driver.path): \(driver.reason ?? "")")
        }
    }

    static func table(_ drivers: [DriverStatus]) -> TextTable {
        var table = TextTable("DRIVER", "VERSION", "STATE", "SIGNED BY", "PATH", spared: [4, 3])
        for driver in drivers {
            table.add(
                .init(driver.id.isEmpty ? "–" : driver.id, .bold), .init(driver.version.isEmpty ? "–" : driver.version),
                .init(driver.state.rawValue, driver.state == .ready ? .green : .red),
                .init(driver.signer ?? (driver.state == .ready ? "nobody" : "–"), driver.signer == nil ? .yellow : nil), .init(driver.path))
        }
        return table
    }
}
