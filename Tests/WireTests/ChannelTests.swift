// The channel between supervisor and driver, with ends that behave and ends that do not.

import CLinux
import FileDescriptors
import Glibc
import Testing
import Wire

private func makePair() throws -> (Channel, Channel) {
    let pair = try Channel.pair()
    return (Channel(pair.ours), Channel(pair.theirs))
}

/// A fresh descriptor that can be told from others by its inode.
private func makeMemory() -> Int32 { clinux_memfd("test", 0) }

private func inode(_ descriptor: Int32) -> UInt {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? UInt(status.st_ino) : 0
}

@Suite struct ChannelTests {
    @Test func carriesEveryMessageToADriver() throws {
        let (a, b) = try makePair()
        let start = DriverStart(
            deviceID: "0000:0000:1", transport: .usbip, device: ["path": "1-1"], usbipDeviceID: 65538, generation: 3,
            configuration: ["fix": true], record: ["format": "mjpeg"], streams: ["video": ["fps": 30]])
        let messages: [MessageToDriver] = [
            .start(start), .ring(RingGrant(request: 1, name: "video", capacity: 10, slotCount: 3)),
            .ringRefused(request: 2, reason: "too large"), .call(DriverCall(id: 7, method: "a.b.C", parameters: ["x": 1.5])),
            .survive(seconds: 10), .moveRing(RingGrant(request: 9, name: "video", capacity: 10, slotCount: 3)),
            .stop,
        ]
        for message in messages {
            try a.send(message)
            #expect(try b.receive(MessageToDriver.self)?.message == message)
        }
    }

    @Test func carriesDescriptorsAndLeavesTheSendersOpen() throws {
        let (a, b) = try makePair()
        let first = makeMemory()
        let second = makeMemory()
        defer { for descriptor in [first, second] { close(descriptor) } }
        try a.send(MessageToDriver.stop, descriptors: [first, second])
        let received = try #require(try b.receive(MessageToDriver.self))
        #expect(received.descriptors.map(inode) == [first, second].map(inode))
        #expect(inode(first) != 0)
        #expect(received.descriptors.allSatisfy { fcntl($0, F_GETFD) & FD_CLOEXEC != 0 })
        received.descriptors.forEach { close($0) }
    }

    @Test func theEndOfTheOtherSideIsAnEnd() throws {
        var pair: (Channel, Channel)? = try makePair()
        let a = try #require(pair).0
        pair = nil
        #expect(try a.receive(MessageToDriver.self) == nil)
        #expect(throws: WireError.self) { try a.send(MessageToDriver.stop) }
    }

    @Test func nothingThereIsNotAnEnd() throws {
        let (a, b) = try makePair()
        guard case .nothing = try b.receiveNow(MessageToDriver.self) else {
            Issue.record("an arrival where nothing was sent")
            return
        }
        try a.send(MessageToDriver.stop)
        guard case .message(.stop, let descriptors) = try b.receiveNow(MessageToDriver.self) else {
            Issue.record("nothing arrived")
            return
        }
        #expect(descriptors.isEmpty)
    }

    @Test(arguments: ["", "{", "null", "{\"stop\":{}}x", "{\"unknown\":{}}", "{\"start\":{}}", "\u{0}\u{1}\u{2}", "[]", "{\"stop\":{}"])
    func refusesWhatIsNoMessageAndGoesOn(text: String) throws {
        let (a, b) = try makePair()
        let bytes = Array(text.utf8)
        if !bytes.isEmpty {
            #expect(clinux_send(a.descriptor, bytes, UInt(bytes.count), nil, 0, 0) == bytes.count)
            let error = try #require(throws: WireError.self) { try b.receive(MessageToDriver.self) }
            #expect(error.code == .malformed)
        }
        try a.send(MessageToDriver.stop)
        #expect(try b.receive(MessageToDriver.self)?.message == .stop)
    }

    @Test func closesTheDescriptorsOfARefusedMessage() throws {
        let (a, b) = try makePair()
        var pipeEnds: [Int32] = [-1, -1]
        #expect(pipe(&pipeEnds) == 0)
        #expect(clinux_send(a.descriptor, "junk", 4, [pipeEnds[1]], 1, 0) == 4)
        close(pipeEnds[1])
        #expect(throws: WireError.self) { try b.receive(MessageToDriver.self) }
        // The write end is open nowhere any more: the pipe ends.
        var byte: UInt8 = 0
        #expect(read(pipeEnds[0], &byte, 1) == 0)
        close(pipeEnds[0])
    }

    @Test func refusesAPacketThatIsTooLarge() throws {
        let (a, b) = try makePair()
        let bytes = [UInt8](repeating: UInt8(ascii: " "), count: Channel.maximumPacket + 1)
        #expect(clinux_send(a.descriptor, bytes, UInt(bytes.count), nil, 0, 0) == bytes.count)
        let error = try #require(throws: WireError.self) { try b.receive(MessageToDriver.self) }
        #expect(error.code == .truncated)
        let large = MessageFromDriver.record(.string(String(repeating: "x", count: Channel.maximumPacket)))
        #expect(try #require(throws: WireError.self) { try a.send(large) }.code == .oversize)
    }

    @Test func refusesDeepNesting() throws {
        let text = "{\"record\":{\"_0\":" + String(repeating: "[", count: 500) + String(repeating: "]", count: 500) + "}}"
        #expect(throws: WireError.self) { try Channel.decode(MessageFromDriver.self, from: Array(text.utf8)) }
        let brackets = MessageFromDriver.log(level: "info", message: String(repeating: "[{\\\"", count: 500))
        #expect(try Channel.decode(MessageFromDriver.self, from: JSON.encode(brackets)) == brackets)
    }

    @Test func neverWaitsForAnEndThatDoesNotRead() throws {
        let (a, b) = try makePair()
        let message = MessageToDriver.ringRefused(request: 0, reason: String(repeating: "r", count: 30_000))
        let memory = makeMemory()
        defer { close(memory) }
        var sent = 0
        let error = try #require(throws: WireError.self) {
            while true {
                try a.enqueue(message, descriptors: [memory])
                sent += 1
            }
        }
        #expect(error.code == .backlog)
        #expect(a.hasBacklog)
        #expect(sent * 30_000 <= Channel.maximumBacklog + (1 << 20))
        // Once the other end reads, everything that was accepted arrives, whole and in order.
        for _ in 0..<sent {
            let received = try #require(try b.receive(MessageToDriver.self))
            #expect(received.message == message)
            #expect(received.descriptors.map(inode) == [inode(memory)])
            received.descriptors.forEach { close($0) }
            try a.flush()
        }
        #expect(!a.hasBacklog)
    }
}
