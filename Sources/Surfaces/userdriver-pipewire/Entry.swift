// `userdriver-pipewire`: shows the daemon's cameras to the programs of a session, through PipeWire.

import ArgumentParser
import Glibc
import PipeWireNodes
import UserDriverClient

@main
struct PipeWireCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "userdriver-pipewire",
        abstract: "Show the cameras to the programs of this session, through PipeWire.",
        discussion: """
            Each camera that the daemon drives becomes a node that programs find like any other camera: browsers and video calls \
            through the portal, others directly. Several programs may watch at once. The camera streams only while one does.

            It runs until it is stopped, waits for PipeWire and the daemon if they are not running, and reconnects when they come \
            back. Normally systemd runs it for each session: systemctl --user status userdriver-pipewire.

            Example:
              userdriver-pipewire
              gst-launch-1.0 pipewiresrc ! videoconvert ! autovideosink
            """)

    @Option(
        name: .customLong("runtime-dir"),
        help: ArgumentHelp("The folder of the daemon to show. Left out: the one that `userdriver` chooses.", valueName: "folder"),
        completion: .directory)
    var runtimeDirectory: String?

    @Option(help: ArgumentHelp("The name of PipeWire's socket, or its path. Left out: the session's.", valueName: "name"))
    var remote: String?

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        let client = UserDriverClient(runtimeDirectory: runtimeDirectory.map { RuntimeDirectory($0) })
        let keeper = NodeKeeper(client: client, remote: remote, log: NodeLog.write)
        Task {
            do {
                try await keeper.run()
            } catch {
                NodeLog.write("\(error)")
                Glibc.exit(1)
            }
        }
        // Signals end the process; its nodes and streams go with it.
        while true { pause() }
    }
}
