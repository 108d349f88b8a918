// What is noted is read again, whatever else lies in the memory; and a capture is what Wireshark expects.

import CLinux
import FileDescriptors
import Glibc
import Testing
import USB

@testable import FlightRecorder

@Suite struct FlightRecorderTests {
    private let bulkIn = EndpointAddress(rawValue: 0x81)

    @Test func aTransferIsNotedInFlightAndThenWithItsOutcome() throws {
        let memory = try RecorderMemory()
        let recorder = try FlightRecorder(descriptor: memory.descriptor, generation: 3)
        let token = recorder.submitted(.bulk, bulkIn, requested: 512)
        let flying = try #require(memory.snapshot().transfers.first)
        #expect(flying.completed == nil && flying.submitted != nil && flying.requested == 512 && flying.generation == 3)
        [UInt8](0..<100).withUnsafeBytes { recorder.completed(token, .init(status: .stall, actual: 100), data: $0) }
        let transfers = memory.snapshot().transfers
        #expect(transfers.count == 1)
        #expect(transfers[0].completed != nil && transfers[0].status == -32 && transfers[0].actual == 100)
        #expect(transfers[0].data == [UInt8](0..<64))
    }

    @Test func packetsAreDescribedUpToTheLimit() throws {
        let memory = try RecorderMemory()
        let recorder = try FlightRecorder(descriptor: memory.descriptor, generation: 1)
        let outcomes = (0..<72).map { (actualLength: $0, status: Int32($0 == 5 || $0 == 71 ? -71 : 0)) }
        IsochronousPackets.with(outcomes, packetLength: 1024) {
            recorder.completed(.isochronous, bulkIn, requested: 73_728, .init(status: .completed, actual: 2480), packets: $0)
        }
        let transfer = try #require(memory.snapshot().transfers.first)
        #expect(transfer.packets.count == 64 && transfer.packets[63] == 63 && transfer.packets[4] == 4 && transfer.packets[5] == nil)
        #expect(transfer.failedPackets == 2 && transfer.submitted == nil)
    }

    @Test func theNewestReplaceTheOldest() throws {
        let memory = try RecorderMemory()
        let recorder = try FlightRecorder(descriptor: memory.descriptor, generation: 1)
        let reader = try RecorderReader(descriptor: memory.descriptor)
        let slow = recorder.submitted(.control, EndpointAddress(rawValue: 0), requested: 1)
        for _ in 0..<2000 { recorder.completed(recorder.submitted(.bulk, bulkIn, requested: 1), .init(status: .completed, actual: 1)) }
        recorder.completed(slow, .init(status: .completed, actual: 1))
        let transfers = memory.snapshot().transfers
        #expect(UInt64(transfers.count) == RecorderReader.capacity)
        #expect(transfers.last?.number == 2001 && transfers.allSatisfy { $0.type == .bulk })
        #expect(reader.count == 2001 && reader.transfer(2001) != nil && reader.transfer(1) == nil && reader.transfer(2002) == nil)
    }

    @Test func successorsGoOnCounting() throws {
        let memory = try RecorderMemory()
        for generation in UInt32(1)...3 {
            let recorder = try FlightRecorder(descriptor: memory.descriptor, generation: generation)
            _ = recorder.submitted(.interrupt, bulkIn, requested: 16)
        }
        #expect(memory.snapshot().transfers.map(\.generation) == [1, 2, 3])
    }

    @Test func readersCanNotWrite() throws {
        let memory = try RecorderMemory()
        let owned = try memory.readOnlyDescriptor()
        let descriptor = owned.number
        #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) == MAP_FAILED)
        #expect(throws: USBError.self) { try FlightRecorder(descriptor: descriptor, generation: 1) }
        _ = try RecorderReader(descriptor: descriptor)
    }

    @Test func whatIsNoRecorderIsRefused() throws {
        let other = clinux_memfd("other", 0)
        defer { close(other) }
        #expect(ftruncate(other, 4096) == 0)
        #expect(throws: USBError.self) { try RecorderReader(descriptor: other) }
        #expect(ftruncate(other, off_t(RecorderLayout.byteCount)) == 0)
        #expect(throws: USBError.self, "it could still be shrunk under the reader") { try RecorderReader(descriptor: other) }
        #expect(throws: USBError.self) { try FlightRecorder(descriptor: -1, generation: 1) }
    }

