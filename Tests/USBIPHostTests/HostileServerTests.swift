// Servers that lie: the connection ends, nothing is written outside a buffer, nobody waits for ever.

import CLinux
import FileDescriptors
import Glibc
import Testing
import USB
import USBIP
import USBIPHost

@Suite struct HostileServerTests {
    /// A handle whose server is the test: what it sends is read as the server's replies.
    private struct Victim {
        let device: USBIPDevice
        let server: Int32

        init() throws {
            var pair: [Int32] = [0, 0]
            guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else {
                throw USBError(.connection, operation: "socketpair")
            }
            server = pair[1]
            let information = USBDeviceInformation(path: "usbip://test/1-1", speed: .high, descriptors: [])
            device = try USBIPDevice(adopting: OwnedDescriptor(pair[0]), information: information, deviceID: 0x10002)
        }

        func send(_ bytes: [UInt8]) {
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Glibc.send(server, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                if count <= 0 { return }
                rest = rest.dropFirst(count)
            }
        }
    }

    private func reply(_ sequence: UInt32, length: Int, status: Int32 = 0, packets: Int = 0) -> [UInt8] {
        URBHeader.submitReply(SubmitReply(sequence: sequence, status: status, actualLength: length, packetCount: packets)).bytes
    }

    /// One transfer (sequence 1) is in flight when `bytes` come; the outcome, and what was behind the transfer's bytes in its buffer.
    private func outcome(of bytes: [UInt8], packets: [Int] = [], length: Int = 64) throws -> (
        TransferStatus, [IsochronousPacket], intact: Bool
    ) {
        let victim = try Victim()
        defer { close(victim.server) }
        let queue = try victim.device.transferQueue(
            endpoint: EndpointAddress(rawValue: 0x81), type: packets.isEmpty ? .bulk : .isochronous)
        let buffer = TransferBuffer(count: length + 64)
        buffer.bytes.initializeMemory(as: UInt8.self, repeating: 0xa5)
        try queue.submit(IdleTransfer(buffer: buffer, length: length, packetLengths: packets))
        victim.send(bytes)
        guard let transfer = try queue.next(timeout: .seconds(10)) else { throw USBError(.timedOut, operation: "next") }
        return (transfer.status, transfer.packets, buffer.bytes[length...].allSatisfy { $0 == 0xa5 })
    }

    @Test func aReplyAsAskedForIsBelieved() throws {
        let (status, _, intact) = try outcome(of: reply(1, length: 64) + [UInt8](repeating: 1, count: 64))
        #expect(status == .completed)
        #expect(intact)
    }

    @Test func moreThanWasAskedForEndsTheConnection() throws {
        for length in [65, 4096, USBIPLimit.transferBytes] {
            let (status, _, intact) = try outcome(of: reply(1, length: length) + [UInt8](repeating: 1, count: min(length, 4096)))
            #expect(status == .disconnected)
            #expect(intact)
        }
    }

    @Test func repliesThatNobodyAskedForEndTheConnection() throws {
        for bytes in [
            reply(2, length: 0), reply(0, length: 0), URBHeader.unlinkReply(UnlinkReply(sequence: 1, status: -104)).bytes,
            URBHeader.unlink(UnlinkCommand(sequence: 1, deviceID: 0, victim: 1)).bytes,
            URBHeader.submit(SubmitCommand(sequence: 1, deviceID: 0, endpoint: EndpointAddress(rawValue: 0x81), length: 0)).bytes,
            [UInt8](repeating: 0xff, count: 48), [UInt8](repeating: 0, count: 48),
        ] {
            #expect(try outcome(of: bytes).0 == .disconnected)
        }
    }

    @Test func packetsThatContradictWhatWasAskedForEndTheConnection() throws {
        func packet(_ actual: UInt32) -> [UInt8] { IsochronousDescriptor(offset: 0xffff_fff0, length: 9, actualLength: actual).bytes }
        let data = [UInt8](repeating: 7, count: 32)
        let asked = [32, 32]
        // What the server says of offsets and lengths does not count; the packets' bytes go where they were asked for.
        let (status, packets, intact) = try outcome(of: reply(1, length: 32, packets: 2) + data + packet(12) + packet(20), packets: asked)
        #expect(status == .completed)
        #expect(packets.map(\.offset) == [0, 32])
        #expect(packets.map(\.actualLength) == [12, 20])
        #expect(intact)
        for bytes in [
            reply(1, length: 32, packets: 1) + data + packet(32),  // Fewer packets.
            reply(1, length: 32, packets: 3) + data + packet(12) + packet(20) + packet(0),  // More packets.
            reply(1, length: 32, packets: 2) + data + packet(33) + packet(0),  // More than the packet has room for.
            reply(1, length: 32, packets: 2) + data + packet(12) + packet(12),  // Less than came.
            reply(1, length: 32, packets: 2) + data + packet(0xffff_ffff) + packet(33),  // A sum that wraps around.
        ] {
            let (status, packets, intact) = try outcome(of: bytes, packets: asked)
            #expect(status == .disconnected)
            #expect(packets.count == 2)
            #expect(intact)
        }
    }

