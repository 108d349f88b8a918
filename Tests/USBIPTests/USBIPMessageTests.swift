// The messages of USB/IP 1.1.1, byte by byte.

import Testing
import USB
import USBIP

@Suite struct USBIPMessageTests {
    private static let record = DeviceRecord(
        path: "/sys/devices/pci0000:00/usb3/3-2", busID: "3-2", busNumber: 3, deviceNumber: 2, speed: .high, vendorID: 0x1209,
        productID: 0x0001, release: 0x0102, deviceClass: 0xef, deviceSubclass: 2, deviceProtocol: 1, configurationValue: 1,
        configurationCount: 1, interfaceCount: 2)

    private static func text(_ text: String, _ size: Int) -> [UInt8] {
        Array(text.utf8) + [UInt8](repeating: 0, count: size - text.utf8.count)
    }

    private static let recordBytes: [UInt8] =
        text("/sys/devices/pci0000:00/usb3/3-2", 256)  // path
        + text("3-2", 32)  // busid
        + [
            0, 0, 0, 3,  // busnum
            0, 0, 0, 2,  // devnum
            0, 0, 0, 3,  // speed: high
            0x12, 0x09,  // idVendor
            0x00, 0x01,  // idProduct
            0x01, 0x02,  // bcdDevice
            0xef, 2, 1,  // bDeviceClass, bDeviceSubClass, bDeviceProtocol
            1,  // bConfigurationValue
            1,  // bNumConfigurations
            2,  // bNumInterfaces
        ]

    @Test func deviceListRequestIsEightBytes() throws {
        let bytes: [UInt8] = [
            0x01, 0x11,  // version 1.1.1
            0x80, 0x05,  // OP_REQ_DEVLIST
            0, 0, 0, 0,  // status, unused
        ]
        #expect(OperationHeader(.requestDeviceList).bytes == bytes)
        #expect(try OperationHeader(decoding: bytes) == OperationHeader(.requestDeviceList))
    }

    @Test func importRequestIsFortyBytes() throws {
        let bytes: [UInt8] =
            [
                0x01, 0x11,  // version 1.1.1
                0x80, 0x03,  // OP_REQ_IMPORT
                0, 0, 0, 0,  // status, unused
            ] + Self.text("3-2", 32)  // busid
        #expect(ImportRequest(busID: "3-2").bytes == bytes)
        #expect(try ImportRequest(decoding: bytes) == ImportRequest(busID: "3-2"))
    }

    @Test func deviceRecordIs312Bytes() throws {
        #expect(Self.recordBytes.count == 312)
        #expect(Self.record.bytes == Self.recordBytes)
        #expect(try DeviceRecord(decoding: Self.recordBytes) == Self.record)
        #expect(Self.record.deviceID == 0x0003_0002)
    }

    @Test func deviceListCarriesInterfacesBehindEachDevice() throws {
        let bytes: [UInt8] =
            [
                0x01, 0x11,  // version 1.1.1
                0x00, 0x05,  // OP_REP_DEVLIST
                0, 0, 0, 0,  // status: done
                0, 0, 0, 1,  // one device
            ] + Self.recordBytes + [
                0x0e, 1, 0, 0,  // interface 0: video control, padding
                0x0e, 2, 0, 0,  // interface 1: video streaming, padding
            ]
        let list = DeviceList([
            DeviceListEntry(
                device: Self.record,
                interfaces: [1, 2].map { InterfaceRecord(interfaceClass: 14, interfaceSubclass: $0, interfaceProtocol: 0) })
        ])
        #expect(list.bytes == bytes)
        #expect(try DeviceList.decode(bytes) == .complete(list))
        for count in 0..<bytes.count {
            guard case .needs(let needed) = try DeviceList.decode(Array(bytes.prefix(count))) else {
                Issue.record("\(count) bytes are no whole list")
                continue
            }
            #expect(needed > count && needed <= bytes.count)
        }
    }

    @Test func isochronousSubmitCarriesItsPacketsBehindTheHeader() throws {
        let bytes: [UInt8] = [
            0, 0, 0, 1,  // CMD_SUBMIT
            0, 0, 0x0d, 0x05,  // seqnum
            0, 3, 0, 2,  // devid: bus 3, device 2
            0, 0, 0, 1,  // direction: IN
            0, 0, 0, 3,  // endpoint number
            0, 0, 0x02, 0x02,  // transfer_flags: URB_DIR_IN, URB_ISO_ASAP
            0, 0, 0x0c, 0x00,  // transfer_buffer_length: 3072
            0, 0, 0, 0,  // start_frame
            0, 0, 0, 1,  // number_of_packets
            0, 0, 0, 8,  // interval
            0, 0, 0, 0, 0, 0, 0, 0,  // setup, unused
        ]
        let command = SubmitCommand(
            sequence: 0x0d05, deviceID: 0x0003_0002, endpoint: EndpointAddress(rawValue: 0x83), flags: 0x202, length: 3072,
            packetCount: 1, interval: 8)
        #expect(URBHeader.submit(command).bytes == bytes)
        #expect(try URBHeader(decoding: bytes) == .submit(command))
        #expect(command.payloadLength == 16)

        let packet: [UInt8] = [
            0, 0, 0, 0,  // offset
            0, 0, 0x0c, 0x00,  // length: 3072
            0, 0, 0, 0,  // actual_length
            0, 0, 0, 0,  // status
        ]
        #expect(IsochronousDescriptor(offset: 0, length: 3072).bytes == packet)
        #expect(try IsochronousDescriptor(decoding: packet) == IsochronousDescriptor(offset: 0, length: 3072))
    }

