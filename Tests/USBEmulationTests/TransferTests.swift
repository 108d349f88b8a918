// Transfers on the wire: slots, packing, unlinks, and endpoints that go away.

import CLinux
import Synchronization
import Testing
import USB
import USBEmulation
import USBIP

@Suite struct EngineTransferTests {
    /// Streams `count` transfers of 8 packets, all queued at once; the bus times of their packets.
    private func times(_ client: RawClient, transfers count: Int) throws -> [UInt64] {
        for _ in 0..<count { try client.submit(0x83, length: 8 * 1024, packets: [Int](repeating: 1024, count: 8)) }
        var times: [UInt64] = []
        for _ in 0..<count {
            let (reply, data, packets) = try client.reply(isIn: true)
            #expect(reply.status == 0)
            #expect(packets.map { Int($0.actualLength) }.reduce(0, +) == reply.actualLength)
            var start = 0
            for (index, packet) in packets.enumerated() {
                #expect(packet.offset == UInt32(index * 1024))
                #expect(packet.length == 1024)
                let end = start + Int(packet.actualLength)
                if end > start {
                    let found = data[start..<end].withUnsafeBytes { LoopbackPacket($0, room: 1024) }
                    let time = try #require(found).time
                    // Every packet of a transfer has its own slot, one microframe after the one before.
                    if let last = times.last { #expect(time > last && (time - last).isMultiple(of: 125_000)) }
                    times.append(time)
                }
                start = end
            }
            #expect(start == data.count)  // Packed: nothing between the packets.
        }
        return times
    }

    private func streaming(_ bench: Bench) throws -> RawClient {
        let client = try bench.client()
        _ = try client.control(1, StandardRequest.setInterface, value: 1, index: 1)
        return client
    }

    /// Queued in time is what a machine that has other work may fail to do, not what the bus may: one round of ten has to be.
    @Test func isochronousTransfersThatAreQueuedInTimeFollowWithoutAHole() throws {
        for _ in 0..<10 {
            let bench = try Bench()
            let client = try streaming(bench)
            let before = clinux_monotonic_ns()
            let found = try times(client, transfers: 20)
            #expect(found[0] > before && found[0].isMultiple(of: 125_000))
            // A transfer is answered when its last slot is over, never before.
            #expect(clinux_monotonic_ns() >= found[0] + 160 * 125_000)
            // 160 slots, of which every seventh was empty.
            if found.count == 160 - 160 / 7, found[found.count - 1] - found[0] == 159 * 125_000 { return }
        }
        Issue.record("no round was without a hole")
    }

    @Test func slotsThatNobodyAskedForAreLost() throws {
        let bench = try Bench(lateness: .drop)
        let client = try streaming(bench)
        let first = try times(client, transfers: 1)
        // The bus goes on meanwhile: the device's next interrupts take at least 2 ms.
        for _ in 0..<3 {
            try client.submit(0x82, length: 8)
            _ = try client.reply(isIn: true)
        }
        let second = try times(client, transfers: 1)
        #expect(second[0] - first[0] > 16 * 125_000)
    }

    @Test func theHeldBusGoesOnWhereItStopped() throws {
        let bench = try Bench(lateness: .hold)
        let client = try streaming(bench)
        let first = try times(client, transfers: 1)
        for _ in 0..<3 {
            try client.submit(0x82, length: 8)
            _ = try client.reply(isIn: true)
        }
        let second = try times(client, transfers: 1)
        // Packet 6 of the first eight is empty; the second eight begin with packet 8, one microframe after packet 7.
        #expect(second[0] - first[0] == 8 * 125_000)
    }

    /// Reads the isochronous transfer that `times` would have submitted; the first packet's bus time.
    private func firstTime(_ client: RawClient, of sequence: UInt32) throws -> UInt64 {
        let (reply, data, packets) = try client.reply(isIn: true)
        #expect(reply.sequence == sequence)
        let length = Int(try #require(packets.first { $0.actualLength > 0 }).actualLength)
        return try #require(data[..<length].withUnsafeBytes { LoopbackPacket($0, room: 1024) }).time
    }

    @Test(.timeLimit(.minutes(10))) func aDeviceThatIsLateKeepsItsSlotsOnAHeldBus() throws {
        let device = LateDevice()
        let server = EmulationServer(devices: [("1-1", device)], port: 0, lateness: .hold)
        let client = try RawClient(port: try server.start())
        defer { server.stop() }
        #expect(try client.importDevice("1-1") == .ok)
        _ = try client.control(0, StandardRequest.setConfiguration, value: 1)
        _ = try client.control(1, StandardRequest.setInterface, value: 1, index: 1)
        let sequence = try client.submit(0x83, length: 8 * 1024, packets: [Int](repeating: 1024, count: 8))
        // The device's next interrupts take at least 2 ms: the slots are long over, and have not been answered.
        for _ in 0..<3 {
            let interrupt = try client.submit(0x82, length: 8)
            #expect(try client.reply(isIn: true).0.sequence == interrupt)
        }
        let late = clinux_monotonic_ns()
        device.becomeReady()
        #expect(try firstTime(client, of: sequence) < late - 1_000_000)
    }

    @Test(.timeLimit(.minutes(10))) func aDeviceThatIsNeverReadyDoesNotStopTheBus() throws {
        let server = EmulationServer(devices: [("1-1", LateDevice())], port: 0, lateness: .hold)
        let client = try RawClient(port: try server.start())
        defer { server.stop() }
        #expect(try client.importDevice("1-1") == .ok)
        _ = try client.control(0, StandardRequest.setConfiguration, value: 1)
        _ = try client.control(1, StandardRequest.setInterface, value: 1, index: 1)
        let sequences = try (0..<20).map { _ in try client.submit(0x83, length: 8 * 1024, packets: [Int](repeating: 1024, count: 8)) }
        for sequence in sequences { _ = try firstTime(client, of: sequence) }
    }

    @Test func setInterfaceEndsWhatIsLeftAsShutDown() throws {
        let bench = try Bench()
        let client = try streaming(bench)
        let many = [Int](repeating: 64, count: 1024)  // 128 ms of slots: not over before the request comes.
        let victims = try (0..<3).map { _ in try client.submit(0x83, length: 65536, packets: many) }
        let setup = ControlSetup(requestType: 1, request: StandardRequest.setInterface, value: 0, index: 1, length: 0)
        let request = try client.submit(0, length: 0, setup: setup)
        for victim in victims {
            let (reply, data, packets) = try client.reply(isIn: true)
            #expect(reply.sequence == victim)
            #expect(reply.status == -108)
            #expect(data.isEmpty)
            #expect(packets.count == 1024)
        }
        let (reply, _, _) = try client.reply(isIn: false)
        #expect(reply.sequence == request)
        #expect(reply.status == 0)
        // The endpoint is gone with its alternate setting.
        try client.submit(0x83, length: 64, packets: [64])
        #expect(try client.reply(isIn: true).0.status == -108)
        try client.submit(0x8a, length: 64)
        #expect(try client.reply(isIn: true).0.status == -71)
    }

    @Test func unlinkTellsWhetherTheTransferWasFound() throws {
        let bench = try Bench()
        let client = try bench.client()
        let victims = try (0..<3).map { _ in try client.submit(0x81, length: 512) }
        let unlink = try client.unlink(victims[1])
        #expect(try client.header() == .unlinkReply(UnlinkReply(sequence: unlink, status: -104)))
        let again = try client.unlink(victims[1])
        #expect(try client.header() == .unlinkReply(UnlinkReply(sequence: again, status: 0)))
        // No RET_SUBMIT comes for the victim: the others are next.
        for (victim, byte) in [(victims[0], UInt8(1)), (victims[2], 2)] {
            let out = try client.submit(0x01, length: 1, data: [byte])
            #expect(try client.reply(isIn: false).0.sequence == out)
            let (reply, data, _) = try client.reply(isIn: true)
            #expect(reply.sequence == victim)
            #expect(data == [byte])
        }
    }

    @Test func bulkMessagesEndTransfersAndLargeOnesFillSeveral() throws {
        let bench = try Bench()
        let client = try bench.client()
        let message: [UInt8] = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try client.submit(0x01, length: message.count, data: message)
        #expect(try client.reply(isIn: false).0.actualLength == message.count)
        var received: [UInt8] = []
        for expected in [4096, 4096, 1808] {
            try client.submit(0x81, length: 4096)
            let (reply, data, _) = try client.reply(isIn: true)
            #expect(reply.actualLength == expected)
            received += data
        }
        #expect(received == message)
    }

    @Test func aStalledEndpointAnswersStallUntilItIsCleared() throws {
        let bench = try Bench()
        let client = try bench.client()
        _ = try client.control(0x40, LoopbackDevice.Request.stallEndpoint, value: 0x01)
        for _ in 0..<3 {
            try client.submit(0x01, length: 2, data: [1, 2])
            #expect(try client.reply(isIn: false).0.status == -32)
        }
        _ = try client.control(2, StandardRequest.clearFeature, index: 0x01)
        try client.submit(0x01, length: 2, data: [1, 2])
        #expect(try client.reply(isIn: false).0.status == 0)
    }

    @Test func interruptsComeAtTheDevicesOwnTime() throws {
        let bench = try Bench()
        let client = try bench.client()
        let before = clinux_monotonic_ns()
        for _ in 0..<5 { try client.submit(0x82, length: 8) }
        for number in 1...5 {
            let (_, data, _) = try client.reply(isIn: true)
            #expect(data == [UInt8(number), 0, 0, 0, 0, 0, 0, 0])
        }
        #expect(clinux_monotonic_ns() - before >= 4 * 2_000_000)
    }

    @Test func threeTransactionsAMicroframeAreAsked() throws {
        let bench = try Bench()
        let client = try bench.client()
        _ = try client.control(1, StandardRequest.setInterface, value: 2, index: 1)
        try client.submit(0x83, length: 40 * 3072, packets: [Int](repeating: 3072, count: 40))
        let (_, _, packets) = try client.reply(isIn: true)
        for (number, packet) in packets.enumerated() {
            #expect(Int(packet.actualLength) == LoopbackPacket.count(number: UInt32(number), room: 3072))
        }
    }
}

/// A loopback device that has nothing for its isochronous slots until it is told.
private final class LateDevice: EmulatedDevice {
    private let loopback = LoopbackDevice()
    private let isLate = Mutex(true)
    private let signal = Mutex<(any EmulationSignal)?>(nil)

    var descriptors: EmulatedDescriptors { loopback.descriptors }

    func attached(now: UInt64, signal: any EmulationSignal) {
        self.signal.withLock { $0 = signal }
        loopback.attached(now: now, signal: signal)
    }
    func detached() { loopback.detached() }
    func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer { loopback.control(setup, data: data, now: now) }
    func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64) {
        loopback.alternateSettingChanged(interface: interface, to: alternateSetting, now: now)
    }
    func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        loopback.dataIn(endpoint: endpoint, now: now, into: buffer)
    }
    func isochronousIn(endpoint: EndpointAddress, time: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        loopback.isochronousIn(endpoint: endpoint, time: time, into: buffer)
    }
    func isReady(endpoint: EndpointAddress, until time: UInt64) -> Bool { !isLate.withLock { $0 } }

    func becomeReady() {
        isLate.withLock { $0 = false }
        signal.withLock { $0 }?.ready(endpoint: LoopbackDevice.isochronousIn)
    }
}
