// Fuzzes the USB/IP messages.

import USB
import USBIP

enum USBIPFuzz: FuzzTarget {
    static let name = "usbip"
    static let seeds: [[UInt8]] = [
        DeviceList([
            DeviceListEntry(
                device: DeviceRecord(
                    path: "/sys/devices/1-1", busID: "1-1", busNumber: 1, deviceNumber: 2, speed: .high, vendorID: 0x1209, productID: 1,
                    release: 0x0100, deviceClass: 0xef, deviceSubclass: 2, deviceProtocol: 1, configurationValue: 1,
                    configurationCount: 1, interfaceCount: 1),
                interfaces: [InterfaceRecord(interfaceClass: 14, interfaceSubclass: 1, interfaceProtocol: 0)])
        ]).bytes,
        ImportRequest(busID: "1-1").bytes,
        URBHeader.submit(
            SubmitCommand(
                sequence: 1, deviceID: 0x10002, endpoint: EndpointAddress(rawValue: 0x81), flags: 2, length: 3072, packetCount: 1,
                interval: 1)
        ).bytes + IsochronousDescriptor(offset: 0, length: 3072).bytes,
        URBHeader.submitReply(SubmitReply(sequence: 1, status: 0, actualLength: 12, packetCount: 1)).bytes,
        URBHeader.unlink(UnlinkCommand(sequence: 2, deviceID: 0x10002, victim: 1)).bytes,
        URBHeader.unlinkReply(UnlinkReply(sequence: 2, status: -104)).bytes,
    ]

    static func run(_ bytes: [UInt8]) {
        if case .complete(let list)? = attempt({ () throws(USBIPError) in try DeviceList.decode(bytes) }) {
            precondition(list.entries.count <= USBIPLimit.devices)
            for entry in list.entries { precondition(entry.interfaces.count == Int(entry.device.interfaceCount)) }
            _ = list.bytes
        }
        if let request = attempt({ () throws(USBIPError) in try ImportRequest(decoding: bytes) }) {
            precondition(request.busID.unicodeScalars.count <= 32)
            _ = request.bytes
        }
        guard let header = attempt({ () throws(USBIPError) in try URBHeader(decoding: bytes) }) else { return }
        let again = attempt { () throws(USBIPError) in try URBHeader(decoding: header.bytes) }
        precondition(again == header, "what was decoded is encoded as the same")
        guard case .submit(let command) = header else { return }
        precondition(command.length <= USBIPLimit.transferBytes && command.packetCount <= USBIPLimit.packets)
        bytes.withUnsafeBytes { raw in
            let rest = UnsafeRawBufferPointer(rebasing: raw[URBHeader.byteCount...])
            _ = attempt { () throws(USBIPError) in
                try IsochronousDescriptor.areWithin(length: command.length, descriptors: rest, count: command.packetCount)
            }
        }
    }

    private static func attempt<Value>(_ body: () throws(USBIPError) -> Value) -> Value? {
        do throws(USBIPError) { return try body() } catch {
            precondition(!error.description.isEmpty)
            return nil
        }
    }
}
