// `userdriver emulate scanner`: a scanner in software, served over USB/IP.

import ArgumentParser
import CLinux
import FileDescriptors
import EmulatedScanner
import Glibc
import USB
import USBEmulation

struct EmulateScannerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scanner",
        abstract: "A scanner: platen and duplex feeder, eSCL over IPP over USB, pages that say which sheet they are.",
        discussion: """
            Prints the address of each scanner on a line of its own, usbip://HOST:PORT/BUSID, then serves until Ctrl-C. Like a \
            real scanner, it keeps its state when hosts come and go: a sheet that was fed is gone, a job that nobody ends stays \
            open, and what one host left unread is still in the pipe for the next.

            Example:
              userdriver emulate scanner --sheets 10
              userdriver emulate scanner --port 0 --pace desktop --fault jam@3

            As root, give it to Linux's own drivers (and to ipp-usb, if installed):
              usbip attach -r 127.0.0.1 -b 1-1
            """)

    @Option(help: ArgumentHelp("The TCP port to serve on; 0 lets the system choose.", valueName: "port"))
    var port: UInt16 = 3240

    @Option(help: ArgumentHelp("The numeric address to serve on. Whoever can reach it can use the scanner.", valueName: "address"))
    var address = "127.0.0.1"

    @Option(help: ArgumentHelp("How many scanners.", valueName: "count"))
    var count = 1

    @OptionGroup var scanner: EmulatedScannerArguments

    @Flag(name: [.short, .long], help: "Report what happens on standard error: requests, sheets, pages that were read to the end.")
    var verbose = false

    func validate() throws {
        guard (1...16).contains(count) else { throw ValidationError("--count must be from 1 to 16.") }
    }

    func run() throws {
        clinux_set_name("userdriver")
        let interrupts = try Interrupt.descriptor()
        let log: (@Sendable (String) -> Void)? = verbose ? { @Sendable in Terminal.note($0) } : nil
        let devices = try (0..<count).map { (busID: "1-\($0 + 1)", device: try scanner.device($0, log: log) as any EmulatedDevice) }
        let server = EmulationServer(devices: devices, address: address, port: port, log: log)
        try EmulationService(server: server, address: address, busIDs: devices.map(\.busID), kind: "scanner").run(until: interrupts.number)
    }
}