    @Test func aServerThatGoesInTheMiddleOfAMessageEndsEverything() throws {
        let whole = reply(1, length: 64) + [UInt8](repeating: 1, count: 64)
        for count in [1, 47, 48, 111] {
            let victim = try Victim()
            let queue = try victim.device.transferQueue(endpoint: EndpointAddress(rawValue: 0x81), type: .bulk)
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 64)))
            victim.send(Array(whole.prefix(count)))
            close(victim.server)
            #expect(try queue.next(timeout: .seconds(10))?.status == .disconnected)
            #expect { _ = try queue.next(timeout: .seconds(10)) == nil } throws: { ($0 as? USBError)?.code == .noDevice }
        }
    }

    @Test func aServerThatAnswersNothingHoldsUpNeitherRequestsNorTheEnd() async throws {
        let victim = try Victim()
        defer { close(victim.server) }
        let setup = ControlSetup(requestType: 0x80, request: 6, value: 0x0100, index: 0, length: 18)
        #expect(await code { try await victim.device.control(setup, sending: [], timeout: .milliseconds(20)) } == .timedOut)
        // In the middle of a message as well.
        victim.send([0, 0, 0])
        #expect(await code { try await victim.device.control(setup, sending: [], timeout: .milliseconds(20)) } == .timedOut)
        victim.device.close()
    }

    @Test func nothingIsHandedOverInTheMiddleOfAMessage() throws {
        let victim = try Victim()
        defer { close(victim.server) }
        victim.send([0, 0, 0])
        // Only once the reader has the bytes can it know: it takes them before it stops.
        #expect(throws: USBError.self) {
            while true {
                var waiting: Int32 = 0
                guard ioctl(victim.server, UInt(TIOCOUTQ), &waiting) == 0 else { throw USBError(.connection, operation: "TIOCOUTQ") }
                if waiting == 0 { break }
            }
            _ = try victim.device.handOver()
        }
    }

    @Test func listsAndImportsThatLieAreRefused() async throws {
        let answers: [[UInt8]] = [
            [UInt8](repeating: 0xff, count: 400),
            OperationHeader(.replyDeviceList).bytes + [0xff, 0xff, 0xff, 0xff],
            OperationHeader(.replyImport).bytes,
            OperationHeader(.requestImport).bytes + [UInt8](repeating: 0, count: 400),
            [],
        ]
        for answer in answers {
            var port: UInt16 = 0
            let listening = clinux_tcp_listen("127.0.0.1", 0, &port)
            #expect(listening >= 0)
            defer { close(listening) }
            let server = Task.detached {
                for _ in 0..<2 {
                    var polled = pollfd(fd: listening, events: Int16(POLLIN), revents: 0)
                    _ = clinux_poll(&polled, 1, 10_000_000_000)
                    let accepted = clinux_tcp_accept(listening)
                    guard accepted >= 0 else { return }
                    _ = answer.withUnsafeBytes { clinux_send_now(accepted, $0.baseAddress, UInt($0.count)) }
                    shutdown(accepted, Int32(SHUT_WR))
                    var rest = [UInt8](repeating: 0, count: 64)
                    _ = recv(accepted, &rest, rest.count, 0)
                    close(accepted)
                }
            }
            #expect(await code { try await USBIPHost.deviceList(host: "127.0.0.1", port: port) } != nil)
            #expect(await code { try await USBIPConnection.importDevice(host: "127.0.0.1", port: port, busID: "1-1") } != nil)
            await server.value
        }
    }

    @Test func randomRepliesNeverLeaveTheBuffer() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var bytes = reply(1, length: 32, packets: 2) + [UInt8](repeating: 7, count: 32)
            bytes += IsochronousDescriptor(offset: 0, length: 32, actualLength: 12).bytes
            bytes += IsochronousDescriptor(offset: 32, length: 32, actualLength: 20).bytes
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            // Whatever was understood, the rest ends it at the latest.
            bytes += [UInt8](repeating: 0xff, count: 128)
            #expect(try outcome(of: bytes, packets: [32, 32]).intact)
        }
    }
}
