// Clients that mean harm: their connection ends, and the server goes on.

import Testing
import USB
import USBEmulation
import USBIP

@Suite struct HostileClientTests {
    private func submit(_ words: [Int: UInt32], endpoint: UInt8 = 0x81) -> [UInt8] {
        var bytes = URBHeader.submit(
            SubmitCommand(sequence: 1, deviceID: 0x10002, endpoint: EndpointAddress(rawValue: endpoint), length: 64)
        ).bytes
        for (offset, word) in words {
            for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: word >> UInt32(8 * (3 - index))) }
        }
        return bytes
    }

    /// The bytes end the connection, and the device can be had again.
    private func expectRefused(_ bytes: [UInt8]) throws {
        let bench = try Bench()
        let client = try bench.client()
        // The server may be gone before all was sent.
        do { try client.send(bytes) } catch is RawClient.Ended {}
        try client.drain()
        let next = try bench.clientWhenFree()
        #expect(try next.control(0x80, StandardRequest.getConfiguration, length: 1) == (0, [0]))
    }

    @Test func headersThatMakeNoSense() throws {
        try expectRefused([UInt8](repeating: 0xff, count: 48))
        try expectRefused([UInt8](repeating: 0, count: 48))
        try expectRefused(submit([24: 0xffff_ffff]))  // A negative length.
        try expectRefused(submit([24: 0x7fff_ffff]))  // A length of 2 GiB.
        try expectRefused(submit([32: 1025]))  // Too many packets.
        try expectRefused(submit([16: 16]))  // An endpoint that can't be.
        try expectRefused(submit([12: 2]))  // Neither IN nor OUT.
        try expectRefused(URBHeader.submitReply(SubmitReply(sequence: 1, status: 0, actualLength: 0)).bytes)
        try expectRefused(URBHeader.unlinkReply(UnlinkReply(sequence: 1, status: 0)).bytes)
    }

    @Test func packetsOutsideTheBuffer() throws {
        let header = submit([32: 2])
        try expectRefused(header + IsochronousDescriptor(offset: 0, length: 32).bytes + IsochronousDescriptor(offset: 32, length: 33).bytes)
        try expectRefused(header + IsochronousDescriptor(offset: 0, length: 0xffff_ffff).bytes + [UInt8](repeating: 0, count: 16))
        try expectRefused(header + IsochronousDescriptor(offset: 32, length: 8).bytes + IsochronousDescriptor(offset: 0, length: 8).bytes)
    }

    @Test func moreTransfersThanAnybodyNeeds() throws {
        try expectRefused((0..<5000).flatMap { _ in submit([:]) })
        try expectRefused((0..<10).flatMap { _ in submit([24: UInt32(USBIPLimit.transferBytes)]) })
    }

    @Test func packetsOnAnEndpointThatHasNone() throws {
        let bench = try Bench()
        let client = try bench.client()
        try client.submit(0x81, length: 64, packets: [64])
        #expect(try client.reply(isIn: true).0.status == -22)
        _ = try client.control(1, StandardRequest.setInterface, value: 1, index: 1)
        try client.submit(0x83, length: 64)
        #expect(try client.reply(isIn: true).0.status == -22)
        #expect(try client.control(0x80, StandardRequest.getConfiguration, length: 1) == (0, [1]))
    }

    @Test func directionsThatContradictTheSetupPacket() throws {
        let bench = try Bench()
        let client = try bench.client()
        let out = ControlSetup(requestType: 0x40, request: LoopbackDevice.Request.store, value: 0, index: 0, length: 4)
        try client.submit(0x80, length: 4, setup: out)
        #expect(try client.reply(isIn: true).0.status == -32)
        let into = ControlSetup(requestType: 0xc0, request: LoopbackDevice.Request.store, value: 0, index: 0, length: 4)
        try client.submit(0x00, length: 4, data: [1, 2, 3, 4], setup: into)
        #expect(try client.reply(isIn: false).0.status == -32)
    }

    @Test func aClientThatGoesInTheMiddleOfAMessage() throws {
        let bench = try Bench()
        for count in [1, 47, 48, 60] {
            let client = try bench.clientWhenFree()
            let bytes =
                URBHeader.submit(
                    SubmitCommand(sequence: 1, deviceID: 0, endpoint: EndpointAddress(rawValue: 0x01), length: 4096)
                ).bytes + [UInt8](repeating: 0, count: 4096)
            try client.send(Array(bytes.prefix(count)))
        }
        _ = try bench.clientWhenFree()
    }

    @Test func aClientThatNeverReadsIsNotAnsweredForEver() throws {
        let bench = try Bench(["1-1", "1-2"])
        let client = try bench.client("1-1")
        // Answers of 64 KiB, until the server does not take any more requests.
        let setup = ControlSetup(requestType: 0x40, request: LoopbackDevice.Request.store, value: 0, index: 0, length: 65535)
        try client.submit(0, length: 65535, data: [UInt8](repeating: 7, count: 65535), setup: setup)
        let get = ControlSetup(requestType: 0xc0, request: LoopbackDevice.Request.store, value: 0, index: 0, length: 65535)
        for _ in 0..<1000 { try client.submit(0x80, length: 65535, setup: get) }
        // Another device is served all the same, and the server can be stopped.
        let other = try bench.client("1-2")
        #expect(try other.control(0x80, StandardRequest.getConfiguration, length: 1) == (0, [1]))
        bench.server.stop()
    }

    @Test func randomBytesNeverEndTheServer() throws {
        let bench = try Bench()
        var random = SystemRandomNumberGenerator()
        for round in 0..<60 {
            let client = try bench.clientWhenFree()
            var bytes: [UInt8] = []
            for _ in 0..<20 {
                var message = submit([:], endpoint: [0x80, 0x00, 0x81, 0x01, 0x82, 0x83][round % 6])
                message[3] = .random(in: 0...4, using: &random)
                for _ in 0..<3 { message[.random(in: 4..<48, using: &random)] = .random(in: 0...255, using: &random) }
                bytes += message
            }
            do { try client.send(bytes) } catch is RawClient.Ended {}
        }
        let client = try bench.clientWhenFree()
        #expect(try client.control(0x80, StandardRequest.getConfiguration, length: 1) == (0, [0]))
    }
}
