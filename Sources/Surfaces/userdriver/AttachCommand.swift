// `userdriver attach` and `detach`: devices on other machines.

import ArgumentParser
import UserDriverClient

struct AttachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach",
        abstract: "Drive a device that another machine, or an emulator, offers over USB/IP.",
        discussion: """
            The daemon keeps looking for the device until you detach it, even when the server goes away or the daemon restarts. \
            `userdriver status` says what is missing. No kernel module is needed.

            Example:
              userdriver attach usbip://127.0.0.1:3240/1-1
            """)

    @Argument(help: ArgumentHelp("usbip://HOST[:PORT]/BUSID. Without a port, 3240.", valueName: "url"))
    var url: String
    @OptionGroup var daemon: DaemonOptions

    func validate() throws { try USBIPAddress.validate(url) }
    func run() async throws { try await daemon.client.attach(url) }
}

struct DetachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Detach a device that was attached over USB/IP.",
        discussion: """
            Example:
              userdriver detach usbip://127.0.0.1:3240/1-1
            """)

    @Argument(help: ArgumentHelp("The address it was attached with.", valueName: "url"))
    var url: String
    @OptionGroup var daemon: DaemonOptions

    func validate() throws { try USBIPAddress.validate(url) }
    func run() async throws { try await daemon.client.detach(url) }
}

/// `usbip://HOST[:PORT]/BUSID`, as far as a mistake in it can be told before anybody is asked.
enum USBIPAddress {
    static func isValid(_ text: String) -> Bool {
        guard text.hasPrefix("usbip://") else { return false }
        let parts = text.dropFirst("usbip://".count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, (1...31).contains(parts[1].utf8.count) else { return false }
        var host = parts[0]
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            let rest = host[host.index(after: end)...]
            guard end > host.index(after: host.startIndex) else { return false }
            return rest.isEmpty || rest.hasPrefix(":") && isPort(rest.dropFirst())
        }
        if let colon = host.firstIndex(of: ":") {
            guard isPort(host[host.index(after: colon)...]) else { return false }
            host = host[..<colon]
        }
        return !host.isEmpty
    }

    private static func isPort(_ text: Substring) -> Bool { (UInt16(text) ?? 0) > 0 }

    static func validate(_ text: String) throws {
        guard isValid(text) else {
            throw ValidationError(
                "'\(text)' is not the address of a device. It has the form usbip://HOST[:PORT]/BUSID, as in usbip://127.0.0.1:3240/1-1.")
        }
    }
}
