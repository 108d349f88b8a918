// The reader's thread: replies straight into the buffers of those who asked, nothing believed that was not asked for.

import CLinux
import Glibc
import USB
import USBIP

/// Reads one message after the other. Used on its own thread only.
final class URBReader: @unchecked Sendable {
    // Sendable: made on one thread, and from then on used on the reader's alone.
    private let channel: URBChannel
    private let header = UnsafeMutableRawBufferPointer.allocate(
        byteCount: URBHeader.byteCount, alignment: 8)
    private let descriptors = UnsafeMutableRawBufferPointer.allocate(
        byteCount: USBIPLimit.packets * IsochronousDescriptor.byteCount, alignment: 8)
    private var isInMessage = false
    private var rings: [PortRing] = []
    private var ringsVersion = -1
    /// The socket, the channel's eventfd, and the rings'.
    private var polled = [pollfd](repeating: pollfd(), count: 2)

    private enum End: Error {
        case stopped
        case failed(USBError, isHostile: Bool)
    }

    init(channel: URBChannel) { self.channel = channel }

    deinit {
        header.deallocate()
        descriptors.deallocate()
    }

    func run() {
        do throws(End) {
            while true {
                isInMessage = false
                // A message comes when it comes: to ask before would be in vain.
                try wait()
                try read(header, nil)
                try handle()
            }
        } catch {
            switch error {
            case .stopped: channel.readerStopped(inMessage: isInMessage)
            case .failed(let error, let isHostile):
                channel.fail(error, isHostile: isHostile)
                channel.readerStopped(inMessage: true)
            }
        }
    }

    private func handle() throws(End) {
        let message: URBHeader
        do throws(USBIPError) {
            message = try URBHeader(decoding: UnsafeRawBufferPointer(header))
        } catch {
            throw .failed(error.malformed("USB/IP reply"), isHostile: true)
        }
        switch message {
        case .submitReply(let reply):
            guard let transfer = channel.transfer(reply.sequence) else {
                throw malformed("transfer \(reply.sequence) was never asked for")
            }
            guard reply.actualLength <= transfer.length else {
                throw malformed("\(reply.actualLength) bytes for a transfer of \(transfer.length)")
            }
            if transfer.packetLengths.isEmpty {
                if transfer.isIn { try read(slice(transfer, reply.actualLength), nil) }
                channel.complete(
                    transfer, TransferStatus(linux: reply.status), actualLength: reply.actualLength,
                    packets: [])
            } else {
                try readIsochronous(transfer, reply)
            }
        case .unlinkReply(let reply):
            guard channel.unlinked(reply.sequence) else {
                throw malformed("unlink \(reply.sequence) was never asked for")
            }
        case .submit, .unlink: throw malformed("a command instead of a reply")
        }
    }

    private func readIsochronous(_ transfer: PendingTransfer, _ reply: SubmitReply) throws(End) {
        let count = transfer.packetLengths.count
        guard reply.packetCount == count else {
            throw malformed("\(reply.packetCount) packets for a transfer of \(count)")
        }
        let records = UnsafeMutableRawBufferPointer(
            rebasing: descriptors[..<(count * IsochronousDescriptor.byteCount)])
        let data = transfer.isIn ? slice(transfer, reply.actualLength) : slice(transfer, 0)
        try read(data, records)

        var packets: [IsochronousPacket] = []
        if transfer.ring == nil { packets.reserveCapacity(count) }
        var offset = 0
        var total = 0
        for (index, length) in transfer.packetLengths.enumerated() {
            let record: IsochronousDescriptor
            do throws(USBIPError) {
                record = try IsochronousDescriptor(
                    decoding: UnsafeRawBufferPointer(records), at: index * IsochronousDescriptor.byteCount)
            } catch { throw .failed(error.malformed("USB/IP packet"), isHostile: true) }
            guard record.actualLength <= length else {
                throw malformed("\(record.actualLength) bytes for a packet of \(length)")
            }
            let actual = Int(record.actualLength)
            if let ring = transfer.ring {
                ring.setPacket(
                    transfer, index, actualLength: actual,
                    status: TransferStatus(linux: record.status).linuxStatus)
            } else {
                packets.append(
                    IsochronousPacket(
                        offset: offset, length: length, actualLength: actual,
                        status: TransferStatus(linux: record.status)))
            }
            offset += length
            total += actual
        }
        guard total == reply.actualLength || !transfer.isIn else {
            throw malformed("packets of \(total) bytes for \(reply.actualLength) that arrived")
        }
        if transfer.isIn, total < offset {
            spread(records, transfer.packetLengths, offset, total, transfer.buffer.bytes)
        }
        channel.complete(
            transfer, TransferStatus(linux: reply.status), actualLength: total, packets: packets,
            startFrame: UInt32(bitPattern: reply.startFrame))
    }

