// Interfaces, identifiers, requests, compressed bodies.

import IPPUSB
import Testing
import USB

@Suite struct DeviceTests {
    private func interface(_ number: UInt8, _ setting: UInt8, _ proto: UInt8, endpoints: [(UInt8, UInt8)]) -> [UInt8] {
        [9, 4, number, setting, UInt8(endpoints.count), 7, 1, proto, 0]  // INTERFACE, printer class
            + endpoints.flatMap { [7, 5, $0.0, $0.1, 0x00, 0x02, 0] }  // ENDPOINT, 512 bytes
    }

    private func channels(_ interfaces: [UInt8]) throws -> [IPPUSBChannel] {
        let length = 9 + interfaces.count
        let bytes: [UInt8] = [9, 2, UInt8(length & 0xff), UInt8(length >> 8), 3, 1, 0, 0x80, 50] + interfaces
        return IPPUSBChannel.all(in: try #require(DescriptorSet(parsing: bytes).configurations.first))
    }

    @Test func eachInterfaceThatCanBeSpokenToIsAChannel() throws {
        let found = try channels(
            interface(0, 0, 2, endpoints: [(0x01, 2), (0x81, 2)])  // the old protocol
                + interface(0, 1, 4, endpoints: [(0x01, 2), (0x81, 2)])
                + interface(1, 0, 4, endpoints: [])  // IPP over USB without endpoints
                + interface(1, 1, 4, endpoints: [(0x02, 2), (0x83, 3), (0x82, 2)])  // an interrupt endpoint between
                + interface(2, 0, 4, endpoints: [(0x03, 2)])  // one way only
                + interface(3, 0, 2, endpoints: [(0x04, 2), (0x84, 2)]))
        #expect(found.map(\.interface) == [0, 1] && found.map(\.alternateSetting) == [1, 1])
        #expect(found[1].out.rawValue == 0x02 && found[1].in.rawValue == 0x82 && found[1].packet == 512)
    }

    @Test func anIdentifierIsRead() {
        let text = Array("MFG:HP;MDL:LaserJet M1;CMD:PCL, PDF;CLS:PRINTER;".utf8)
        let length = UInt8(text.count + 2)
        for answer in [[0, length] + text, [length, 0] + text, [0xff, 0xff] + text] {
            let identifier = DeviceIdentifier(parsing: answer)
            #expect(identifier.manufacturer == "HP" && identifier.model == "LaserJet M1" && identifier["CLS", "CLASS"] == "PRINTER")
        }
        #expect(DeviceIdentifier(parsing: []).fields.isEmpty && DeviceIdentifier(parsing: [0]).fields.isEmpty)
        #expect(DeviceIdentifier(parsing: [0xff, 0xff] + Array(" mdl : x ;;:;MDL:y".utf8)).model == "x")
    }

    @Test func theRequestForItNamesInterfaceAndSetting() {
        let setup = PrinterRequests.deviceIdentifier(interface: 2, alternateSetting: 1)
        #expect(setup.requestType == 0xa1 && setup.request == 0 && setup.value == 0 && setup.index == 0x0201)
    }

    @Test func aRequestSaysItsLength() {
        let text = String(
            decoding: HTTPRequest(.post, "/eSCL/ScanJobs", headers: [("Content-Type", "text/xml")], body: [0x3c]).bytes, as: UTF8.self)
        #expect(text.hasPrefix("POST /eSCL/ScanJobs HTTP/1.1\r\nHost: localhost\r\n") && text.hasSuffix("Content-Length: 1\r\n\r\n<"))
        #expect(!HTTPRequest.isPath("/a b") && !HTTPRequest.isPath("/a\r\nX: y") && !HTTPRequest.isPath("a") && !HTTPRequest.isPath(""))
    }

    @Test func aCompressedBodyIsUnpackedWithinLimits() {
        // gzip of "<a/>\n"
        let gzip: [UInt8] = [
            0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 2, 3,  // deflate, no flags, no time, Unix
            0xb3, 0x49, 0xd4, 0xb7, 0xe3, 0x02, 0x00,  // the data
            0x42, 0xc1, 0x68, 0xb3, 5, 0, 0, 0,  // its CRC and length
        ]
        #expect(ContentDecoding.decoded([1, 2, 3], most: 2) == [1, 2, 3])
        #expect(ContentDecoding.decoded(gzip, most: 100) == Array("<a/>\n".utf8))
        #expect(ContentDecoding.decoded(Array(gzip.prefix(12)), most: 100) == nil)
        #expect(ContentDecoding.decoded(gzip, most: 2) == nil)
    }
}
