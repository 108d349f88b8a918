// `userdriver emulate`: devices in software, served over USB/IP.

import ArgumentParser
import CLinux
import FileDescriptors
import EmulatedWebcam
import Glibc
import USB
import USBEmulation

struct EmulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "emulate",
        abstract: "Emulate a USB device and serve it over USB/IP.",
        discussion: """
            To Linux's own drivers (usbip attach) and to `userdriver attach` it looks like a real device.

            Example:
              userdriver emulate webcam
              userdriver emulate scanner --sheets 3
            """,
        subcommands: [EmulateWebcamCommand.self, EmulateScannerCommand.self, EmulateEchoCommand.self])
}

struct EmulateWebcamCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webcam",
        abstract: "A webcam: MJPEG, YUY2 and NV12, controls that change the picture, a stamp in every frame.",
        discussion: """
            Prints the address of each camera on a line of its own, usbip://HOST:PORT/BUSID, then serves until Ctrl-C. Like a real camera's, \
            its frames follow the clock whether or not anyone reads them.

            Example:
              userdriver emulate webcam
              userdriver emulate webcam --port 0 --bulk --fault disconnect@300

            As root, give it to Linux's own driver, or let a board with a USB device port become it:
              usbip attach -r 127.0.0.1 -b 1-1
              userdriver emulate webcam --gadget
            """)

    @Option(help: ArgumentHelp("The TCP port to serve on; 0 lets the system choose.", valueName: "port"))
    var port: UInt16 = 3240

    @Option(help: ArgumentHelp("The numeric address to serve on. Whoever can reach it can use the camera.", valueName: "address"))
    var address = "127.0.0.1"

    @Option(help: ArgumentHelp("How many cameras.", valueName: "count"))
    var count = 1

    @Flag(
        help:
            "Be the camera at the other end of a real cable, through this machine's USB device controller (GadgetFS): with --bulk and a few sizes. Needs root."
    )
    var gadget = false

    @Option(help: ArgumentHelp("The USB device controller for --gadget, a name in /sys/class/udc.", valueName: "name"))
    var udc: String?

    @OptionGroup var camera: EmulatedWebcamArguments

    @Flag(name: [.short, .long], help: "Report what happens on standard error.")
    var verbose = false

    func validate() throws {
        guard (1...16).contains(count) else { throw ValidationError("--count must be from 1 to 16.") }
        guard !gadget || count == 1 else {
            throw ValidationError("A USB device controller can only be one device: --gadget needs --count 1.")
        }
        guard !gadget || !camera.infrared else {
            throw ValidationError("--gadget can't be combined with --infrared: GadgetFS sends at most 256 bytes of descriptors.")
        }
        guard gadget || udc == nil else { throw ValidationError("--udc needs --gadget.") }
    }

    func run() throws {
        clinux_set_name("userdriver")
        let interrupts = try Interrupt.descriptor()
        if camera.hasHands { HandSignals.block() }
        let log: (@Sendable (String) -> Void)? = verbose ? { @Sendable in Terminal.note($0) } : nil
        guard !gadget else { return try serveGadget(until: interrupts.number, log) }
        let devices: [(busID: String, device: any EmulatedDevice)]
        do {
            devices = try (0..<count).map { ("1-\($0 + 1)", try camera.device($0, log: log)) }
        } catch {
            throw CommandFailure("The emulated webcam can't be created: \(error)")
        }
        if camera.hasHands { try HandSignals.pass(to: devices.compactMap { $0.device as? EmulatedWebcam }) }
        let server = EmulationServer(
            devices: devices, address: address, port: port, lateness: camera.late == .hold ? .hold : .drop, log: log)
        try EmulationService(server: server, address: address, busIDs: devices.map(\.busID), kind: "webcam").run(until: interrupts.number)
    }

    private func serveGadget(until interrupts: Int32, _ log: (@Sendable (String) -> Void)?) throws {
        let webcam: EmulatedWebcam
        do {
            var options = try camera.options(0)
            options.variant = .bulk
            options.formats = [.mjpeg, .yuy2]
            options.repertoire = .compact
            webcam = try EmulatedWebcam(options: options, log: log)
        } catch {
            throw CommandFailure("The emulated webcam can't be created: \(error)")
        }
        if camera.hasHands { try HandSignals.pass(to: [webcam]) }
        let gadget = USBGadget(webcam, controller: udc, log: log)
        do {
            try Terminal.print("gadget:\(try gadget.start())")
        } catch let error as USBError {
            throw CommandFailure(
                "The emulated webcam can't be a USB gadget: \(error)",
                status: error.code == .accessDenied ? ExitStatus.notPermitted : ExitStatus.failed)
        }
        defer { gadget.stop() }
        try EmulationService.wait(for: interrupts)
    }
}
