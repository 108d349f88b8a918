// `userdriver emulate echo`: a device that answers questions, for tests of conversations. Not
// listed among the verbs.

import ArgumentParser
import CLinux
import FileDescriptors
import EmulatedEcho
import Glibc
import USB
import USBEmulation

struct EmulateEchoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "A device that answers questions over pairs of bulk endpoints, and checks every byte it is sent.",
        discussion: """
            EXAMPLE
              userdriver emulate echo --port 0
            """,
        shouldDisplay: false)

    @Option(help: ArgumentHelp("The TCP port to serve on; 0 lets the system choose.", valueName: "port"))
    var port: UInt16 = 3240

    func run() throws {
        clinux_set_name("userdriver")
        let interrupts = try Interrupt.descriptor()
        let device = EmulatedEcho { Terminal.note($0) }
        let server = EmulationServer(devices: [("1-1", device)], port: port)
        do {
            try Terminal.print("usbip://127.0.0.1:\(try server.start())/1-1")
        } catch let error as USBError {
            throw CommandFailure("The echo device can't be served: \(error)")
        }
        defer { server.stop() }
        try EmulationService.wait(for: interrupts.number)
        for (index, figures) in device.figures.enumerated() {
            let verdict = figures.wrongAt.map { "a byte at \($0) that was not expected" } ?? "each byte came once"
            try Terminal.print("pair \(index + 1): \(figures.questions) questions, \(figures.bytesTaken) bytes taken, \(verdict)")
        }
        try Terminal.print("taken by a host \(device.attachments) times")
    }
}
