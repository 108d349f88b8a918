// The socket goes from one handle to the next, as from the supervisor to a driver.

import CLinux
import FileDescriptors
import Glibc
import Testing
import USB
import USBEmulation
import USBIPHost

@Suite struct HandOverTests {
    private func stream(_ device: USBIPDevice, _ check: inout StreamCheck, transfers: Int) throws {
        let queue = try device.transferQueue(endpoint: LoopbackDevice.isochronousIn, type: .isochronous)
        for _ in 0..<4 {
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 16384), packetLengths: [Int](repeating: 1024, count: 16)))
        }
        for round in 0..<transfers {
            guard let transfer = try queue.next(timeout: .seconds(10)) else { throw USBError(.timedOut, operation: "next") }
            #expect(transfer.status == .completed)
            check.take(transfer)
            if round < transfers - 4 { try queue.submit(transfer.recycled()) }
        }
        #expect(queue.inFlight == 0)
    }

    @Test func theStreamGoesOnThroughADuplicateInAnotherHandle() async throws {
        let bench = try HostBench(lateness: .hold)
        var check = StreamCheck(room: 1024)
        var device = try await bench.open()
        try await device.claim(interface: 1)
        try await device.setAlternateSetting(interface: 1, to: 1)
        for _ in 0..<5 {
            try stream(device, &check, transfers: 20)
            let given = try device.handOver()
            #expect(await code { try await device.descriptor(type: 1, length: 18) } == .noDevice)
            let duplicate = clinux_duplicate(given.socket.number)
            let (information, deviceID) = (given.information, given.deviceID)
            _ = consume given
            device = try USBIPDevice(adopting: OwnedDescriptor(duplicate), information: information, deviceID: deviceID)
            #expect(try await device.descriptor(type: 1, length: 18) == bench.device.descriptors.device)
        }
        try stream(device, &check, transfers: 20)
        // The alternate setting was never left: the numbers go on.
        #expect(check.packets == 6 * 20 * 16)
        #expect(check.wrong == 0)
        let history = try await device.control(
            vendor(LoopbackDevice.Request.history, isIn: true, length: 8), sending: [], timeout: .seconds(5))
        #expect(history.prefix(4) == [1, 0, 0, 0])  // Attached once, never detached.
    }

    @Test func closingADriversHandleLeavesTheSupervisorsDuplicateUsable() async throws {
        let bench = try HostBench()
        let given = try await bench.open().handOver()
        let (information, deviceID) = (given.information, given.deviceID)
        let socket = given.socket.handOver()
        let first = try USBIPDevice(adopting: OwnedDescriptor(clinux_duplicate(socket)), information: information, deviceID: deviceID)
        let queue = try first.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        for _ in 0..<3 { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 64))) }
        first.close()  // With transfers in flight, which end first.
        for _ in 0..<3 { #expect(try queue.next(timeout: .seconds(10))?.status == .cancelled) }
        let second = try USBIPDevice(adopting: OwnedDescriptor(socket), information: information, deviceID: deviceID)
        #expect(try await second.descriptor(type: 1, length: 18) == bench.device.descriptors.device)
        second.close()
        try await bench.openWhenFree().close()
    }

    @Test func nothingIsHandedOverWhileTransfersAreInFlight() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let queue = try device.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 64)))
        #expect { _ = try device.handOver() } throws: { ($0 as? USBError)?.code == .busy }
        queue.cancelAll()
        #expect(try queue.next(timeout: .seconds(10))?.status == .cancelled)
        do {
            let given = try device.handOver()
            #expect { _ = try device.handOver() } throws: { ($0 as? USBError)?.code == .noDevice }
            #expect(given.socket.number >= 0)
        }
        try await bench.openWhenFree().close()
    }

    @Test func anImportThatIsDroppedFreesTheDevice() async throws {
        let bench = try HostBench()
        _ = try await bench.imported()
        try await bench.openWhenFree().close()
    }
}
