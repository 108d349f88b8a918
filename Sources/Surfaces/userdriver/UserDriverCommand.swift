// The command line's root: its verbs, and how a process of it begins and ends.

import ArgumentParser
import Glibc

/// `userdriver`
struct UserDriverCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "userdriver",
        abstract: "Drive webcams and scanners outside the kernel: list them, watch them, control them, scan.",
        discussion: """
            The daemon, userdriverd, drives each device in a process of its own. When that process dies, the daemon replaces it, \
            and streams go on. This command talks to the daemon.

            To try it without a camera:
              userdriver up --emulate webcam

            and in another terminal:
              userdriver view
              userdriver snap -o photo.jpg
              userdriver stream --frames 300 --stats json
              userdriver status

            DEVICE is an id, vid:pid, a bus path or part of the name. If you leave it out, it is the only device there is.

            ENVIRONMENT
              USERDRIVER_RUNTIME_DIR  the daemon's folder, like --runtime-dir
              COLUMNS                 the width of the terminal
              NO_COLOR                no colours, even on a terminal

            EXIT STATUS
              0  done
              1  failed: the message says why, and what to do
              2  wrong usage, a value out of range, a name that matches several devices
              3  no such device
              4  not permitted
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(
                name: "Looking around",
                subcommands: [
                    ListCommand.self, StatusCommand.self, InspectCommand.self, StackCommand.self, DoctorCommand.self,
                    CrashesCommand.self, CaptureCommand.self,
                ]),
            CommandGroup(
                name: "Webcams",
                subcommands: [
                    ViewCommand.self, SnapCommand.self, StreamCommand.self, RecordCommand.self, ControlsCommand.self, VideoCommand.self,
                    V4L2Command.self,
                    WatchersCommand.self, RevokeCommand.self,
                ]),
            CommandGroup(name: "Scanners", subcommands: [ScanCommand.self, PagesCommand.self]),
            CommandGroup(
                name: "Devices and drivers",
                subcommands: [
                    CallCommand.self, DriverCommand.self, SetupCommand.self, TakeCommand.self, ReleaseCommand.self, RestartCommand.self,
                    AttachCommand.self, DetachCommand.self,
                ]),
            CommandGroup(name: "Trying it", subcommands: [UpCommand.self, EmulateCommand.self]),
        ])
}

enum Version {
    static let number = "0.1.0"
    static let text = "userdriver \(number)"
}

/// Descriptors 0 to 2.
enum StandardDescriptors {
    /// Whoever started this may have closed some: a socket or a file that got such a number would be written to as if it were the output. What
    /// stands in their place can't be written to, so that a missing output is an error as ever.
    static func occupy() {
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest number that is free.
            _ = open("/dev/null", O_RDONLY)
        }
    }
}

/// Asynchronous work that Ctrl-C ends in its own way: `Interrupt.onFirst`.
protocol InterruptibleCommand: AsyncParsableCommand {}

@main
enum Main {
    /// Sendable: the main thread hands the command over and only waits until it has run.
    private struct Handed: @unchecked Sendable {
        let command: any AsyncParsableCommand
    }

    /// Runs on the process's main thread and keeps it: children that are to die with this process are tied to the thread that spawned them.
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        StandardDescriptors.occupy()
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            var command = try UserDriverCommand.parseAsRoot(arguments)
            if let asyncCommand = command as? any AsyncParsableCommand {
                if command is any InterruptibleCommand { try Interrupt.prepare() }
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