    @Test func controlSubmitKeepsTheSetupPacketLittleEndian() throws {
        let bytes: [UInt8] = [
            0, 0, 0, 1,  // CMD_SUBMIT
            0, 0, 0, 7,  // seqnum
            0, 3, 0, 2,  // devid
            0, 0, 0, 1,  // direction: IN
            0, 0, 0, 0,  // endpoint 0
            0, 0, 0x02, 0x00,  // transfer_flags: URB_DIR_IN
            0, 0, 0x01, 0x02,  // transfer_buffer_length: 258
            0, 0, 0, 0,  // start_frame
            0xff, 0xff, 0xff, 0xff,  // number_of_packets: not isochronous
            0, 0, 0, 0,  // interval
            0x80, 0x06, 0x00, 0x02, 0x00, 0x00, 0x02, 0x01,  // GET_DESCRIPTOR(configuration 0), wLength 258
        ]
        let command = SubmitCommand(
            sequence: 7, deviceID: 0x0003_0002, endpoint: EndpointAddress(rawValue: 0x80), flags: 0x200, length: 258,
            setup: ControlSetup(requestType: 0x80, request: 6, value: 0x0200, index: 0, length: 0x0102))
        #expect(URBHeader.submit(command).bytes == bytes)
        #expect(try URBHeader(decoding: bytes) == .submit(command))
        var older = bytes
        older.replaceSubrange(32..<36, with: [0, 0, 0, 0])  // Older kernels say 0.
        #expect(try URBHeader(decoding: older) == .submit(command))
    }

    @Test func repliesAndUnlinks() throws {
        let reply: [UInt8] = [
            0, 0, 0, 3,  // RET_SUBMIT
            0, 0, 0, 7,  // seqnum
            0, 0, 0, 0,  // devid, 0 in replies
            0, 0, 0, 0,  // direction, 0 in replies
            0, 0, 0, 0,  // endpoint, 0 in replies
            0xff, 0xff, 0xff, 0xe0,  // status: -EPIPE
            0, 0, 0, 5,  // actual_length
            0, 0, 0x10, 0x00,  // start_frame
            0, 0, 0, 2,  // number_of_packets
            0, 0, 0, 1,  // error_count
            0, 0, 0, 0, 0, 0, 0, 0,  // padding
        ]
        let decoded = SubmitReply(sequence: 7, status: -32, actualLength: 5, startFrame: 0x1000, packetCount: 2, errorCount: 1)
        #expect(URBHeader.submitReply(decoded).bytes == reply)
        #expect(try URBHeader(decoding: reply) == .submitReply(decoded))

        let unlink: [UInt8] =
            [
                0, 0, 0, 2,  // CMD_UNLINK
                0, 0, 0, 9,  // seqnum
                0, 3, 0, 2,  // devid
                0, 0, 0, 0,  // direction
                0, 0, 0, 0,  // endpoint
                0, 0, 0, 7,  // unlink_seqnum
            ] + [UInt8](repeating: 0, count: 24)
        let command = UnlinkCommand(sequence: 9, deviceID: 0x0003_0002, victim: 7)
        #expect(URBHeader.unlink(command).bytes == unlink)
        #expect(try URBHeader(decoding: unlink) == .unlink(command))

        let unlinked: [UInt8] =
            [
                0, 0, 0, 4,  // RET_UNLINK
                0, 0, 0, 9,  // seqnum
                0, 0, 0, 0,  // devid
                0, 0, 0, 0,  // direction
                0, 0, 0, 0,  // endpoint
                0xff, 0xff, 0xff, 0x98,  // status: -ECONNRESET
            ] + [UInt8](repeating: 0, count: 24)
        #expect(URBHeader.unlinkReply(UnlinkReply(sequence: 9, status: -104)).bytes == unlinked)
        #expect(try URBHeader(decoding: unlinked) == .unlinkReply(UnlinkReply(sequence: 9, status: -104)))
    }

    @Test func textThatIsTooLongIsCutSoThatANulEndsIt() throws {
        let request = ImportRequest(busID: String(repeating: "x", count: 40)).bytes
        #expect(request.count == 40)
        #expect(request.last == 0)
        #expect(try ImportRequest(decoding: request).busID.count == 31)
    }

