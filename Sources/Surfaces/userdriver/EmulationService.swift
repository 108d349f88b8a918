// Emulated devices served from the command line: started, told of, ended by Ctrl-C.

import CLinux
import Glibc
import USB
import USBEmulation

/// A server of devices in software.
struct EmulationService {
    let server: EmulationServer
    let address: String
    let busIDs: [String]
    /// What a person calls the device: `"webcam"`.
    let kind: String

    /// Serves and prints a URL for each device, until the descriptor is readable. Throws
    /// `CommandFailure`.
    func run(until interrupts: Int32) throws {
        let port: UInt16
        do {
            port = try server.start()
        } catch {
            throw CommandFailure(
                "The emulated \(kind) can't be served: \(error)",
                status: error.code == .accessDenied ? ExitStatus.notPermitted : ExitStatus.failed)
        }
        defer { server.stop() }
        let host = address.contains(":") ? "[\(address)]" : address
        let urls = busIDs.map { "usbip://\(host):\(port)/\($0)" }
        for url in urls { try Terminal.print(url) }
        if Terminal.isTerminal(STDOUT_FILENO), let first = urls.first {
            Terminal.note("Drive it with: userdriver attach \(first)   Ctrl-C stops it.")
        }
        try Self.wait(for: interrupts)
    }

    /// Until somebody wants it to end.
    static func wait(for interrupts: Int32) throws {
        while Interrupt.take(interrupts) == nil {
            var entry = pollfd(fd: interrupts, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, -1) >= 0 || errno == EINTR else {
                throw CommandFailure("poll failed: \(String(cString: strerror(errno))).")
            }
        }
    }
}
