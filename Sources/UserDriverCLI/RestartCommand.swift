// `userdriver restart`: a driver is ended and started again.

import ArgumentParser
import UserDriverClient

struct RestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "End a device's driver and start it again.",
        discussion: """
            Also takes up again a device that the daemon has given up (state failed). Streams that are being watched go on.

            Example:
              userdriver restart
              userdriver restart 046d:0825
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws { try await daemon.client.restart(target.device) }
}
