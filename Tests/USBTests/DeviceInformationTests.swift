// A device's information goes from one process to another.

import FoundationEssentials
import Testing
import USB

@Suite struct DeviceInformationTests {
    @Test func `it comes back as it was`() throws {
        let information = USBDeviceInformation(
            path: "usbip://127.0.0.1:3240/1-1", speed: .high, descriptors: (0...255).map { UInt8($0) }, product: "Kamera", busNumber: 1,
            deviceNumber: 7)
        let bytes = try JSONEncoder().encode(information)
        #expect(try JSONDecoder().decode(USBDeviceInformation.self, from: bytes) == information)
    }

    @Test(arguments: ["abc", "zz", "0 "]) func `descriptors that are no hexadecimal text are refused`(text: String) throws {
        let json = #"{"path":"1-1","speed":3,"descriptors":"\#(text)","busNumber":1,"deviceNumber":1}"#
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(USBDeviceInformation.self, from: Data(json.utf8)) }
    }
}
