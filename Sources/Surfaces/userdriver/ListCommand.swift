// `userdriver list`: what is there.

import ArgumentParser
import UserDriverClient
import Wire

/// The shape of `status --json` and `list --json`.
struct DeviceList: Encodable {
    var devices: [DeviceStatus]
    /// Addresses where no device is, and why; left out where there are none.
    var attachments: [Diagnosis.Attachment]?
}

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the devices that are, or were, attached.",
        discussion: """
            Example:
              userdriver list
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = daemon.client
        try show(try await client.devices())
    }

    private func show(_ devices: [DeviceStatus]) throws {
        if output.json { return try output.printJSON(DeviceList(devices: devices)) }
        if devices.isEmpty { return Terminal.note("No device is attached. To try one in software: userdriver up --emulate webcam") }
        try Terminal.print(Self.table(devices))
    }

    static func table(_ devices: [DeviceStatus]) -> TextTable {
        var table = TextTable("DEVICE", "NAME", "KIND", "STATE", "BUS", spared: [1, 2, 4])
        for device in devices {
            table.add(
                .init(device.id, .bold), .init(device.name), .init(device.kind.isEmpty ? "–" : device.kind), StateWords.cell(device.state),
                .init(device.bus))
        }
        return table
    }
}

/// A device's state, in a colour that says whether all is well.
enum StateWords {
    static func cell(_ state: DeviceStatus.State) -> TextTable.Cell {
        switch state {
        case .running: .init(state.rawValue, .green)
        case .starting, .backoff: .init(state.rawValue, .yellow)
        case .failed: .init(state.rawValue, .red)
        case .absent, .unsupported, .kernel: .init(state.rawValue, .faint)
        }
    }
}
