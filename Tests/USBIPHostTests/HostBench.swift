// A server of loopback devices, and handles of them.

import USB
import USBEmulation
import USBIP
import USBIPHost

final class HostBench: Sendable {
    let device = LoopbackDevice()
    let server: EmulationServer
    let port: UInt16

    init(lateness: EmulationServer.Lateness = .drop) throws {
        server = EmulationServer(devices: [("1-1", device)], port: 0, lateness: lateness)
        port = try server.start()
    }

    deinit { server.stop() }

    func imported() async throws -> USBIPImport {
        try await USBIPConnection.importDevice(host: "127.0.0.1", port: port, busID: "1-1")
    }

    func open() async throws -> USBIPDevice { try await USBIPDevice.open(try await imported()) }

    /// Once the connection before has ended, which the server learns of by itself.
    func openWhenFree() async throws -> USBIPDevice {
        while true {
            do { return try await open() } catch let error as USBError where error.code == .busy { await Task.yield() }
        }
    }
}

/// A control request of the loopback device.
func vendor(_ request: UInt8, isIn: Bool, value: UInt16 = 0, length: UInt16 = 0) -> ControlSetup {
    ControlSetup(requestType: isIn ? 0xc0 : 0x40, request: request, value: value, index: 0, length: length)
}

func code<T>(_ body: () async throws -> T) async -> USBError.Code? {
    do { _ = try await body() } catch { return (error as? USBError)?.code }
    return nil
}

extension USBIPDevice {
    /// Interface 1 streaming.
    func startStreaming(alternateSetting: UInt8 = 1) async throws -> any TransferQueue {
        try await claim(interface: 1)
        try await setAlternateSetting(interface: 1, to: alternateSetting)
        return try transferQueue(endpoint: LoopbackDevice.isochronousIn, type: .isochronous)
    }
}

/// What a stream of isochronous packets has shown so far.
struct StreamCheck {
    var next: UInt32?
    var packets = 0
    var wrong = 0
    let room: Int

    mutating func take(_ transfer: borrowing CompletedTransfer) {
        for packet in transfer.packets {
            packets += 1
            defer { next = next.map { $0 &+ 1 } }
            if packet.actualLength == 0 {
                if let next, LoopbackPacket.count(number: next, room: room) != 0 { wrong += 1 }
                continue
            }
            let bytes = UnsafeRawBufferPointer(rebasing: transfer.buffer.bytes[packet.offset..<packet.offset + packet.actualLength])
            guard let found = LoopbackPacket(bytes, room: room), next == nil || found.number == next else {
                wrong += 1
                continue
            }
            next = found.number
        }
    }
}
