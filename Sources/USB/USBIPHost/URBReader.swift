// The reader's thread: replies straight into the buffers of those who asked, nothing believed that was not asked for.

import CLinux
import Glibc
import USB
import USBIP

/// Reads one message after the other. Used on its own thread only.
final class URBReader: @unchecked Sendable {
    // Sendable: made on one thread, and from then on used on the reader's alone.
    private let channel: URBChannel
    private let header = UnsafeMutableRawBufferPointer.allocate(byteCount: URBHeader.byteCount, alignment: 8)
    private let descriptors = UnsafeMutableRawBufferPointer.allocate(
        byteCount: USBIPLimit.packets * IsochronousDescriptor.byteCount, alignment: 8)
    private var isInMessage = false

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
        do throws(USBIPError) { message = try URBHeader(decoding: UnsafeRawBufferPointer(header)) } catch {
            throw .failed(error.malformed("USB/IP reply"), isHostile: true)
        }
        switch message {
        case .submitReply(let reply):
            guard let transfer = channel.transfer(reply.sequence) else { throw malformed("transfer \(reply.sequence) was never asked for") }
            guard reply.actualLength <= transfer.length else {
                throw malformed("\(reply.actualLength) bytes for a transfer of \(transfer.length)")
            }
            if transfer.packetLengths.isEmpty {
                if transfer.isIn { try read(slice(transfer, reply.actualLength), nil) }
                channel.complete(transfer, TransferStatus(linux: reply.status), actualLength: reply.actualLength, packets: [])
            } else {
                try readIsochronous(transfer, reply)
            }
        case .unlinkReply(let reply):
            guard channel.unlinked(reply.sequence) else { throw malformed("unlink \(reply.sequence) was never asked for") }
        case .submit, .unlink: throw malformed("a command in place of a reply")
        }
    }

    private func readIsochronous(_ transfer: PendingTransfer, _ reply: SubmitReply) throws(End) {
        let count = transfer.packetLengths.count
        guard reply.packetCount == count else { throw malformed("\(reply.packetCount) packets for a transfer of \(count)") }
        let records = UnsafeMutableRawBufferPointer(rebasing: descriptors[..<(count * IsochronousDescriptor.byteCount)])
        let data = transfer.isIn ? slice(transfer, reply.actualLength) : slice(transfer, 0)
        try read(data, records)

        var packets: [IsochronousPacket] = []
        packets.reserveCapacity(count)
        var offset = 0
        var total = 0
        for (index, length) in transfer.packetLengths.enumerated() {
            let record: IsochronousDescriptor
            do throws(USBIPError) {
                record = try IsochronousDescriptor(
                    decoding: UnsafeRawBufferPointer(records), at: index * IsochronousDescriptor.byteCount)
            } catch { throw .failed(error.malformed("USB/IP packet"), isHostile: true) }
            guard record.actualLength <= length else { throw malformed("\(record.actualLength) bytes for a packet of \(length)") }
            let actual = Int(record.actualLength)
            packets.append(
                IsochronousPacket(offset: offset, length: length, actualLength: actual, status: TransferStatus(linux: record.status)))
            offset += length
            total += actual
        }
        guard total == reply.actualLength || !transfer.isIn else {
            throw malformed("packets of \(total) bytes for \(reply.actualLength) that came")
        }
        if transfer.isIn, total < offset { spread(packets, total, transfer.buffer.bytes) }
        transfer.startFrame = UInt32(bitPattern: reply.startFrame)
        channel.complete(transfer, TransferStatus(linux: reply.status), actualLength: total, packets: packets)
    }

    /// Packets arrive without gaps: from the last to the first, each goes to its own place, which is never before where it is.
    private func spread(_ packets: [IsochronousPacket], _ total: Int, _ bytes: UnsafeMutableRawBufferPointer) {
        var end = total
        for packet in packets.reversed() {
            let start = end - packet.actualLength
            if start == packet.offset { return }
            if packet.actualLength > 0 {
                memmove(bytes.baseAddress! + packet.offset, bytes.baseAddress! + start, packet.actualLength)
            }
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
    private func read(_ first: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer?) throws(End) {
        let needed = first.count + (second?.count ?? 0)
        var filled = 0
        while filled < needed {
            var count: Int
            if filled < first.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: first[filled...])
                if let second {
                    count = clinux_receive_now2(channel.socket, rest.baseAddress, UInt(rest.count), second.baseAddress, UInt(second.count))
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
                let detail = count == 0 ? "the server closed the connection" : errorText(Int32(clamping: -count))
                throw .failed(USBError(.noDevice, operation: "USB/IP connection", detail: detail), isHostile: false)
            }
        }
    }

    private func wait() throws(End) {
        let (next, stops) = channel.expire()
        if stops { throw .stopped }
        var timeout: Int64 = -1
        if let next {
            let now = clinux_monotonic_ns()
            timeout = next > now ? Int64(clamping: next - now) : 0
        }
        var polled = (
            pollfd(fd: channel.socket, events: Int16(POLLIN), revents: 0), pollfd(fd: channel.wake, events: Int16(POLLIN), revents: 0)
        )
        let wasWoken = withUnsafeMutableBytes(of: &polled) { raw in
            let entries = raw.assumingMemoryBound(to: pollfd.self)
            _ = clinux_poll(entries.baseAddress, 2, timeout)
            return entries[1].revents != 0
        }
        if wasWoken {
            var count: UInt64 = 0
            _ = Glibc.read(channel.wake, &count, 8)  // Not blocking; nothing to read is fine.
        }
    }
}
