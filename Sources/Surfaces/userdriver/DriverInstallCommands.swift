// `userdriver driver install`, `rollback`, `remove`: what is in a folder of drivers.

import ArgumentParser
import Bundles

struct DriverInstallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install", abstract: "Verify a driver and install it; its devices switch to it at once.",
        discussion: """
            Exactly what was verified is installed, in one step. The previous version is kept for rollback. Streams go on while \
            the driver is replaced. A new version that dies three times within a minute is replaced by the old one.

            Example:
              userdriver driver install webcam.driver
            """)

    @Argument(help: ArgumentHelp("The driver's folder, NAME.driver.", valueName: "folder"), completion: .directory)
    var bundle: String
    @OptionGroup var installation: InstallationOptions
    @OptionGroup var trust: TrustOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        if try install() { try await installation.reload() }
    }

    /// False when it was there already.
    private func install() throws -> Bool {
        let installed = try installation.installer.install(from: Path.plain(bundle), trust: trust.trust)
        let change = DriverChange(installed)
        if output.json {
            try output.printJSON(change)
        } else if installed.wasThere {
            try Terminal.print("\(change.id) \(change.version) is already installed, \(change.voucher).")
        } else {
            let instead = installed.previousVersion.map { " in place of \($0)" } ?? ""
            try Terminal.print("\(change.id) \(change.version) is installed\(instead), \(change.voucher): \(change.path)")
        }
        return !installed.wasThere
    }
}

struct DriverRollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Bring back the previous version of a driver.",
        discussion: """
            The current version becomes the previous one: a second rollback undoes the first.

            Example:
              userdriver driver rollback webcam
            """)

    @Argument(help: ArgumentHelp("The driver's name: its folder without .driver.", valueName: "name"))
    var name: String
    @OptionGroup var installation: InstallationOptions
    @OptionGroup var trust: TrustOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try rollBack()
        try await installation.reload()
    }

    private func rollBack() throws {
        let change = DriverChange(try installation.installer.rollback(name, trust: trust.trust))
        if output.json {
            try output.printJSON(change)
        } else {
            let instead = change.previousVersion.map { " in place of \($0)" } ?? ""
            try Terminal.print("\(change.id) \(change.version) is back\(instead), \(change.voucher).")
        }
    }
}

struct DriverRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a driver, with its previous version.",
        discussion: """
            Its devices switch to another driver that matches them, or are left without one.

            Example:
              userdriver driver remove webcam
            """)

    @Argument(help: ArgumentHelp("The driver's name: its folder without .driver.", valueName: "name"))
    var name: String
    @OptionGroup var installation: InstallationOptions

    func run() async throws {
        try installation.installer.remove(name)
        try await installation.reload()
    }
}

enum Path {
    /// Without slashes at its end.
    static func plain(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }
}
