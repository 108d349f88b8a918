// A device behind a port: drivers come and go, and what is in flight stays in flight.

import CLinux
import FileDescriptors
import Glibc
import Testing
@testable import TransferRing
import USB
import USBEmulation
import USBIP

@testable import USBIPHost

@Suite struct PortTests {
    /// A port on the loopback device.
    private final class PortBench: Sendable {
        let bench: HostBench
        let port: USBIPProxy
        let information: USBDeviceInformation
        let deviceID: UInt32
        /// Of a driver that has the whole device.
        var everything: FunctionRights { FunctionRights(interfaces: .max, of: DescriptorSet(parsing: information.descriptors)) }
        init(lateness: EmulationServer.Lateness = .hold) async throws {
            bench = try HostBench(lateness: lateness)
            let handover = try await bench.open().handOver()
            information = handover.information
            deviceID = handover.deviceID
            port = try USBIPProxy(socket: handover.socket, deviceID: deviceID) { _ in }
        }

        /// The next driver's handle.
        func driver(function: Int = 0, rights: FunctionRights? = nil) throws -> USBIPDevice {
            var pair: [Int32] = [-1, -1]
            try #require(clinux_stream_pair(&pair) == 0)
            try port.connect(driver: OwnedDescriptor(pair[1]), function: function, rights: rights ?? everything)
            return try USBIPDevice(adopting: OwnedDescriptor(pair[0]), information: information, deviceID: deviceID)
        }
    }

