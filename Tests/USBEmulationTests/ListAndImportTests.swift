// What the server answers before a device is imported, and who gets it.

import Glibc
import Testing
import USB
import USBEmulation
import USBIP

@Suite struct ListAndImportTests {
    @Test func theListNamesEveryDeviceWithItsInterfaces() throws {
        let bench = try Bench(["1-1", "1-2"])
        let client = try RawClient(port: bench.port)
        try client.send(OperationHeader(.requestDeviceList).bytes)
        let bytes = try client.receive(12 + 2 * (312 + 2 * 4))
        guard case .complete(let list) = try DeviceList.decode(bytes) else {
            Issue.record("the list is not whole")
            return
        }
        #expect(list.entries.map(\.device.busID) == ["1-1", "1-2"])
        #expect(list.entries.map(\.device.deviceNumber) == [2, 3])
        for entry in list.entries {
            #expect(entry.device.vendorID == 0x1209)
            #expect(entry.device.productID == 1)
            #expect(entry.device.speed == .high)
            #expect(entry.interfaces.map(\.interfaceClass) == [0xff, 0xff])
        }
        try client.drain()
    }

    @Test func anImportedDeviceIsBusyUntilItsConnectionEnds() throws {
        let bench = try Bench(["1-1", "1-2"])
        var first: RawClient? = try RawClient(port: bench.port)
        #expect(try first?.importDevice("1-1") == .ok)
        #expect(try RawClient(port: bench.port).importDevice("1-1") == .busy)
        #expect(try RawClient(port: bench.port).importDevice("1-2") == .ok)
        first = nil
        let again = try bench.clientWhenFree()
        let history = try again.control(0xc0, LoopbackDevice.Request.history, length: 8)
        #expect(history.1 == [2, 0, 1, 0, 0, 0, 0, 0])  // Attached twice, detached once.
    }

    @Test func aBusIDThatIsNotThereIsRefused() throws {
        let bench = try Bench()
        #expect(try RawClient(port: bench.port).importDevice("9-9") == .noDevice)
    }

    @Test(
        arguments: [
            [0x01, 0x00, 0x80, 0x05, 0, 0, 0, 0],  // version 1.0.0
            [0x01, 0x11, 0x80, 0x09, 0, 0, 0, 0],  // an operation that is not known
            [0x01, 0x11, 0x00, 0x05, 0, 0, 0, 0],  // a reply
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] as [[UInt8]])
    func aRequestThatIsNotUnderstoodIsAnsweredWithAnError(_ bytes: [UInt8]) throws {
        let bench = try Bench()
        let client = try RawClient(port: bench.port)
        try client.send(bytes)
        #expect(try OperationHeader(decoding: client.receive(8)).status == .error)
        try client.drain()
    }

    @Test func silentClientsHoldUpNobody() throws {
        let bench = try Bench()
        let silent = try (0..<8).map { _ in try RawClient(port: bench.port) }
        let half = try RawClient(port: bench.port)
        try half.send(Array(ImportRequest(busID: "1-1").bytes.prefix(20)))
        #expect(try RawClient(port: bench.port).importDevice("1-1") == .ok)
        withExtendedLifetime((silent, half)) {}
    }

    @Test func anUnpluggedDeviceIsHiddenUntilItIsPluggedInAgain() throws {
        let bench = try Bench()
        let client = try bench.client()
        bench.devices[0].unplug()
        try client.drain()
        #expect(try RawClient(port: bench.port).importDevice("1-1") == .noDevice)
        let list = try RawClient(port: bench.port)
        try list.send(OperationHeader(.requestDeviceList).bytes)
        #expect(try list.receive(12).suffix(4) == [0, 0, 0, 0])
        bench.devices[0].plug()
        _ = try bench.clientWhenFree()
    }

    @Test func stoppingEndsConnectionsAndTheServerCanBeStartedAgain() throws {
        let bench = try Bench(["1-1", "1-2"])
        let clients = try [bench.client("1-1"), bench.client("1-2")]
        bench.server.stop()
        for client in clients { try client.drain() }
        #expect(throws: RawClient.Ended.self) { try RawClient(port: bench.port) }
        let port = try bench.server.start()
        #expect(try RawClient(port: port).importDevice("1-1") == .ok)
    }

    @Test func aPortThatIsTakenIsSaidToBeBusy() throws {
        let bench = try Bench()
        let other = EmulationServer(devices: [], port: bench.port)
        #expect { try other.start() } throws: { ($0 as? USBError)?.code == .busy }
    }

    @Test func theServerSaysWhatHappens() throws {
        let lines = Lines()
        let server = EmulationServer(devices: [("1-1", LoopbackDevice())], port: 0) { lines.add($0) }
        let port = try server.start()
        #expect(try RawClient(port: port).importDevice("1-1") == .ok)
        server.stop()
        #expect(lines.all.first == "1-1 is imported.")
        #expect(lines.all.count == 2)
    }
}

import Synchronization

final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}