    @Test func statusesGoThereAndBack() {
        for status in [TransferStatus.completed, .cancelled, .stall, .timedOut, .overflow, .disconnected, .fault(71)] {
            #expect(TransferStatus(linux: status.linuxStatus) == status)
        }
        #expect(TransferStatus.fault(-5).linuxStatus == -71)
    }
}

@Suite struct HostileUSBIPMessageTests {
    private static let submit = URBHeader.submit(
        SubmitCommand(sequence: 1, deviceID: 2, endpoint: EndpointAddress(rawValue: 0x81), length: 64, packetCount: 4)
    ).bytes

    private func code(_ bytes: [UInt8]) -> USBIPError.Code? {
        do throws(USBIPError) {
            _ = try URBHeader(decoding: bytes)
            return nil
        } catch { return error.code }
    }

    private func submit(_ offset: Int, _ word: UInt32) -> [UInt8] {
        var bytes = Self.submit
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: word >> UInt32(8 * (3 - index))) }
        return bytes
    }

    @Test func fieldsOutOfRangeAreRefused() {
        #expect(code(Self.submit) == nil)
        for count in 0..<48 { #expect(code(Array(Self.submit.prefix(count))) == .tooShort) }
        for command: UInt32 in [0, 5, 0xffff_ffff] { #expect(code(submit(0, command)) == .command) }
        for direction: UInt32 in [2, 0x100, 0xffff_ffff] { #expect(code(submit(12, direction)) == .range) }
        for endpoint: UInt32 in [16, 0x81, 0xffff_ffff] { #expect(code(submit(16, endpoint)) == .range) }
        #expect(code(submit(24, 0xffff_ffff)) == .range)
        #expect(code(submit(24, 0x8000_0000)) == .range)
        #expect(code(submit(24, 0x7fff_ffff)) == .tooLarge)
        #expect(code(submit(24, UInt32(USBIPLimit.transferBytes))) == nil)
        #expect(code(submit(32, 1024)) == nil)
        #expect(code(submit(32, 1025)) == .tooLarge)
        #expect(code(submit(32, 0xffff_fffe)) == .range)
    }

    @Test func packetsHaveToLieWithinTheBuffer() throws {
        func within(_ packets: [(UInt32, UInt32)], length: Int) throws -> Bool {
            let bytes = packets.flatMap { IsochronousDescriptor(offset: $0, length: $1).bytes }
            return try bytes.withUnsafeBytes { try IsochronousDescriptor.areWithin(length: length, descriptors: $0, count: packets.count) }
        }
        #expect(try within([(0, 8), (8, 8)], length: 16))
        #expect(try within([(0, 8), (12, 4)], length: 16))
        #expect(try !within([(0, 8), (8, 9)], length: 16))
        #expect(try !within([(0, 8), (4, 8)], length: 16))
        #expect(try !within([(0xffff_ffff, 1)], length: 16))
        #expect(try !within([(0, 0xffff_ffff)], length: 16))
        #expect(throws: USBIPError.self) {
            try [UInt8](repeating: 0, count: 31).withUnsafeBytes {
                try IsochronousDescriptor.areWithin(length: 16, descriptors: $0, count: 2)
            }
        }
    }

    @Test func otherVersionsAndOperationsAreRefused() {
        func code(_ bytes: [UInt8]) -> USBIPError.Code? {
            do throws(USBIPError) {
                _ = try OperationHeader(decoding: bytes)
                return nil
            } catch { return error.code }
        }
        #expect(code([0x01, 0x06, 0x80, 0x05, 0, 0, 0, 0]) == .version)
        #expect(code([0x01, 0x11, 0x80, 0x07, 0, 0, 0, 0]) == .code)
        #expect(code([0x01, 0x11, 0x80]) == .tooShort)
    }

    @Test func aListOfMoreDevicesThanAnybodyHasIsRefused() {
        let bytes = OperationHeader(.replyDeviceList).bytes + [0xff, 0xff, 0xff, 0xff]
        #expect(throws: USBIPError.self) { try DeviceList.decode(bytes) }
        #expect(throws: USBIPError.self) { try DeviceList.decode(OperationHeader(.replyDeviceList, status: .error).bytes + [0, 0, 0, 0]) }
    }

    @Test func anyBytesAreDecodedOrRefused() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = Self.submit
            bytes[3] = UInt8.random(in: 0...5, using: &random)
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                bytes[Int.random(in: 0..<48, using: &random)] = .random(in: 0...255, using: &random)
            }
            do throws(USBIPError) {
                let header = try URBHeader(decoding: bytes)
                #expect(try URBHeader(decoding: header.bytes) == header)
            } catch { #expect(!error.description.isEmpty) }
        }
    }
}
