// The requests that the engine answers for every device.

import Testing
import USB
import USBEmulation
import USBIP

@Suite struct RequestTests {
    private let stall: Int32 = -32

    @Test func descriptorsAreCutToWhatIsAskedFor() throws {
        let bench = try Bench()
        let client = try bench.client()
        let descriptors = bench.devices[0].descriptors
        func get(_ type: UInt16, _ index: UInt16 = 0, language: UInt16 = 0, _ length: UInt16 = 255) throws -> (Int32, [UInt8]) {
            try client.control(0x80, StandardRequest.getDescriptor, value: type << 8 | index, index: language, length: length)
        }
        #expect(try get(1) == (0, descriptors.device))
        #expect(try get(1, 0, 8) == (0, Array(descriptors.device.prefix(8))))
        #expect(try get(2) == (0, descriptors.configurations[0]))
        #expect(try get(2, 0, 9) == (0, Array(descriptors.configurations[0].prefix(9))))
        #expect(try get(2, 1) == (stall, []))
        #expect(try get(3, 0) == (0, [4, 3, 0x09, 0x04]))
        #expect(StringDescriptor.text(try get(3, 2, language: 0x0409).1) == "Loopback")
        #expect(try get(3, 0xee) == (stall, []))
        #expect(try get(6) == (stall, []))  // device qualifier
        #expect(try get(15) == (stall, []))  // BOS
        #expect(try get(0x22) == (stall, []))  // The device's own, and it has none.
    }

    @Test func configurationAndAlternateSettingsAreKept() throws {
        let bench = try Bench()
        let client = try bench.client()
        #expect(try client.control(0, 5, value: 7) == (0, []))  // SET_ADDRESS
        #expect(try client.control(0x80, StandardRequest.getConfiguration, length: 1) == (0, [1]))
        #expect(try client.control(1, StandardRequest.setInterface, value: 2, index: 1) == (0, []))
        #expect(try client.control(0x81, StandardRequest.getInterface, index: 1, length: 1) == (0, [2]))
        #expect(try client.control(1, StandardRequest.setInterface, value: 3, index: 1) == (stall, []))
        #expect(try client.control(1, StandardRequest.setInterface, value: 0, index: 5) == (stall, []))
        #expect(try client.control(0, StandardRequest.setConfiguration, value: 9) == (stall, []))
        #expect(try client.control(0, StandardRequest.setConfiguration, value: 0) == (0, []))
        #expect(try client.control(0x80, StandardRequest.getConfiguration, length: 1) == (0, [0]))
        #expect(try client.control(0x81, StandardRequest.getInterface, index: 1, length: 1) == (stall, []))
        // Twice for SET_CONFIGURATION(1), once for SET_INTERFACE, twice for SET_CONFIGURATION(0).
        #expect(try client.control(0xc0, LoopbackDevice.Request.history, length: 8).1 == [1, 0, 0, 0, 0, 0, 5, 0])
    }

    @Test func haltsAreSetToldAndCleared() throws {
        let bench = try Bench()
        let client = try bench.client()
        #expect(try client.control(0x82, StandardRequest.getStatus, index: 0x81, length: 2) == (0, [0, 0]))
        #expect(try client.control(2, StandardRequest.setFeature, index: 0x81) == (0, []))
        #expect(try client.control(0x82, StandardRequest.getStatus, index: 0x81, length: 2) == (0, [1, 0]))
        try client.submit(0x81, length: 512)
        try client.submit(0x81, length: 512)
        for _ in 0..<2 { #expect(try client.reply(isIn: true).0.status == stall) }
        #expect(try client.control(2, StandardRequest.clearFeature, index: 0x81) == (0, []))
        #expect(try client.control(0x82, StandardRequest.getStatus, index: 0x81, length: 2) == (0, [0, 0]))
        #expect(try client.control(0x82, StandardRequest.getStatus, index: 0x8f, length: 2) == (stall, []))
        #expect(try client.control(0x80, StandardRequest.getStatus, length: 2) == (0, [0, 0]))
        #expect(try client.control(0xc0, LoopbackDevice.Request.history, length: 8).1[4] == 1)
    }

    @Test func aDevicesOwnRequestsReachIt() throws {
        let bench = try Bench()
        let client = try bench.client()
        let data: [UInt8] = (0..<200).map { UInt8($0) }
        #expect(try client.control(0x40, LoopbackDevice.Request.store, length: 200, data: data) == (0, []))
        #expect(try client.control(0xc0, LoopbackDevice.Request.store, length: 300) == (0, data))
        #expect(try client.control(0xc0, LoopbackDevice.Request.store, length: 100) == (0, Array(data.prefix(100))))
        #expect(try client.control(0xc0, LoopbackDevice.Request.stall, length: 100) == (stall, []))
    }

    /// The reset that USB/IP clients ask for, and what is left of the one that vhci_hcd keeps to itself.
    @Test(arguments: [(0x23, StandardRequest.setFeature, 4), (0x00, StandardRequest.setConfiguration, 1)] as [(UInt8, UInt8, UInt16)])
    func aResetGivesTheDeviceItsConfigurationBack(requestType: UInt8, request: UInt8, value: UInt16) throws {
        let bench = try Bench()
        let client = try bench.client()
        _ = try client.control(1, StandardRequest.setInterface, value: 1, index: 1)
        #expect(try client.control(requestType, request, value: value) == (0, []))
        #expect(try client.control(0x80, StandardRequest.getConfiguration, length: 1) == (0, [1]))
        #expect(try client.control(0x81, StandardRequest.getInterface, index: 1, length: 1) == (0, [0]))
        #expect(try client.control(0xc0, LoopbackDevice.Request.history, length: 8).1.prefix(4) == [2, 0, 1, 0])
    }

    @Test func aRequestThatIsNeverAnsweredEndsWhenItIsUnlinked() throws {
        let bench = try Bench()
        let client = try bench.client()
        let silent = ControlSetup(requestType: 0xc0, request: LoopbackDevice.Request.silence, value: 0, index: 0, length: 4)
        let victim = try client.submit(0x80, length: 4, setup: silent)
        // What waits behind it is answered afterwards.
        let get = ControlSetup(requestType: 0x80, request: StandardRequest.getConfiguration, value: 0, index: 0, length: 1)
        let waiting = try client.submit(0x80, length: 1, setup: get)
        let unlink = try client.unlink(victim)
        #expect(try client.header() == .unlinkReply(UnlinkReply(sequence: unlink, status: -104)))
        let (reply, data, _) = try client.reply(isIn: true)
        #expect(reply.sequence == waiting)
        #expect(data == [1])
    }
}
