// Many transfers in flight over USB/IP, against the loopback device.

import CLinux
import Testing
import USB
import USBEmulation
import USBIPHost

@Suite struct USBIPTransferQueueTests {
    private func bytes(_ transfer: borrowing CompletedTransfer) -> [UInt8] { Array(transfer.buffer.bytes.prefix(transfer.actualLength)) }

    private func out(_ data: [UInt8], tag: UInt64 = 0) -> IdleTransfer {
        let buffer = TransferBuffer(count: data.count)
        buffer.bytes.copyBytes(from: data)
        return IdleTransfer(buffer: buffer, tag: tag)
    }

    /// The next transfer, which has to come.
    private func next(_ queue: any TransferQueue) throws -> CompletedTransfer {
        guard let transfer = try queue.next(timeout: .seconds(10)) else { throw USBError(.timedOut, operation: "next") }
        return transfer
    }

    @Test(arguments: [UInt8(1), 2]) func anIsochronousStreamArrivesWholeAndInOrder(_ alternateSetting: UInt8) async throws {
        // The bus is held: what is judged here is the contents, not this machine's pace.
        let bench = try HostBench(lateness: .hold)
        let device = try await bench.open()
        let queue = try await device.startStreaming(alternateSetting: alternateSetting)
        let room = alternateSetting == 1 ? 1024 : 3072
        let packets = [Int](repeating: room, count: 32)
        for tag in 0..<8 {
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 32 * room), packetLengths: packets, tag: UInt64(tag)))
        }
        #expect(queue.inFlight == 8)
        var check = StreamCheck(room: room)
        for round in 0..<200 {
            let transfer = try next(queue)
            #expect(transfer.status == .completed)
            #expect(transfer.tag == UInt64(round % 8))
            #expect(transfer.packets.map(\.offset) == (0..<32).map { $0 * room })
            #expect(transfer.actualLength == transfer.packets.map(\.actualLength).reduce(0, +))
            check.take(transfer)
            try queue.submit(transfer.recycled())
        }
        #expect(check.packets == 6400)
        #expect(check.wrong == 0)
    }

    @Test func bulkMessagesComeBack() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let output = try device.transferQueue(endpoint: LoopbackDevice.bulkOut, type: .bulk)
        let input = try device.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        for _ in 0..<4 { try input.submit(IdleTransfer(buffer: input.makeBuffer(count: 65536))) }
        var number = 0
        for size in [1, 511, 512, 513, 65536, 0, 40_000, 7] {
            let data = (0..<size).map { UInt8(truncatingIfNeeded: $0 &+ number) }
            number += 1
            try output.submit(out(data, tag: UInt64(size)))
            let sent = try next(output)
            #expect(sent.status == .completed)
            #expect(sent.actualLength == size)
            #expect(sent.tag == UInt64(size))
            let came = try next(input)
            #expect(bytes(came) == data)
            try input.submit(came.recycled())
        }
    }

    @Test func largeMessagesFillTheSocketAndComeBackWhole() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let output = try device.transferQueue(endpoint: LoopbackDevice.bulkOut, type: .bulk)
        let input = try device.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        let data = (0..<LoopbackDevice.mostHeld).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }
        for _ in 0..<8 {
            try output.submit(out(data))
            try input.submit(IdleTransfer(buffer: input.makeBuffer(count: data.count)))
            #expect(try next(output).status == .completed)
            let came = try next(input)
            #expect(bytes(came) == data)
        }
    }

    @Test func interruptsCount() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let queue = try device.transferQueue(endpoint: LoopbackDevice.interruptIn, type: .interrupt)
        for _ in 0..<2 { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 8))) }
        for number in 1...10 {
            let transfer = try next(queue)
            #expect(bytes(transfer) == [UInt8(number), 0, 0, 0, 0, 0, 0, 0])
            try queue.submit(transfer.recycled())
        }
    }

    @Test func nothingThatComesInTimeIsNothing() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let queue = try device.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 8)))
        let before = clinux_monotonic_ns()
        let isNothing = try queue.next(timeout: .milliseconds(20)) == nil
        #expect(isNothing)
        #expect(clinux_monotonic_ns() - before >= 20_000_000)
        #expect(queue.inFlight == 1)
    }

    @Test func cancelledTransfersComeOutInOrder() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let output = try device.transferQueue(endpoint: LoopbackDevice.bulkOut, type: .bulk)
        let input = try device.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        for tag in 0..<6 { try input.submit(IdleTransfer(buffer: input.makeBuffer(count: 64), tag: UInt64(tag))) }
        input.cancelAll()
        for tag in 0..<6 {
            let transfer = try next(input)
            #expect(transfer.status == .cancelled)
            #expect(transfer.tag == UInt64(tag))
        }
        #expect(input.inFlight == 0)
        // The endpoint works as before.
        try input.submit(IdleTransfer(buffer: input.makeBuffer(count: 64)))
        try output.submit(out([1, 2, 3]))
        #expect(bytes(try next(input)) == [1, 2, 3])
    }

    @Test func aCancelledStreamCanBeStartedAgain() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let queue = try await device.startStreaming()
        for _ in 0..<5 {
            for _ in 0..<8 {
                try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 32768), packetLengths: [Int](repeating: 1024, count: 32)))
            }
            #expect(try next(queue).status == .completed)
            queue.cancelAll()
            for _ in 0..<7 { _ = try next(queue) }
            try await device.setAlternateSetting(interface: 1, to: 0)
            try await device.setAlternateSetting(interface: 1, to: 1)
        }
    }

    @Test func aHaltLastsUntilItIsCleared() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let output = try device.transferQueue(endpoint: LoopbackDevice.bulkOut, type: .bulk)
        _ = try await device.control(
            vendor(LoopbackDevice.Request.stallEndpoint, isIn: false, value: UInt16(LoopbackDevice.bulkOut.rawValue)), sending: [],
            timeout: .seconds(5))
        for _ in 0..<2 {
            try output.submit(out([1]))
            #expect(try next(output).status == .stall)
        }
        try await device.clearHalt(endpoint: LoopbackDevice.bulkOut)
        try output.submit(out([1]))
        #expect(try next(output).status == .completed)
    }

    @Test func setInterfaceEndsWhatIsInFlight() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let queue = try await device.startStreaming()
        for _ in 0..<3 {
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 65536), packetLengths: [Int](repeating: 64, count: 1024)))
        }
        try await device.setAlternateSetting(interface: 1, to: 0)
        for _ in 0..<3 {
            let transfer = try next(queue)
            #expect(transfer.status == .disconnected)
            #expect(transfer.packets.count == 1024)
        }
        #expect(try await device.descriptor(type: 1, length: 18).count == 18)
    }

    @Test(arguments: [false, true]) func aDeviceThatGoesEndsEverythingInFlight(_ serverDies: Bool) async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let queue = try await device.startStreaming()
        let bulk = try device.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        for _ in 0..<4 {
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 65536), packetLengths: [Int](repeating: 64, count: 1024)))
            try bulk.submit(IdleTransfer(buffer: bulk.makeBuffer(count: 512)))
        }
        let request = Task {
            await code {
                try await device.control(vendor(LoopbackDevice.Request.silence, isIn: true, length: 1), sending: [], timeout: .seconds(100))
            }
        }
        if serverDies { bench.server.stop() } else { bench.device.unplug() }
        for queue in [queue, bulk] {
            for _ in 0..<4 { #expect(try next(queue).status == .disconnected) }
            #expect { _ = try queue.next(timeout: .seconds(10)) == nil } throws: { ($0 as? USBError)?.code == .noDevice }
            #expect {
                try queue.submit(
                    IdleTransfer(buffer: queue.makeBuffer(count: 64), packetLengths: queue.endpoint == bulk.endpoint ? [] : [64]))
            } throws: { ($0 as? USBError)?.code == .noDevice }
        }
        #expect(await request.value == .noDevice)
        guard !serverDies else { return }
        bench.device.plug()
        try await bench.openWhenFree().close()
    }

    @Test func aTransferThatContradictsItselfIsRefused() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let isochronous = try await device.startStreaming()
        let bulk = try device.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        #expect(throws: USBError.self) { try isochronous.submit(IdleTransfer(buffer: bulk.makeBuffer(count: 64))) }
        #expect(throws: USBError.self) { try bulk.submit(IdleTransfer(buffer: bulk.makeBuffer(count: 64), packetLengths: [64])) }
        #expect(throws: USBError.self) {
            try isochronous.submit(IdleTransfer(buffer: bulk.makeBuffer(count: 2000), packetLengths: [Int](repeating: 1, count: 1025)))
        }
        #expect(throws: USBError.self) {
            try isochronous.submit(IdleTransfer(buffer: bulk.makeBuffer(count: 64), length: 64, packetLengths: [32]))
        }
        #expect(throws: USBError.self) { _ = try device.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk) }
        #expect(throws: USBError.self) { _ = try device.transferQueue(endpoint: EndpointAddress(rawValue: 0x80), type: .control) }
    }
}
