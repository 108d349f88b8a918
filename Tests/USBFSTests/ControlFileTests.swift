// The control file where there is no USB: descriptors that are no device, closing, waiting. Transfers are proven in Tests/vm.

import CLinux
import FileDescriptors
import Glibc
import Testing
import USB

@testable import USBFS

@Suite(.timeLimit(.minutes(1))) struct ControlFileTests {
    private func device(_ descriptor: Int32) throws -> USBFSDevice {
        // Configuration 1, interface 0 (alternate setting 0) with the interrupt endpoint 0x83, interface 1 with the isochronous endpoint 0x81.
        let descriptors: [UInt8] =
            [18, 1, 0, 2, 0xef, 2, 1, 64, 9, 0x12, 1, 0, 0, 1, 0, 0, 0, 1] + [9, 2, 41, 0, 2, 1, 0, 0x80, 50]
            + [9, 4, 0, 0, 1, 14, 1, 0, 0] + [7, 5, 0x83, 3, 16, 0, 8] + [9, 4, 1, 0, 1, 14, 2, 0, 0] + [7, 5, 0x81, 5, 0, 2, 1]
        return try USBFSDevice(
            wrapping: OwnedDescriptor(descriptor), streaming: OwnedDescriptor(open("/dev/null", O_RDWR | O_CLOEXEC)), interfaces: 0b10,
            information: USBDeviceInformation(path: "nowhere", speed: .high, descriptors: descriptors))
    }

    /// A descriptor that is not a device's: a file, a socket, a number that is none.
    private enum Kind: CaseIterable {
        case null, socket, none
        /// And the socket's other end.
        func open() -> (descriptor: Int32, peer: Int32) {
            switch self {
            case .null: return (Glibc.open("/dev/null", O_RDWR | O_CLOEXEC), -1)
            case .socket:
                var pair: [Int32] = [-1, -1]
                socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair)
                return (pair[0], pair[1])
            case .none: return (9999, -1)
            }
        }
    }

    @Test(arguments: Kind.allCases) private func whatIsNoDeviceAnswersWithErrorsAndEnds(kind: Kind) async throws {
        let (descriptor, peer) = kind.open()
        defer { if peer >= 0 { close(peer) } }
        let device = try device(descriptor)
        await #expect(throws: USBError.self) { _ = try await device.descriptor(type: 1, length: 18) }
        await #expect(throws: USBError.self) { try await device.claim(interface: 0) }
        await #expect(throws: USBError.self) { try await device.reset() }
        let queue = try device.transferQueue(endpoint: EndpointAddress(rawValue: 0x83), type: .interrupt)
        #expect(throws: USBError.self) { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 16))) }
        #expect(queue.inFlight == 0)
        // The reaper has seen that nothing will come.
        #expect { _ = try queue.next(timeout: .seconds(30)) } throws: { ($0 as? USBError)?.code == .noDevice }
        device.close()
        device.close()
        await #expect { _ = try await device.descriptor(type: 1, length: 18) } throws: { ($0 as? USBError)?.code == .noDevice }
        // The descriptor is closed with the device: its peer reads the end.
        var byte: UInt8 = 0
        if peer >= 0 { #expect(read(peer, &byte, 1) == 0) }
    }

    @Test func anEndpointHasOneQueueAndTheRightKindOfIt() throws {
        let device = try device(Kind.null.open().descriptor)
        let status = EndpointAddress(rawValue: 0x83)
        do {
            let queue = try device.transferQueue(endpoint: status, type: .interrupt)
            #expect { _ = try device.transferQueue(endpoint: status, type: .interrupt) } throws: { ($0 as? USBError)?.code == .busy }
            #expect(queue.endpoint == status)
        }
        _ = try device.transferQueue(endpoint: status, type: .interrupt)
        for type in [TransferType.control, .isochronous] {
            #expect { _ = try device.transferQueue(endpoint: status, type: type) } throws: { ($0 as? USBError)?.code == .invalidArgument }
        }
        #expect { _ = try device.transferQueue(endpoint: EndpointAddress(rawValue: 0x81), type: .isochronous) } throws: {
            ($0 as? USBError)?.code == .notSupported
        }
    }

    @Test func requestsThatLinuxDoesNotCarryAreRefused() async throws {
        let device = try device(Kind.null.open().descriptor)
        for (length, data) in [(4097, []), (2, [1])] as [(UInt16, [UInt8])] {
            let setup = ControlSetup(requestType: data.isEmpty ? 0xa1 : 0x21, request: 1, value: 0, index: 0, length: length)
            await #expect { _ = try await device.control(setup, sending: data, timeout: .seconds(1)) } throws: {
                ($0 as? USBError)?.code == .invalidArgument
            }
        }
    }

    /// The kernel writes a record's outcome when it is reaped: before that there is none, and the device that has gone took the transfer along.
    @Test(
        arguments: [
            (CLINUX_USBFS_PENDING, nil, .disconnected), (0, nil, .completed), (-32, nil, .stall), (-2, nil, .cancelled),
            (-2, .timedOut, .timedOut), (-2, .cancelled, .cancelled), (-115, .cancelled, .cancelled), (-71, nil, .fault(71)),
        ] as [(Int32, TransferStatus?, TransferStatus)])
    func aTransfersEndIsToldAsWhatItWasAskedFor(written: Int32, asked: TransferStatus?, status: TransferStatus) {
        let transfer = NodeTransfer(
            endpoint: EndpointAddress(rawValue: 0x83), type: .interrupt, buffer: TransferBuffer(count: 16), length: 16
        ) { _ in }
        #expect(transfer.submit(on: -1) == -EBADF)
        clinux_usbfs_mark_status(transfer.urb, written)
        transfer.complete(asked: asked, isGone: false)
        #expect(transfer.status == status)
        #expect(transfer.actualLength == 0)
    }
}
