// `userdriver inspect`: what a device says it is.

import ArgumentParser
import Glibc
import USB
import UserDriverClient

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show a device's descriptors as a tree: formats, controls, and what is odd.",
        discussion: """
            A file is read without the daemon: binary as in sysfs (/sys/bus/usb/devices/1-2/descriptors), or hexadecimal text. \
            Anything else is a device that the daemon knows.

            Example:
              userdriver inspect
              userdriver inspect 1209:0001 --json
            """)

    @Argument(
        help: ArgumentHelp(
            "A file of descriptors, or an id, vid:pid, bus path or part of a device's name. Left out: the only device.",
            valueName: "device-or-file"), completion: .file())
    var subject: String?
    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        if let subject, Self.isFile(subject) { return try show(Self.report(ofFile: subject)) }
        let client = daemon.client
        let inspection = try await client.inspect(subject)
        try show(InspectReport(inspection.information))
    }

    private static func report(ofFile path: String) throws -> InspectReport {
        do {
            let report = InspectReport(descriptors: try DescriptorFile.load(path: path))
            guard report.descriptors.device != nil || !report.descriptors.configurations.isEmpty else {
                throw CommandFailure(
                    "\(path) holds no descriptors: it begins with neither a device descriptor nor a configuration descriptor.")
            }
            return report
        } catch let error as DescriptorFile.Failure {
            throw CommandFailure(error.description)
        }
    }

    private func show(_ report: InspectReport) throws {
        if output.json { return try output.printJSON(report.json()) }
        var text = report.text(width: Terminal.width(STDOUT_FILENO), utf8: Terminal.isUTF8)
        if text.hasSuffix("\n") { text.removeLast() }
        try Terminal.print(text)
    }

    /// A device's id could be a file's name too; then the file is meant only where it is written as a path.
    static func isFile(_ subject: String) -> Bool {
        // A function's id is its device's and the first interface's number: 1209:0001:EMU0001/2.
        let isFunction = subject.contains(":") && subject.split(separator: "/").count == 2 && subject.last?.isNumber == true
        if subject.contains("/"), !subject.hasPrefix("usbip://"), !isFunction || access(subject, F_OK) == 0 { return true }
        var status = stat()
        return stat(subject, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
    }
}

extension DeviceInspection {
    /// As the USB core describes a device.
    var information: USBDeviceInformation {
        USBDeviceInformation(
            path: bus, speed: USBSpeed(rawValue: UInt8(clamping: speed)) ?? .unknown, descriptors: descriptors, manufacturer: manufacturer,
            product: product, serialNumber: serialNumber)
    }
}
