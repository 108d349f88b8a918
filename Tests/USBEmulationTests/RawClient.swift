// A USB/IP client that sends whatever a test wants it to.

import CLinux
import Glibc
import USB
import USBEmulation
import USBIP

/// A blocking connection to a server on this machine. Nothing takes longer than ten seconds.
final class RawClient {
    struct Ended: Error {}
    struct TooLate: Error {}

    let socket: Int32
    private var sequence: UInt32 = 0
    private let deadline = clinux_monotonic_ns() + 10_000_000_000

    init(port: UInt16) throws {
        socket = clinux_tcp_connect("127.0.0.1", port, 5000)
        if socket < 0 { throw Ended() }
    }

    deinit { close(socket) }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { clinux_send_now(socket, $0.baseAddress, UInt($0.count)) }
            if count == -Int(EAGAIN) {
                try wait(POLLOUT)
            } else if count < 0 {
                throw Ended()
            } else {
                rest = rest.dropFirst(count)
            }
        }
    }

    func receive(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while bytes.count < count {
            let received = clinux_receive_now(socket, &chunk, UInt(min(chunk.count, count - bytes.count)))
            if received == -Int(EAGAIN) {
                try wait(POLLIN)
            } else if received <= 0 {
                throw Ended()
            } else {
                bytes += chunk.prefix(received)
            }
        }
        return bytes
    }

    private func wait(_ events: Int32) throws {
        let now = clinux_monotonic_ns()
        guard now < deadline else { throw TooLate() }
        var polled = pollfd(fd: socket, events: Int16(events), revents: 0)
        _ = clinux_poll(&polled, 1, Int64(deadline - now))
    }

    /// Reads until the server closes the connection.
    func drain() throws {
        do { while true { _ = try receive(1) } } catch is Ended {}
    }

    func importDevice(_ busID: String) throws -> OperationStatus {
        try send(ImportRequest(busID: busID).bytes)
        let status = try OperationHeader(decoding: receive(8)).status
        if status == .ok { _ = try receive(DeviceRecord.byteCount) }
        return status
    }

    // MARK: Transfers

    @discardableResult
    func submit(
        _ endpoint: UInt8, length: Int, data: [UInt8] = [], packets: [Int] = [],
        setup: ControlSetup = ControlSetup(requestType: 0, request: 0, value: 0, index: 0, length: 0)
    ) throws -> UInt32 {
        sequence += 1
        let command = SubmitCommand(
            sequence: sequence, deviceID: 0x10002, endpoint: EndpointAddress(rawValue: endpoint), length: length,
            packetCount: packets.count, setup: setup)
        var bytes = URBHeader.submit(command).bytes + data
        var offset = 0
        for packet in packets {
            bytes += IsochronousDescriptor(offset: UInt32(offset), length: UInt32(packet)).bytes
            offset += packet
        }
        try send(bytes)
        return sequence
    }

    func unlink(_ victim: UInt32) throws -> UInt32 {
        sequence += 1
        try send(URBHeader.unlink(UnlinkCommand(sequence: sequence, deviceID: 0x10002, victim: victim)).bytes)
        return sequence
    }

    func header() throws -> URBHeader { try URBHeader(decoding: receive(URBHeader.byteCount)) }

    /// The next message, which has to be a RET_SUBMIT; with the data of an IN transfer and its packets.
    func reply(isIn: Bool) throws -> (SubmitReply, [UInt8], [IsochronousDescriptor]) {
        guard case .submitReply(let reply) = try header() else { throw Ended() }
        let data = isIn ? try receive(reply.actualLength) : []
        let packets = try (0..<reply.packetCount).map { _ in
            try IsochronousDescriptor(decoding: try receive(IsochronousDescriptor.byteCount))
        }
        return (reply, data, packets)
    }

    /// A control transfer: status and data.
    func control(
        _ requestType: UInt8, _ request: UInt8, value: UInt16 = 0, index: UInt16 = 0, length: UInt16 = 0, data: [UInt8] = []
    ) throws -> (Int32, [UInt8]) {
        let isIn = requestType & 0x80 != 0
        let setup = ControlSetup(requestType: requestType, request: request, value: value, index: index, length: length)
        try submit(isIn ? 0x80 : 0, length: Int(length), data: data, setup: setup)
        let (reply, bytes, _) = try reply(isIn: isIn)
        return (reply.status, bytes)
    }
}

/// A server of loopback devices, ended with the test.
final class Bench {
    let server: EmulationServer
    let port: UInt16
    let devices: [LoopbackDevice]

    init(_ busIDs: [String] = ["1-1"], lateness: EmulationServer.Lateness = .drop) throws {
        devices = busIDs.map { LoopbackDevice(serialNumber: "LOOP-" + $0) }
        server = EmulationServer(devices: Array(zip(busIDs, devices)).map { ($0, $1) }, port: 0, lateness: lateness)
        port = try server.start()
    }

    deinit { server.stop() }

    /// A client that has the device, configured.
    func client(_ busID: String = "1-1") throws -> RawClient {
        let client = try RawClient(port: port)
        let status = try client.importDevice(busID)
        if status != .ok { throw RawClient.Ended() }
        _ = try client.control(0, StandardRequest.setConfiguration, value: 1)
        return client
    }

    /// Imports once the connection before has ended, which the server learns of by itself.
    func clientWhenFree(_ busID: String = "1-1") throws -> RawClient {
        let end = clinux_monotonic_ns() + 10_000_000_000
        while clinux_monotonic_ns() < end {
            let client = try RawClient(port: port)
            if try client.importDevice(busID) == .ok { return client }
        }
        throw RawClient.TooLate()
    }
}
