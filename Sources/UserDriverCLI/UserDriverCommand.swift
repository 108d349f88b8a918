// The command line's root: its verbs, and how a process of it begins and ends.

import ArgumentParser
import Glibc

/// `userdriver`
struct UserDriverCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "userdriver",
        abstract: "Webcams driven outside the kernel: see them, watch them, try them.",
        discussion: """
            A daemon, userdriverd, drives each device in a process of its own and replaces that process when it dies; streams go on. \
            This command talks to it.

            To try it without a camera:
              userdriver up --emulate webcam        (and in another terminal)
              userdriver snap -o photo.jpg
              userdriver stream --frames 300 --stats json

            DEVICE is an id, vid:pid, a bus path or part of the name; left out, the only one there is.

            ENVIRONMENT
              USERDRIVER_RUNTIME_DIR  the daemon's folder, like --runtime-dir
              NO_COLOR                no colours, even on a terminal

            EXIT STATUS
              0 done, 1 failed, 2 wrong usage, 3 no such device, 4 not permitted
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(
                name: "What is there",
                subcommands: [
                    ListCommand.self, StatusCommand.self, InspectCommand.self, StackCommand.self, DoctorCommand.self,
                    CrashesCommand.self, CaptureCommand.self,
                ]),
            CommandGroup(name: "Webcams", subcommands: [SnapCommand.self, StreamCommand.self, ControlsCommand.self]),
            CommandGroup(
                name: "Devices and drivers",
                subcommands: [
                    DriverCommand.self, TakeCommand.self, ReleaseCommand.self, RestartCommand.self, AttachCommand.self, DetachCommand.self,
                ]),
            CommandGroup(name: "Trying it", subcommands: [UpCommand.self, EmulateCommand.self]),
        ])
}

enum Version {
    static let number = "0.1.0"
    static let text = "userdriver \(number)"
}

@main
enum Main {
    /// Sendable: the main thread hands the command over and only waits until it has run.
    private struct Handed: @unchecked Sendable {
        let command: any AsyncParsableCommand
    }

    /// Runs on the process's main thread and keeps it: children that are to die with this process are tied to the thread that spawned them.
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            var command = try UserDriverCommand.parseAsRoot(arguments)
            if let asyncCommand = command as? any AsyncParsableCommand {
                let handed = Handed(command: asyncCommand)
                try Awaited.run {
                    var command = handed.command
                    try await command.run()
                }
            } else {
                try command.run()
            }
        } catch {
            exit(ExitStatus.report(error))
        }
    }
}
