// `userdriver doctor`: what is wrong, and what to fix first.

import ArgumentParser
import DeviceStack

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Find the lowest layer that is broken, why, and how to fix it.",
        discussion: """
            Checks the machine (USB in the kernel, usbfs, udev rule, group, daemon, socket, drivers), then each device as `userdriver stack` \
            does. It changes nothing and opens no device. Exit status: 0 when nothing is broken, 1 when something is.

            --json prints {health, broken, machine, devices}: broken is {device, layer} of the lowest broken layer, if there is one; \
            machine is an array of layers, devices an array of what `userdriver stack --json` prints.

            Example:
              userdriver doctor
              userdriver doctor --json | jq -r '.broken.layer.remedy'
            """)

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let examination = Examination(client: daemon.client)
        try show(await examination.everything())
    }

    private func show(_ report: DoctorReport) throws {
        if output.json {
            try output.printJSON(report)
        } else {
            for line in StackText.forTerminal.lines(report) { try Terminal.print(line, styled: true) }
        }
        if report.broken != nil { throw ExitCode(ExitStatus.failed) }
    }
}
