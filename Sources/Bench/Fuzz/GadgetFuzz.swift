// Fuzzes the events of a USB device controller.

import USB
import USBEmulation

enum GadgetFuzz: FuzzTarget {
    static let name = "gadget"
    static let seeds: [[UInt8]] = [
        // A host at high speed.
        [3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        // GET_CUR of the probe control, then the host goes.
        [0xa1, 0x81, 0x00, 0x01, 0x01, 0x00, 0x22, 0x00, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0],
        // The bus is suspended.
        [0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0],
    ]

    static func run(_ bytes: [UInt8]) {
        do throws(USBError) {
            let events = try GadgetEvent.decode(bytes)
            precondition(events.count * GadgetEvent.byteCount == bytes.count)
            for (index, event) in events.enumerated() {
                guard case .setup(let setup) = event else { continue }
                precondition(setup.bytes == Array(bytes[index * GadgetEvent.byteCount..<index * GadgetEvent.byteCount + 8]))
            }
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}
