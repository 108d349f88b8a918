// `userdriver stack`: the layers that a device stands on.

import ArgumentParser
import DeviceStack

struct StackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stack",
        abstract: "Show every layer that a device depends on, and its health.",
        discussion: """
            Bottom to top: host controller, root hub, port, power, usbfs node, kernel driver, bandwidth, memory for transfers (or, over \
            USB/IP, server and connection), then class, driver, process, stream and clients. Each is ok, warning, broken or unknown. A \
            fault in a lower layer looks like a fault in those above it: fix the lowest one first.

            --json prints {device, name, health, layers}; each layer is {layer, health, summary, facts} and, if it is not ok, why and \
            remedy.

            Example:
              userdriver stack
              userdriver stack 1209:0001 --json | jq -r '.layers[].health'
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var target: DeviceArgument

    func run() async throws {
        let examination = Examination(client: daemon.client)
        try show(try await examination.device(target.selector))
    }

    private func show(_ report: StackReport) throws {
        if output.json { return try output.printJSON(report) }
        for line in StackText.forTerminal.lines(report) { try Terminal.print(line, styled: true) }
    }
}
