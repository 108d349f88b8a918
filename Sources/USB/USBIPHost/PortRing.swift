// The port's side of a ring: what a driver submits goes to the server, and stays in flight when the driver dies.

import CLinux
import FileDescriptors
import Glibc
import Threads
import TransferRing
import USB
import USBIP

/// Carries one ring's transfers over the port's connection until it is ended, on the channel's own
/// thread. Lengths come from the geometry, numbers are counted here: whatever a driver writes into
/// the memory, only its own transfers suffer.
final class PortRing: @unchecked Sendable {
    // Sendable: `transfers`, `taken`, `wasCancelled` and `message` are used on the channel's reader only; `flight` guards what others ask.
    private struct Flight {
        var count = 0
        var isOver = false
    }

    private let mapping: TransferRingMapping
    private let channel: URBChannel
    private let command: SubmitCommand
    /// The driver's eventfd.
    var wake: Int32 { signal.number }
    private let signal: OwnedDescriptor
    private let flight = Monitored(Flight())
    /// One for each record, used over and over.
    private var transfers: [PendingTransfer] = []
    private var taken: UInt64 = 0
    private var wasCancelled = false
    /// CMD_SUBMIT and the packets' descriptors, which are the same for all.
    private let message: UnsafeMutableRawBufferPointer

    /// - Parameter interval: of the endpoint, in frames or microframes.
    init(
        mapping: TransferRingMapping, channel: URBChannel, endpoint: EndpointAddress, interval: Int32,
        wake: consuming OwnedDescriptor
    ) {
        self.mapping = mapping
        self.channel = channel
        signal = wake
        let geometry = mapping.geometry
        let isIn = endpoint.direction == .in
        command = SubmitCommand(
            sequence: 0, deviceID: 0, endpoint: endpoint,
            flags: (isIn ? SubmitCommand.directionIn : 0)
                | (geometry.packetCount > 0 ? SubmitCommand.isochronousAsSoonAsPossible : 0),
            length: geometry.transferLength, packetCount: geometry.packetCount, interval: interval)
        message = .allocate(
            byteCount: URBHeader.byteCount + geometry.packetCount * IsochronousDescriptor.byteCount,
            alignment: 8)
        for packet in 0..<geometry.packetCount {
            IsochronousDescriptor(
                offset: UInt32(packet * geometry.packetLength), length: UInt32(geometry.packetLength)
            )
            .encode(into: message, at: URBHeader.byteCount + packet * IsochronousDescriptor.byteCount)
        }
        let lengths = [Int](repeating: geometry.packetLength, count: geometry.packetCount)
        transfers = (0..<geometry.transferCount).map { index in
            PendingTransfer(
                buffer: TransferBuffer(over: RingRecord(mapping, index: index).buffer, release: nil),
                length: geometry.transferLength,
                packetLengths: lengths, isIn: isIn, tag: UInt64(index), condition: nil, ring: self)
        }
    }

    deinit { message.deallocate() }

    func start() { channel.add(self) }

    /// Cancels what is in flight, and waits until it has ended. Not on the channel's reader.
    func end() {
        flight.withLock { $0.isOver = true }
        channel.wakeReader()
        _ = flight.wait { $0.count == 0 ? true : nil }
        channel.remove(self)
    }

    // MARK: On the channel's reader

    /// Takes what was submitted, and hears whether all is to end.
    func look() {
        if !wasCancelled, mapping.isCancelAsked || flight.withLock({ $0.isOver }) {
            wasCancelled = true
            channel.unlink { $0.ring === self }
        }
        for number in mapping.submissions(after: taken) {
            let record = mapping.record(ofNumber: number)
            guard record.number == number, record.isUncertain else { break }
            taken = number + 1
            submit(record)
        }
    }

    private func submit(_ record: RingRecord) {
        guard !wasCancelled, record.length <= USBIPLimit.transferBytes else {
            return finish(record, wasCancelled ? .cancelled : .disconnected)
        }
        var command = command
        command.length = record.length
        let transfer = transfers[record.index]
        // Before it is in flight: it may be done at once.
        record.markInFlight()
        flight.withLock { $0.count += 1 }
        do throws(USBError) {
            try channel.submit(transfer, command: command, message: message, mayWait: false) {
                transfer.renew(length: command.length)
            }
        } catch {
            flight.change { $0.count -= 1 }
            finish(record, .disconnected)
        }
    }

    private func finish(_ record: RingRecord, _ status: TransferStatus) {
        record.complete(status: status.linuxStatus, actualLength: 0, at: clinux_monotonic_ns())
        mapping.announceCompletion()
    }

    /// A packet's outcome, while its transfer's reply is read.
    func setPacket(_ transfer: PendingTransfer, _ packet: Int, actualLength: Int, status: Int32) {
        RingRecord(mapping, index: Int(transfer.tag)).setPacket(
            packet, actualLength: actualLength, status: status)
    }

    // MARK: Ends

    /// A transfer of its has ended and is in flight no more. Not with the channel's monitor locked.
    func finished(_ transfer: PendingTransfer) {
        let record = RingRecord(mapping, index: Int(transfer.tag))
        let status = transfer.status.linuxStatus
        if !transfer.hasOutcomes {
            for packet in 0..<mapping.geometry.packetCount {
                record.setPacket(packet, actualLength: 0, status: status)
            }
        }
        record.complete(
            status: status, actualLength: transfer.actualLength, startFrame: transfer.startFrame,
            at: transfer.completedAt)
        mapping.announceCompletion()
        flight.change { $0.count -= 1 }
    }

    /// Nothing comes any more.
    func disconnected() { mapping.announceDisconnection() }
}
