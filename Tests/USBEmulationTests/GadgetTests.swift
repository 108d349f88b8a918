import Testing
import USB

@testable import USBEmulation

@Suite("USB gadgets: what GadgetFS is told and what it says")
struct GadgetTests {
    /// One video control interface with an interrupt endpoint, one streaming interface with a bulk endpoint.
    private static let configuration: [UInt8] = [
        9, 2, 46, 0, 2, 1, 0, 0xa0, 250,  // Configuration 1: 46 bytes, 2 interfaces, remote wake-up, 500 mA.
        9, 4, 0, 0, 1, 0x0e, 0x01, 0, 0,  // Interface 0: video control, 1 endpoint.
        5, 0x24, 0x01, 0x10, 0x01,  // Class-specific: kept as it is.
        7, 5, 0x81, 3, 16, 0, 8,  // Endpoint 1 IN: interrupt, 16 bytes, every 2^7 microframes.
        9, 4, 1, 0, 1, 0x0e, 0x02, 0, 0,  // Interface 1: video streaming, 1 endpoint.
        7, 5, 0x82, 2, 0x00, 0x02, 0,  // Endpoint 2 IN: bulk, 512 bytes.
    ]
    private static let device: [UInt8] = [
        18, 1, 0x00, 0x02, 0xef, 2, 1, 64, 0x09, 0x12, 0x01, 0x00, 0x00, 0x01, 1, 2, 3, 1,
    ]

    @Test("the block: tag, full speed, high speed, device")
    func block() throws {
        let block = try GadgetDescriptors(
            EmulatedDescriptors(speed: .high, device: Self.device, configurations: [Self.configuration]))
        let expected: [UInt8] =
            [
                0, 0, 0, 0,  // The tag of a device's configuration.
                9, 2, 46, 0, 2, 1, 0, 0x80, 250,  // Full speed. Nobody wakes the host.
                9, 4, 0, 0, 1, 0x0e, 0x01, 0, 0,
                5, 0x24, 0x01, 0x10, 0x01,
                7, 5, 0x81, 3, 16, 0, 16,  // 16 ms are 16 frames.
                9, 4, 1, 0, 1, 0x0e, 0x02, 0, 0,
                7, 5, 0x82, 2, 64, 0, 0,  // 64 bytes are the most of a bulk packet.
                9, 2, 46, 0, 2, 1, 0, 0x80, 250,  // High speed, as it was.
            ] + Self.configuration[9...] + Self.device
        #expect(block.bytes == expected)
    }

    @Test("a full-speed device has one configuration")
    func fullSpeed() throws {
        let block = try GadgetDescriptors(
            EmulatedDescriptors(speed: .full, device: Self.device, configurations: [Self.configuration]))
        #expect(block.bytes.count == 4 + Self.configuration.count + Self.device.count)
    }

    @Test("what GadgetFS can't carry is refused, and the reason said")
    func refusals() {
        func reason(_ configurations: [[UInt8]], _ speed: USBSpeed = .high) -> String? {
            do throws(USBError) {
                _ = try GadgetDescriptors(EmulatedDescriptors(speed: speed, device: Self.device, configurations: configurations))
                return nil
            } catch {
                return error.detail
            }
        }
        var isochronous = Self.configuration
        isochronous[isochronous.count - 4] = 5
        var receiving = Self.configuration
        receiving[receiving.count - 5] = 0x02
        // A descriptor that nobody knows, of 200 bytes, and one of 50.
        let long = Self.configuration + [200] + [UInt8](repeating: 0x24, count: 199) + [50] + [UInt8](repeating: 0x24, count: 49)
        #expect(reason([Self.configuration]) == nil)
        #expect(reason([Self.configuration], .super)?.contains("high-speed") == true)
        #expect(reason([Self.configuration, Self.configuration])?.contains("this one has 2") == true)
        #expect(reason([isochronous])?.contains("isochronous") == true)
        #expect(reason([receiving])?.contains("receives") == true)
        #expect(reason([long])?.contains("256 bytes") == true)
    }

    @Test("damaged descriptors are left as they are")
    func damaged() {
        for bytes in [[UInt8](), [7], [0, 5, 1], [7, 5, 0x81], [7, 5, 0x81, 3, 0xff, 0xff], [1, 5, 9, 9, 9, 9, 9, 9]] {
            #expect(GadgetDescriptors.fullSpeed(bytes) == bytes)
        }
    }

    @Test(
        "the endpoint whose number, direction and type fit is chosen; one of any number else",
        arguments: [
            // dummy_hcd's names: some imitate a controller of fixed endpoints, some take any number.
            (["ep1in-bulk", "ep2out-bulk", "ep2in-bulk", "ep-aout", "ep-bin", "ep-cout", "ep-din"], 0x82, 2, "ep2in-bulk"),
            (["ep1in-bulk", "ep2out-bulk", "ep2in-bulk", "ep-aout", "ep-bin", "ep-cout", "ep-din"], 0x81, 3, "ep-bin"),
            // dwc2, dwc3, chipidea.
            (["ep1in", "ep1out", "ep2in", "ep2out"], 0x81, 3, "ep1in"),
            (["ep1in", "ep1out", "ep2in", "ep2out"], 0x02, 2, "ep2out"),
            // net2280.
            (["ep-a", "ep-b"], 0x81, 3, "ep-a"),
            (["ep1", "ep2"], 0x82, 2, "ep2"),
            (["ep1in-iso", "ep3in-bulk", "dummy_udc", "ep0", "ep", "ep-", "ep1up"], 0x81, 2, nil),
        ] as [([String], UInt8, UInt8, String?)])
    func endpointNames(names: [String], address: UInt8, type: UInt8, expected: String?) {
        let endpoint = EndpointDescriptor(
            address: EndpointAddress(rawValue: address), attributes: type, maxPacketSizeField: 64, interval: 1)
        #expect(GadgetEndpointName.choose(for: endpoint, among: names) == expected)
    }

    @Test("events: a host, a request, its end")
    func events() throws {
        let bytes: [UInt8] = [
            3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,  // Connected, at high speed.
            // GET_CUR (81) of the class, to interface 1; wValue: the probe control (01) in the high byte; wLength 34. Then the type, a request.
            0xa1, 0x81, 0x00, 0x01, 0x01, 0x00, 0x22, 0x00, 3, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0,  // The bus is suspended.
            0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,  // The host has gone.
            9, 9, 9, 9, 0, 0, 0, 0, 1, 0, 0, 0,  // A speed that nobody knows.
        ]
        let setup = ControlSetup(requestType: 0xa1, request: 0x81, value: 0x0100, index: 1, length: 34)
        #expect(try GadgetEvent.decode(bytes) == [.connected(.high), .setup(setup), .suspended, .disconnected, .connected(.unknown)])
        #expect(try GadgetEvent.decode([]).isEmpty)
    }

    @Test("what is no event is refused", arguments: [[UInt8](repeating: 0, count: 11), [0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0]])
    func noEvents(bytes: [UInt8]) {
        #expect(throws: USBError.self) { try GadgetEvent.decode(bytes) }
    }
}
