// `userdriver restart`: a driver is ended and started again.

import ArgumentParser
import UserDriverClient

struct RestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Stop a device's driver and start it again.",
        discussion: """
            Also gives another chance to a device that the daemon has given up on (state failed). Streams go on.

            Example:
              userdriver restart
              userdriver restart 1209:0001
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws { try await daemon.client.restart(target.selector) }
}
