// `userdriver doctor`: what is wrong, and what to mend first.

import ArgumentParser
import DeviceStack

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Find the lowest layer that is broken, why, and what mends it.",
        discussion: """
            Looks at the machine (USB in the kernel, usbfs, udev rule, group, daemon, socket, drivers), then at each device as `userdriver \
            stack` does. Nothing is changed, and no device is opened. Exit status: 0 when nothing is broken, 1 when something is.

            --json prints {health, broken, machine, devices}: broken is {device, layer} of the lowest broken layer, where there is one; \
            machine holds layers, devices what `userdriver stack --json` prints.

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
            for line in StackText(colours: Terminal.showsColours(1)).lines(report) { try Terminal.print(line, styled: true) }
        }
        if report.broken != nil { throw ExitCode(ExitStatus.failed) }
    }
}
