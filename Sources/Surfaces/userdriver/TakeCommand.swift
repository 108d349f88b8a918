// `userdriver take` and `release`: whether a device is UserDriver's or the kernel's own driver's.

import ArgumentParser
import UserDriverClient

struct TakeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "take",
        abstract: "Take a device from the kernel's driver, now and whenever it is plugged in.",
        discussion: """
            No device is taken from the kernel unless someone asks for it. The daemon remembers the choice; the administrator's \
            rules are in /etc/userdriver/userdriver.yaml.

            Example:
              userdriver take
              userdriver take 1209:0001
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws { try await daemon.client.take(target.selector) }
}

struct ReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Give a device back to the kernel's driver, now and whenever it is plugged in.",
        discussion: """
            Its driver is stopped, and programs that watch it are told. When this command returns, the kernel's driver has the device.

            Example:
              userdriver release
              userdriver release 1209:0001
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws { try await daemon.client.release(target.selector) }
}