    @Test(arguments: 0..<50) func noiseIsNoCrash(seed: Int) throws {
        let memory = try RecorderMemory()
        var random = SystemRandomNumberGenerator()
        let noise = (0..<RecorderLayout.byteCount).map { _ in UInt8.random(in: 0...255, using: &random) }
        #expect(noise.withUnsafeBytes { pwrite(memory.descriptor, $0.baseAddress, $0.count, 0) } == noise.count)
        let transfers = memory.snapshot().transfers
        for transfer in transfers {
            #expect(transfer.data.count <= 64 && transfer.packets.count <= 64)
            #expect(!transfer.line(before: 0).isEmpty)
        }
        let reader = try RecorderReader(descriptor: memory.descriptor)
        _ = reader.transfer(reader.count)
        let bytes = CaptureFile(bus: 1, device: 2).file(transfers, descriptors: noise, title: "noise")
        #expect(Self.blocks(bytes) != nil)
    }

    // MARK: Captures

    /// The types of the file's blocks; `nil` where their lengths do not fit together.
    private static func blocks(_ bytes: [UInt8]) -> [UInt32]? {
        func word(_ offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) } }
        var types: [UInt32] = []
        var offset = 0
        while offset < bytes.count {
            guard offset + 12 <= bytes.count else { return nil }
            let length = Int(word(offset + 4))
            guard length >= 12, length % 4 == 0, offset + length <= bytes.count, word(offset + length - 4) == UInt32(length) else {
                return nil
            }
            types.append(word(offset))
            offset += length
        }
        return types
    }

    private static let descriptors: [UInt8] =
        [18, 1, 0, 2, 0xef, 2, 1, 64, 0x09, 0x12, 1, 0, 0, 1, 1, 2, 3, 1] + [9, 2, 25, 0, 1, 1, 0, 0x80, 50]
        + [9, 4, 0, 0, 1, 0x0e, 2, 0, 0] + [7, 5, 0x81, 2, 0, 2, 0]

    private static let transfers = [
        RecordedTransfer(
            number: 1, type: .control, endpoint: EndpointAddress(rawValue: 0x80), submitted: 1000, completed: 5000,
            setup: [0xa1, 0x81, 0, 1, 1, 0, 26, 0], requested: 26, actual: 26, data: Array(0..<26)),
        RecordedTransfer(
            number: 2, type: .control, endpoint: EndpointAddress(rawValue: 0), submitted: 6000, completed: 7000,
            setup: [0x21, 0x01, 0, 1, 1, 0, 2, 0], status: -32, requested: 2, actual: 0, data: [1, 2]),
        RecordedTransfer(
            number: 3, type: .isochronous, endpoint: EndpointAddress(rawValue: 0x81), submitted: 8000, completed: 9000, requested: 4096,
            actual: 24, data: Array(repeating: 12, count: 12), packets: [12, nil, 12], failedPackets: 1),
        RecordedTransfer(
            number: 4, type: .bulk, endpoint: EndpointAddress(rawValue: 0x81), submitted: nil, completed: 10_000, requested: 512,
            actual: 512,
            data: [12, 0x8c]),
        RecordedTransfer(
            number: 5, type: .interrupt, endpoint: EndpointAddress(rawValue: 0x83), submitted: 11_000, completed: nil, requested: 16),
    ]

    @Test func aCaptureIsWholeBlocks() {
        let bytes = CaptureFile(bus: 1, device: 2, epoch: 0).file(Self.transfers, descriptors: Self.descriptors, title: "1-1")
        // Section, interface, two descriptors asked and answered, eight events.
        #expect(Self.blocks(bytes) == [0x0a0d_0d0a, 1] + Array(repeating: 6, count: 4 + 8))
    }

    @Test func tsharkReadsIt() throws {
        guard access("/usr/bin/tshark", X_OK) == 0 else {
            print("tshark is not installed: a capture was not shown to it")
            return
        }
        let path = "/tmp/userdriver-capture-\(getpid()).pcapng"
        let bytes = CaptureFile(bus: 1, device: 2).file(Self.transfers, descriptors: Self.descriptors, title: "1-1")
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        #expect(bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) } == bytes.count)
        close(file)
        defer { unlink(path) }
        func tshark(_ arguments: String) throws -> [String] {
            let pipe = try #require(popen("/usr/bin/tshark -r \(path) \(arguments) 2>/dev/null", "r"))
            defer { pclose(pipe) }
            var lines: [String] = []
            var buffer = [CChar](repeating: 0, count: 4096)
            while fgets(&buffer, Int32(buffer.count), pipe) != nil {
                lines.append(String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
            return lines
        }
        #expect(try tshark("").count == 12)
        #expect(try tshark("-Y _ws.malformed").isEmpty)
        #expect(try tshark("-Y 'usb.urb_status == -32'").count == 1)
        #expect(try tshark("-Y 'usb.iso.numdesc == 3'").count == 1)
        #expect(try tshark("-Y 'usb.idVendor == 0x1209'").count == 1)
        #expect(try tshark("-Y 'usb.bEndpointAddress == 0x81'").count >= 1)
    }
}
