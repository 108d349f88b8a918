// `userdriver take` and `release`: whether a device is UserDriver's or the kernel's own driver's.

import ArgumentParser
import UserDriverClient

struct TakeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "take",
        abstract: "Take a device from the kernel's own driver, now and whenever it is plugged in.",
        discussion: """
            No device is taken from the kernel unless somebody asks for it. The daemon keeps the choice; /etc/userdriver/userdriver.yaml has \
            the administrator's.

            Example:
              userdriver take
              userdriver take 046d:0825
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws { try await daemon.client.take(target.device) }
}

struct ReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Give a device back to the kernel's own driver, now and whenever it is plugged in.",
        discussion: """
            Its driver is ended, and who watches it is told. The kernel's driver has the device when this returns.

            Example:
              userdriver release
              userdriver release 046d:0825
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws { try await daemon.client.release(target.device) }
}
