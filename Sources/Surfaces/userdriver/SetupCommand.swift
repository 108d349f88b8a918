// `userdriver setup`: whether this machine's devices are UserDriver's or the kernel's drivers', all of them at once.

import ArgumentParser
import Bundles
import Glibc
import UserDriverClient
import Wire

extension SetupChoice: ExpressibleByArgument {}

struct SetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup",
        abstract: "Take all devices from the kernel's drivers, or give all of them back.",
        discussion: """
            all takes every device that has a driver, except those that /etc/userdriver/userdriver.yaml leaves; none gives \
            everything back, whatever that file takes; rules lets that file decide. Choices made for single devices with `take` \
            and `release` are forgotten. The setting holds now and for devices plugged in later. Without --take, the command shows \
            the current setting and what would change, and asks.

            Example:
              userdriver setup
              userdriver setup --take all --dry-run
              userdriver setup --take none
            """)

    @Option(help: ArgumentHelp("Which devices are taken.", valueName: "which"))
    var take: SetupChoice?
    @Flag(help: "Say what would change, and change nothing.")
    var dryRun = false
    @Option(help: .hidden)
    var settings = DriverPlaces.settings
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    private var path: String { Path.plain(settings) + "/" + SetupFile.name }

    /// The system's daemon, unless another one is named: one that somebody runs by themselves takes nothing by this file.
    private var client: UserDriverClient {
        var client = UserDriverClient(
            runtimeDirectory: daemon.runtimeDirectory == nil && getenv(RuntimeDirectory.variable) == nil
                ? .system : daemon.client.runtimeDirectory)
        // As long as the kernel's drivers ask their devices this and that.
        client.callTimeout = .seconds(120)
        return client
    }

    func validate() throws {
        guard take == nil, !Terminal.isTerminal(STDIN_FILENO) || output.json else { return }
        throw ValidationError("Say what to take: --take all, --take none or --take rules.")
    }

    // In pieces that swiftc 6.3.1 does not crash on: errors of a known type, caught by a condition between suspensions, are too much for it.
    func run() async throws {
        guard let choice = try await choice() else { return }
        if !dryRun { try SetupFile.write(choice, path) }
        let changes = try await changes(choice, apply: !dryRun)
        if changes == nil, !dryRun, settings == DriverPlaces.settings { try Self.forgetChoices() }
        try show(choice, changes, applied: !dryRun)
        if changes?.contains(where: { $0.failure != nil }) == true, !dryRun { throw ExitCode(ExitStatus.failed) }
    }

    @inline(never)
    private func choice() async throws -> SetupChoice? {
        if let take { return take }
        return try await ask()
    }

    /// What changes, or would change; `nil` if no daemon runs.
    @inline(never)
    private func changes(_ choice: SetupChoice, apply: Bool) async throws -> [SetUpChange]? {
        do {
            return try await client.setUp(take: choice.rawValue, apply: apply)
        } catch {
            guard error.code == .daemonNotRunning else { throw error }
            return nil
        }
    }

    /// Says how it is, and asks how it is to be. `nil`: as it is.
    @inline(never)
    private func ask() async throws -> SetupChoice? {
        try Terminal.print("Now: \(Self.words(try SetupFile.read(path))).")
        for choice in SetupChoice.allCases {
            let changes = try await changes(choice, apply: false)
            try Terminal.print("\(choice): \(Self.words(choice)).")
            for line in Self.lines(changes, applied: false) { try Terminal.print("  " + line) }
        }
        if dryRun { return nil }
        while true {
            try Terminal.print("Take all, none or rules? An empty line leaves it as it is.")
            guard let answer = readLine(), !answer.allSatisfy(\.isWhitespace) else { return nil }
            if let choice = SetupChoice(rawValue: answer.lowercased().filter { !$0.isWhitespace }) { return choice }
        }
    }

    private struct Result: Encodable {
        var take: String
        var applied: Bool
        /// Left out where no daemon runs.
        var changes: [SetUpChange]?
    }

    private func show(_ choice: SetupChoice, _ changes: [SetUpChange]?, applied: Bool) throws {
        if output.json { return try output.printJSON(Result(take: choice.rawValue, applied: applied, changes: changes)) }
        if applied { try Terminal.print("From now on: \(Self.words(choice)).") }
        for line in Self.lines(changes, applied: applied) { try Terminal.print(line) }
    }

    static func words(_ choice: SetupChoice) -> String {
        switch choice {
        case .all: "devices that have a driver are taken from the kernel's drivers"
        case .none: "devices are left to the kernel's drivers"
        case .rules: "/etc/userdriver/userdriver.yaml says which devices are taken"
        }
    }

    static func lines(_ changes: [SetUpChange]?, applied: Bool) -> [String] {
        guard let changes else { return ["The daemon is not running; this takes effect when it starts."] }
        guard !changes.isEmpty else {
            return [applied ? "No device that is plugged in changed hands." : "No device that is plugged in would change hands."]
        }
        return changes.map { change in
            let name = "\(change.device) (\(change.name))"
            if let failure = change.failure { return "\(name): \(failure)" }
            let (taken, given) = applied ? ("is taken from", "is given back to") : ("would be taken from", "would be given back to")
            return "\(name) \(change.taken ? taken : given) the kernel's driver."
        }
    }

    /// What was chosen for single devices, where no daemon runs that could forget it.
    private static func forgetChoices() throws {
        guard unlink(DriverPlaces.choices) != 0, errno != ENOENT else { return }
        let number = errno
        throw CommandFailure(
            "\(DriverPlaces.choices), where single devices were chosen, can't be removed: \(String(cString: strerror(number))).",
            status: [EACCES, EPERM, EROFS].contains(number) ? ExitStatus.notPermitted : ExitStatus.failed)
    }
}