    @Test func theDriversSideIsThatOfAServer() async throws {
        let bench = try await PortBench()
        let device = try bench.driver()
        let data = (0..<100).map { UInt8($0) }
        _ = try await device.control(
            vendor(LoopbackDevice.Request.store, isIn: false, length: 100), sending: data, timeout: .seconds(5))
        let back = try await device.control(
            vendor(LoopbackDevice.Request.store, isIn: true, length: 100), sending: [], timeout: .seconds(5))
        #expect(back == data)
        #expect(
            await code {
                try await device.control(vendor(LoopbackDevice.Request.stall, isIn: true, length: 1), sending: [], timeout: .seconds(5))
            } == .stall)
        // One that the device never answers is unlinked through the port.
        #expect(
            await code {
                try await device.control(
                    vendor(LoopbackDevice.Request.silence, isIn: true, length: 1), sending: [], timeout: .milliseconds(50))
            } == .timedOut)
        let queue = try device.transferQueue(endpoint: LoopbackDevice.interruptIn, type: .interrupt)
        try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 8)))
        guard let interrupt = try queue.next(timeout: .seconds(10)) else { throw USBError(.timedOut, operation: "next") }
        let count = interrupt.actualLength
        #expect(count == 8)
        // Isochronous transfers go through it too, for drivers that have no ring.
        let stream = try await device.startStreaming()
        let packets = [Int](repeating: 1024, count: 8)
        var check = StreamCheck(room: 1024)
        for _ in 0..<4 { try stream.submit(IdleTransfer(buffer: stream.makeBuffer(count: 8192), packetLengths: packets)) }
        for _ in 0..<20 {
            guard let transfer = try stream.next(timeout: .seconds(10)) else { throw USBError(.timedOut, operation: "next") }
            check.take(transfer)
            try stream.submit(transfer.recycled())
        }
        #expect(check.packets == 160)
        #expect(check.wrong == 0)
    }

    @Test func `each function has its drivers, and they speak to it alone`() async throws {
        let bench = try await PortBench()
        // One may have the interrupt endpoint, the other the bulk endpoints; neither the other's.
        let first = try bench.driver(function: 0, rights: FunctionRights(interfaces: 0, endpoints: [LoopbackDevice.interruptIn]))
        let second = try bench.driver(
            function: 1, rights: FunctionRights(interfaces: 0, endpoints: [LoopbackDevice.bulkIn, LoopbackDevice.bulkOut]))
        let foreign = try first.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        try foreign.submit(IdleTransfer(buffer: foreign.makeBuffer(count: 512)))
        guard let refused = try foreign.next(timeout: .seconds(10)) else { throw USBError(.timedOut, operation: "next") }
        #expect(refused.status == .fault(EACCES))
        let input = try second.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        try input.submit(IdleTransfer(buffer: input.makeBuffer(count: 512)))
        // A driver of one function comes and goes; what the other has in flight stays.
        _ = try bench.driver(function: 0, rights: FunctionRights(interfaces: 0, endpoints: []))
        bench.port.leave(function: 0)
        let output = try second.transferQueue(endpoint: LoopbackDevice.bulkOut, type: .bulk)
        let message = TransferBuffer(count: 3)
        message.bytes.copyBytes(from: [1, 2, 3])
        try output.submit(IdleTransfer(buffer: message))
        guard let came = try input.next(timeout: .seconds(10)) else { throw USBError(.timedOut, operation: "next") }
        #expect(Array(came.buffer.bytes.prefix(came.actualLength)) == [1, 2, 3])
        // Neither may change what belongs to the device.
        let configure = ControlSetup(requestType: 0, request: StandardRequest.setConfiguration, value: 1, index: 0, length: 0)
        #expect(await code { _ = try await second.control(configure, sending: [], timeout: .seconds(5)) } != nil)
        #expect(throws: USBError.self) {
            try bench.port.carry(
                ring: 0, function: 1, memory: -1,
                geometry: try #require(TransferRingGeometry(transferCount: 4, packetCount: 0, packetLength: 512)),
                wake: -1, endpoint: LoopbackDevice.interruptIn, interval: 0)
        }
    }

    @Test func aDriverThatGoesLeavesNothingInFlight() async throws {
        let bench = try await PortBench()
        let first = try bench.driver()
        let queue = try first.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        for _ in 0..<4 { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 512))) }
        // The next driver takes its place while the first one's are in flight.
        let second = try bench.driver()
        let input = try second.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        let output = try second.transferQueue(endpoint: LoopbackDevice.bulkOut, type: .bulk)
        try input.submit(IdleTransfer(buffer: input.makeBuffer(count: 512)))
        let message = TransferBuffer(count: 3)
        message.bytes.copyBytes(from: [1, 2, 3])
        try output.submit(IdleTransfer(buffer: message))
        guard let came = try input.next(timeout: .seconds(10)) else { throw USBError(.timedOut, operation: "next") }
        #expect(Array(came.buffer.bytes.prefix(came.actualLength)) == [1, 2, 3], "the first driver's transfers did not take it")
        first.close()
    }

    /// What a driver remembers: which packet comes next.
    private struct Memory: BitwiseCopyable {
        var next: UInt32 = 0
        var isJoined: UInt32 = 0
        var packets: UInt64 = 0
        var wrong: UInt64 = 0

        mutating func take(_ transfer: TransferRing.Transfer) {
            for packet in transfer.packets {
                packets += 1
                defer { next &+= 1 }
                if packet.actualLength == 0 {
                    if isJoined != 0, LoopbackPacket.count(number: next, room: 1024) != 0 { wrong += 1 }
                    continue
                }
                let bytes = UnsafeRawBufferPointer(rebasing: transfer.bytes[packet.offset..<packet.offset + packet.actualLength])
                guard let found = LoopbackPacket(bytes, room: 1024), isJoined == 0 || found.number == next else {
                    wrong += 1
                    continue
                }
                isJoined = 1
                next = found.number
            }
        }
    }

    @Test func aRingChangesHandsWithoutLosingAPacket() async throws {
        let bench = try await PortBench()
        let starter = try bench.driver()
        try await starter.claim(interface: 1)
        try await starter.setAlternateSetting(interface: 1, to: 1)
        let geometry = try #require(TransferRingGeometry(transferCount: 8, packetCount: 8, packetLength: 1024))
        let memory = try TransferRingMemory(geometry: geometry)
        let wake = clinux_eventfd()
        defer { close(wake) }
        try bench.port.carry(
            ring: 0, memory: memory.descriptor, geometry: geometry, wake: wake, endpoint: LoopbackDevice.isochronousIn, interval: 1)
        var state = Memory()
        for incarnation in 0..<20 {
            // Each incarnation has a connection and a mapping of its own, and leaves without a word.
            let device = incarnation == 0 ? starter : try bench.driver()
            let mapping = try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: nil)
            let ring = TransferRing(
                mapping: mapping,
                carrier: try device.carrier(endpoint: LoopbackDevice.isochronousIn, type: .isochronous, wake: wake))
            if incarnation == 0 {
                try ring.begin(layout: 1, state: state)
            } else {
                state = try #require(ring.resume(layout: 1, as: Memory.self))
                try ring.refill()
            }
            for round in 0..<25 {
                let transfer = try #require(try ring.take(timeout: .seconds(10)))
                state.take(transfer)
                // The last one of each is handled and not committed.
                if round < 24 { try ring.commit(layout: 1, state: state) }
            }
        }
        #expect(state.packets == 20 * 24 * 8 + 8)
        #expect(state.wrong == 0)
        bench.port.end(ring: 0)
    }

    @Test func aRingIsToldThatTheDeviceHasGone() async throws {
        let bench = try await PortBench()
        let device = try bench.driver()
        let geometry = try #require(TransferRingGeometry(transferCount: 4, packetCount: 0, packetLength: 512))
        let memory = try TransferRingMemory(geometry: geometry)
        let wake = clinux_eventfd()
        defer { close(wake) }
        try bench.port.carry(
            ring: 1, memory: memory.descriptor, geometry: geometry, wake: wake, endpoint: LoopbackDevice.bulkIn, interval: 0)
        let mapping = try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: nil)
        let ring = TransferRing(mapping: mapping, carrier: try device.carrier(endpoint: LoopbackDevice.bulkIn, type: .bulk, wake: wake))
        try ring.begin(layout: 1, state: UInt64(0))
        bench.bench.server.stop()
        var status: TransferStatus?
        var failure: USBError.Code?
        do {
            while status == nil { status = try ring.take(timeout: .seconds(10))?.status }
        } catch {
            failure = error.code
        }
        #expect(status == .disconnected || failure == .noDevice)
    }

    @Test func cancellingARingEndsWhatIsInFlight() async throws {
        let bench = try await PortBench()
        let device = try bench.driver()
        let geometry = try #require(TransferRingGeometry(transferCount: 4, packetCount: 0, packetLength: 512))
        let memory = try TransferRingMemory(geometry: geometry)
        let wake = clinux_eventfd()
        defer { close(wake) }
        try bench.port.carry(
            ring: 2, memory: memory.descriptor, geometry: geometry, wake: wake, endpoint: LoopbackDevice.bulkIn, interval: 0)
        let mapping = try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: nil)
        let ring = TransferRing(mapping: mapping, carrier: try device.carrier(endpoint: LoopbackDevice.bulkIn, type: .bulk, wake: wake))
        try ring.begin(layout: 1, state: UInt64(0))
        ring.drain(patience: .seconds(10))
        let transfer = try #require(try ring.take(timeout: .zero))
        #expect(transfer.status == .cancelled)
    }

    /// What a hostile driver sends over its connection ends that connection, and nothing else.
    @Test(arguments: [
        [UInt8](repeating: 0, count: 48), [UInt8](repeating: 0xff, count: 48),
        // CMD_SUBMIT of 2 GiB.
        [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff] + [UInt8](repeating: 0, count: 20),
        // CMD_SUBMIT with 1024 packets that are longer than the transfer.
        [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 4, 0]
            + [UInt8](repeating: 0xff, count: 12 + 16384),
        // RET_SUBMIT: a reply in place of a command.
        [0, 0, 0, 3] + [UInt8](repeating: 0, count: 44),
    ])
    func garbageFromADriverEndsItsConnection(bytes: [UInt8]) async throws {
        let bench = try await PortBench()
        var pair: [Int32] = [-1, -1]
        try #require(clinux_stream_pair(&pair) == 0)
        defer { close(pair[0]) }
        try bench.port.connect(driver: OwnedDescriptor(pair[1]), rights: bench.everything)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { send(pair[0], $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { break }
            sent += count
        }
        var byte: UInt8 = 0
        #expect(recv(pair[0], &byte, 1, 0) <= 0, "the port has closed the connection")
        // The next driver finds the device as it was.
        let device = try bench.driver()
        _ = try await device.control(vendor(LoopbackDevice.Request.history, isIn: true, length: 8), sending: [], timeout: .seconds(5))
    }

    @Test func thePortIsToldOfASubmissionOnlyWhereNothingElseMakesItLook() throws {
        let geometry = try #require(TransferRingGeometry(transferCount: 8, packetCount: 0, packetLength: 512))
        let memory = try TransferRingMemory(geometry: geometry)
        let mapping = try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: nil)
        let wake = clinux_eventfd()
        defer { close(wake) }
        let carrier = try PortCarrier(wake: wake)
        func isTold(_ index: Int) throws -> Bool {
            try carrier.submit(RingRecord(mapping, index: index))
            var count: UInt64 = 0
            return read(wake, &count, 8) == 8
        }
        #expect(try isTold(0))
        // The one from half a ring ago is in flight: its end makes the port look.
        RingRecord(mapping, index: 4).prepare(number: 4, length: 512)
        RingRecord(mapping, index: 4).markInFlight()
        #expect(try !isTold(0) && isTold(1))
        RingRecord(mapping, index: 4).complete(status: 0, actualLength: 0, at: 1)
        #expect(try isTold(0))
    }
}