    /// Packets arrive without gaps: from the last to the first, each goes to its own place, which is never before where it is.
    /// - Parameters:
    ///   - records: as they came, each at most as long as its packet.
    ///   - room: bytes of all packets.
    private func spread(
        _ records: UnsafeMutableRawBufferPointer, _ lengths: [Int], _ room: Int, _ total: Int,
        _ bytes: UnsafeMutableRawBufferPointer
    ) {
        var (end, offset) = (total, room)
        for index in lengths.indices.reversed() {
            let actual = Int(
                UInt32(
                    bigEndian: records.loadUnaligned(
                        fromByteOffset: index * IsochronousDescriptor.byteCount + 8, as: UInt32.self)))
            let start = end - actual
            offset -= lengths[index]
            guard start >= 0, start != offset else { return }
            if actual > 0, let base = bytes.baseAddress { memmove(base + offset, base + start, actual) }
            end = start
        }
    }

    private func slice(_ transfer: PendingTransfer, _ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: transfer.buffer.bytes[..<count])
    }

    private func malformed(_ detail: String) -> End {
        .failed(USBError(.malformedAnswer, operation: "USB/IP reply", detail: detail), isHostile: true)
    }

    // MARK: Bytes

    /// Fills both places. Stops between two messages when it has to, and gives up late control transfers while it waits.
    private func read(
        _ first: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer?
    ) throws(End) {
        let needed = first.count + (second?.count ?? 0)
        var filled = 0
        while filled < needed {
            // What came was less than was asked for: there is no more yet.
            if filled > 0 { try wait() }
            let count: Int
            if filled < first.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: first[filled...])
                if let second {
                    count = clinux_receive_now2(
                        channel.socket, rest.baseAddress, UInt(rest.count), second.baseAddress,
                        UInt(second.count))
                } else {
                    count = clinux_receive_now(channel.socket, rest.baseAddress, UInt(rest.count))
                }
            } else if let second {
                let rest = UnsafeMutableRawBufferPointer(rebasing: second[(filled - first.count)...])
                count = clinux_receive_now(channel.socket, rest.baseAddress, UInt(rest.count))
            } else {
                return
            }
            if count > 0 {
                filled += count
                isInMessage = true
            } else if count == -Int(EAGAIN) {
                try wait()
            } else {
                let detail =
                    count == 0 ? "the server closed the connection" : errorText(Int32(clamping: -count))
                throw .failed(
                    USBError(.noDevice, operation: "USB/IP connection", detail: detail), isHostile: false)
            }
        }
    }

    /// Waits until the socket has something to read, and looks after everything else meanwhile.
    private func wait() throws(End) {
        while true {
            let agenda = channel.agenda()
            if agenda.stops { throw .stopped }
            if agenda.ringsVersion != ringsVersion { takeRings() }
            for ring in rings { ring.look() }
            var timeout: Int64 = -1
            if let deadline = agenda.deadline {
                let now = clinux_monotonic_ns()
                timeout = deadline > now ? Int64(clamping: deadline - now) : 0
            }
            polled[0].events = Int16(agenda.hasOutput ? POLLIN | POLLOUT : POLLIN)
            let count = polled.withUnsafeMutableBufferPointer {
                clinux_poll($0.baseAddress, UInt($0.count), timeout)
            }
            guard count > 0 else { continue }
            for entry in polled.dropFirst() where entry.revents != 0 {
                var count: UInt64 = 0
                _ = Glibc.read(entry.fd, &count, 8)  // Not blocking; nothing to read is fine.
            }
            if polled[0].revents & ~Int16(POLLOUT) != 0 {
                // Submissions wait for the next message at most.
                return
            }
        }
    }

    private func takeRings() {
        (rings, ringsVersion) = channel.carried
        polled = [channel.socket, channel.wake].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        polled += rings.map { pollfd(fd: $0.wake, events: Int16(POLLIN), revents: 0) }
    }
}
