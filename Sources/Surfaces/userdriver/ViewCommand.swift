// `userdriver view`: a camera's live picture, in a browser or in a window of ffplay's.

import ArgumentParser
import FileDescriptors
import Glibc
import Synchronization
import UserDriverClient
import Wire

struct ViewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "view",
        abstract: "Watch a camera's live picture.",
        discussion: """
            Opens the web page with this camera on it: that of `userdriver up` if it serves one, else one of its own until Ctrl-C. \
            Without a desktop it prints the link instead. Keep the link to yourself: anyone who has it can watch, set controls, \
            and scan.

            --player shows the camera's MJPEG in an ffplay window; ffplay comes with ffmpeg.

            A slow viewer skips to the newest frame, so that nothing piles up.

            Example:
              userdriver view
              userdriver view 1209:0001
              userdriver view --player
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    @Flag(help: "Show it in an ffplay window instead of a browser.")
    var player = false

    func run() throws {
        // Before other threads are started.
        let interrupts = try Interrupt.descriptor()
        let (client, selector) = (daemon.client, target.selector)
        let found = Mutex<DeviceStatus?>(nil)
        try Awaited.run {
            let camera = try ChosenCamera.device(among: try await client.devices(selector), selector: selector)
            found.withLock { $0 = camera }
        }
        guard let camera = found.withLock({ $0 }) else { return }
        if player {
            try PlayerSession(camera: camera.id, directory: client.runtimeDirectory, interrupts: interrupts.number).run()
        } else {
            var session = PageSession(camera: camera.id, directory: client.runtimeDirectory, interrupts: interrupts.number)
            try session.run()
        }
    }
}
