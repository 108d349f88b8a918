// Which requests a function's driver may make.

import Testing
import USB
import USBIPHost

@Suite struct FunctionRightsTests {
    /// Interfaces 2 and 3, endpoints 1 OUT and 3 IN.
    private let rights = FunctionRights(
        interfaces: 0b1100, endpoints: [EndpointAddress(rawValue: 0x01), EndpointAddress(rawValue: 0x83)])

    private func allows(_ type: UInt8, _ request: UInt8, value: UInt16 = 0, index: UInt16 = 0) -> Bool {
        rights.allows(ControlSetup(requestType: type, request: request, value: value, index: index, length: 0))
    }

    @Test func `interfaces and endpoints of its own, and no others`() {
        // SET_INTERFACE, and a class request with an entity in the high byte.
        #expect(allows(0x01, 0x0b, value: 1, index: 2))
        #expect(!allows(0x01, 0x0b, value: 1, index: 1))
        #expect(allows(0xa1, 0x81, index: 0x0103))
        #expect(!allows(0xa1, 0x81, index: 0x0200))
        #expect(!allows(0x21, 0x01, index: 0x00ff))
        // CLEAR_FEATURE(ENDPOINT_HALT).
        #expect(allows(0x02, 0x01, index: 0x83))
        #expect(!allows(0x02, 0x01, index: 0x81))
        #expect(rights.allows(endpoint: EndpointAddress(rawValue: 0x01)))
        #expect(!rights.allows(endpoint: EndpointAddress(rawValue: 0x81)))
    }

    @Test func `a printer's device id has its interface in the high byte`() {
        #expect(allows(0xa1, 0x00, index: 0x0200))
        #expect(!allows(0xa1, 0x00, index: 0x0100))
    }

    @Test func `what belongs to the device can be asked and not changed`() {
        // GET_DESCRIPTOR, GET_CONFIGURATION, GET_STATUS; SET_CONFIGURATION, SET_ADDRESS,
        // SET_FEATURE, SET_DESCRIPTOR; the reset of a port.
        #expect(allows(0x80, 0x06) && allows(0x80, 0x08) && allows(0x80, 0x00))
        #expect(!allows(0x00, 0x09, value: 2) && !allows(0x00, 0x05) && !allows(0x00, 0x03) && !allows(0x00, 0x07))
        #expect(!allows(0x23, 0x03, value: 4, index: 1))
        // A vendor's requests to the device are the driver's business.
        #expect(allows(0x40, 0x01) && allows(0xc0, 0x01))
    }
}
