// From the server's list to an open device, and control transfers on it.

import CLinux
import Testing
import USB
import USBEmulation
import USBIP
import USBIPHost

@Suite struct OpenDeviceTests {
    @Test func theListAndTheHostTellTheSameDevice() async throws {
        let bench = try HostBench()
        let list = try await USBIPHost.deviceList(host: "127.0.0.1", port: bench.port)
        #expect(list.map(\.device.busID) == ["1-1"])
        let host = USBIPHost(host: "127.0.0.1", port: bench.port)
        let device = try #require(try await host.devices().first)
        #expect(device.path == "usbip://127.0.0.1:\(bench.port)/1-1")
        #expect(device.vendorID == 0x1209)
        #expect(device.productID == 1)
        let handle = try await host.open(path: device.path)
        #expect(handle.information.serialNumber == "LOOP-1")
        handle.close()
    }

    @Test func anOpenDeviceKnowsItsDescriptorsAndStrings() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let expected = bench.device.descriptors
        #expect(device.information.descriptors == expected.device + expected.configurations[0])
        #expect(device.information.speed == .high)
        #expect(device.information.manufacturer == "UserDriver")
        #expect(device.information.product == "Loopback")
        #expect(device.information.serialNumber == "LOOP-1")
        #expect(device.information.path == "usbip://127.0.0.1:\(bench.port)/1-1")
        #expect(device.deviceID == 0x0001_0002)
        // It was given its configuration.
        let configuration = try await device.control(
            ControlSetup(requestType: 0x80, request: 8, value: 0, index: 0, length: 1), sending: [], timeout: .seconds(5))
        #expect(configuration == [1])
    }

    @Test func aDeviceInUseIsBusyAndOneThatIsNotThereIsNotFound() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        #expect(await code { try await bench.imported() } == .busy)
        #expect(await code { try await USBIPConnection.importDevice(host: "127.0.0.1", port: bench.port, busID: "7-7") } == .notFound)
        device.close()
        try await bench.openWhenFree().close()
    }

    @Test func aServerThatIsNotThereFailsTheConnection() async throws {
        let port = try HostBench().port
        #expect(await code { try await USBIPHost.deviceList(host: "127.0.0.1", port: port) } == .connection)
    }

    @Test func controlTransfersCarryDataBothWays() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let data = (0..<4000).map { UInt8(truncatingIfNeeded: $0) }
        let store = LoopbackDevice.Request.store
        #expect(try await device.control(vendor(store, isIn: false, length: 4000), sending: data, timeout: .seconds(5)) == [])
        #expect(try await device.control(vendor(store, isIn: true, length: 5000), sending: [], timeout: .seconds(5)) == data)
        #expect(
            try await device.control(vendor(store, isIn: true, length: 10), sending: [], timeout: .seconds(5)) == Array(data.prefix(10)))
        #expect(
            await code { try await device.control(vendor(store, isIn: false, length: 3), sending: [1], timeout: .seconds(5)) }
                == .invalidArgument)
    }

    @Test func controlTransfersOfManyTasksAreToldApart() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<50 {
                group.addTask {
                    let found = try await device.descriptor(type: index.isMultiple(of: 2) ? 1 : 2, length: UInt16(8 + index % 8))
                    let whole = index.isMultiple(of: 2) ? bench.device.descriptors.device : bench.device.descriptors.configurations[0]
                    #expect(found == Array(whole.prefix(8 + index % 8)))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func aStallIsToldAsOne() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let setup = vendor(LoopbackDevice.Request.stall, isIn: true, length: 4)
        #expect(await code { try await device.control(setup, sending: [], timeout: .seconds(5)) } == .stall)
    }

    @Test func aRequestThatIsNotAnsweredTimesOutAndTheNextOneIsAnswered() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let before = clinux_monotonic_ns()
        let setup = vendor(LoopbackDevice.Request.silence, isIn: true, length: 4)
        #expect(await code { try await device.control(setup, sending: [], timeout: .milliseconds(30)) } == .timedOut)
        #expect(clinux_monotonic_ns() - before >= 30_000_000)
        #expect(try await device.descriptor(type: 1, length: 18) == bench.device.descriptors.device)
    }

    @Test func aCancelledTaskEndsItsRequest() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let setup = vendor(LoopbackDevice.Request.silence, isIn: true, length: 4)
        let task = Task { await code { try await device.control(setup, sending: [], timeout: .seconds(100)) } }
        task.cancel()
        #expect(await task.value == .cancelled)
        #expect(try await device.descriptor(type: 1, length: 18) == bench.device.descriptors.device)
    }

    @Test func claimsAreKeptAndAlternateSettingsNeedThem() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        #expect(await code { try await device.setAlternateSetting(interface: 1, to: 1) } == .notFound)
        #expect(await code { try await device.claim(interface: 5) } == .notFound)
        #expect(await code { try await device.release(interface: 1) } == .notFound)
        try await device.claim(interface: 1)
        #expect(await code { try await device.claim(interface: 1) } == .busy)
        try await device.setAlternateSetting(interface: 1, to: 2)
        #expect(await code { try await device.setAlternateSetting(interface: 1, to: 9) } == .stall)
        try await device.release(interface: 1)
    }

    @Test func aResetReachesTheDevice() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        try await device.reset()
        let history = try await device.control(
            vendor(LoopbackDevice.Request.history, isIn: true, length: 8), sending: [], timeout: .seconds(5))
        #expect(history.prefix(4) == [2, 0, 1, 0])
    }

    @Test func hotplugTellsArrivalsAndDepartures() async throws {
        let bench = try HostBench()
        let host = USBIPHost(host: "127.0.0.1", port: bench.port, pollInterval: .milliseconds(5))
        let device = try await bench.open()  // So that the device has its signal.
        var events = try host.hotplugEvents().makeAsyncIterator()
        guard case .arrived(let information)? = await events.next() else {
            Issue.record("no arrival")
            return
        }
        bench.device.unplug()
        #expect(await events.next() == .left(path: information.path))
        bench.device.plug()
        #expect(await events.next() == .arrived(information))
        device.close()
    }

    @Test func aClosedHandleRefusesEverything() async throws {
        let bench = try HostBench()
        let device = try await bench.open()
        let queue = try device.transferQueue(endpoint: LoopbackDevice.bulkIn, type: .bulk)
        device.close()
        device.close()
        #expect(await code { try await device.descriptor(type: 1, length: 18) } == .noDevice)
        #expect(throws: USBError.self) { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 16))) }
        #expect(throws: USBError.self) { _ = try queue.next(timeout: .seconds(5)) == nil }
    }
}

@Suite struct USBIPAddressTests {
    @Test func addressesAreReadAndWritten() {
        #expect(USBIPAddress("usbip://camera.local/1-1") == USBIPAddress(host: "camera.local", port: 3240, busID: "1-1"))
        #expect(USBIPAddress("usbip://127.0.0.1:4000/1-1.2") == USBIPAddress(host: "127.0.0.1", port: 4000, busID: "1-1.2"))
        #expect(USBIPAddress("usbip://[::1]:4000/1-1") == USBIPAddress(host: "::1", port: 4000, busID: "1-1"))
        #expect(USBIPAddress(host: "::1", busID: "1-1").description == "usbip://[::1]:3240/1-1")
        for wrong in [
            "", "usbip://", "usbip://host", "usbip:///1-1", "usbip://host/", "usbip://host:0/1-1", "usbip://host:70000/1-1",
            "usbip://host:x/1-1", "usbip://[::1/1-1", "usbip://[::1]4/1-1", "http://host/1-1", "usbip://host/a/b",
            "usbip://host/" + String(repeating: "x", count: 32),
        ] {
            #expect(USBIPAddress(wrong) == nil, "\(wrong)")
        }
    }
}
