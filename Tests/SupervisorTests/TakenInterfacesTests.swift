import Glibc
import Testing
import USB

@testable import Supervisor

@Suite("What was taken from the kernel's drivers")
struct TakenInterfacesTests {
    private static func device(_ path: String, number: UInt32 = 5, product: UInt8 = 1) -> USBDeviceInformation {
        let descriptor: [UInt8] = [18, 1, 0, 2, 0xef, 2, 1, 64, 9, 0x12, product, 0, 0, 1, 1, 2, 3, 1]
        return USBDeviceInformation(path: path, speed: .high, descriptors: descriptor + [9, 2], busNumber: 1, deviceNumber: number)
    }

    private func withFile(_ body: (String) throws -> Void) rethrows {
        var template = Array("/tmp/taken-XXXXXX".utf8CString)
        let folder = String(cString: mkdtemp(&template))
        defer {
            unlink(folder + "/taken.json")
            rmdir(folder)
        }
        try body(folder + "/taken.json")
    }

    @Test("the next supervisor knows what one that was killed took")
    func survives() throws {
        withFile { path in
            var first = TakenInterfaces(path: path)
            #expect(first.read() == nil)
            #expect(first.add(Self.device("1-1"), interfaces: 0b01) == nil)
            #expect(first.add(Self.device("1-1"), interfaces: 0b10) == nil)
            #expect(first.add(Self.device("2-1"), interfaces: 0b100) == nil)
            #expect(first.forget(path: "2-1") == nil)
            var second = TakenInterfaces(path: path)
            #expect(second.read() == nil)
            #expect(second.entries.map(\.path) == ["1-1"])
            #expect(second.entries.first?.interfaces == 0b11)
            #expect(second.entries.first?.deviceDescriptor.count == 18)
        }
    }

    @Test("a device that was plugged in again has lost nothing yet", arguments: [(6, 1), (5, 2)] as [(UInt32, UInt8)])
    func pluggedInAgain(number: UInt32, product: UInt8) {
        withFile { path in
            var taken = TakenInterfaces(path: path)
            #expect(taken.add(Self.device("1-1"), interfaces: 0b01) == nil)
            #expect(taken.add(Self.device("1-1", number: number, product: product), interfaces: 0b10) == nil)
            #expect(taken.entries.map(\.interfaces) == [0b10])
        }
    }

    @Test("a file that can't be read is told, and nothing is given back by it")
    func damaged() throws {
        try withFile { path in
            try StateFile.write(Array("[{}]".utf8), to: path)
            var taken = TakenInterfaces(path: path)
            #expect(taken.read() != nil)
            #expect(taken.entries.isEmpty)
        }
    }

    @Test("where nothing can be kept, that is said")
    func nowhere() {
        var taken = TakenInterfaces(path: "/nonexistent/taken.json")
        #expect(taken.add(Self.device("1-1"), interfaces: 1)?.contains("/nonexistent/taken.json") == true)
    }
}
