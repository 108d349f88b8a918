// A driver's connection to the port: USB/IP spoken over a pair of sockets, so that the driver's side is the same as towards a server.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
import Threads
import USB
import USBIP

/// Forwards one driver's transfers to the server and their ends back. When the driver has gone, what it left in flight is unlinked.
final class URBProxy: @unchecked Sendable {
    // Sendable: `monitor` guards what changes; the reader's buffers are used on its thread only.
    private struct Forwarded {
        var transfer: PendingTransfer
        var command: SubmitCommand
        /// The driver's command that asks for its end.
        var unlinkedBy: UInt32?
    }

    private static let mostPending = 1024

    private let connection: OwnedDescriptor
    private var socket: Int32 { connection.number }
    private let channel: URBChannel
    private let rights: FunctionRights
    /// Told of each alternate setting that the driver asks for.
    private let onAlternateSetting: @Sendable (_ interface: UInt8, _ setting: UInt8) -> Void
    private let monitor = Monitor()
    private let news = MonitorCondition()
    private var pending: [UInt32: Forwarded] = [:]
    private var outgoing: [[UInt8]] = []
    private var isOver = false
    private var threads: [WorkerThread] = []

    init(
        connection: consuming OwnedDescriptor, channel: URBChannel, rights: FunctionRights,
        onAlternateSetting: @escaping @Sendable (_ interface: UInt8, _ setting: UInt8) -> Void
    ) {
        self.connection = connection
        self.channel = channel
        self.rights = rights
        self.onAlternateSetting = onAlternateSetting
    }

    /// Both threads end with the driver's connection, or by `end`.
    func start() throws(WorkerThread.StartFailure) {
        let reader = try WorkerThread(name: "driver-read") { [self] in read() }
        let writer = try WorkerThread(name: "driver-write") { [self] in write() }
        monitor.withLock { threads = [reader, writer] }
    }

    /// Closes the connection, ends what the driver left in flight, and waits for the threads.
    func end() {
        finish()
        let all = monitor.withLock {
            defer { threads = [] }
            return threads
        }
        for thread in all { thread.join() }
    }

    private func finish() {
        let left: [PendingTransfer]? = monitor.withLock {
            guard !isOver else { return nil }
            isOver = true
            news.broadcast()
            return pending.values.map(\.transfer)
        }
        guard let left else { return }
        shutdown(socket, Int32(SHUT_RDWR))
        let mine = Set(left.map(ObjectIdentifier.init))
        channel.unlink { mine.contains(ObjectIdentifier($0)) }
    }

    // MARK: From the driver

    private func read() {
        let header = UnsafeMutableRawBufferPointer.allocate(byteCount: URBHeader.byteCount, alignment: 8)
        defer {
            header.deallocate()
            finish()
        }
        while fill(header) {
            do throws(USBIPError) {
                switch try URBHeader(decoding: UnsafeRawBufferPointer(header)) {
                case .submit(let command): guard submit(command) else { return }
                case .unlink(let command): unlink(command)
                case .submitReply, .unlinkReply: return
                }
            } catch {
                return
            }
        }
    }

    /// Takes what follows the header and forwards it. False ends the connection.
    private func submit(_ command: SubmitCommand) -> Bool {
        let isIn = command.endpoint.direction == .in
        let buffer = TransferBuffer(count: max(1, command.length))
        if !isIn, command.length > 0, !fill(UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<command.length])) { return false }
        let size = command.packetCount * IsochronousDescriptor.byteCount
        let message = UnsafeMutableRawBufferPointer.allocate(byteCount: URBHeader.byteCount + size, alignment: 8)
        defer { message.deallocate() }
        let descriptors = UnsafeMutableRawBufferPointer(rebasing: message[URBHeader.byteCount...])
        if size > 0, !fill(descriptors) { return false }
        var lengths: [Int] = []
        do throws(USBIPError) {
            for index in 0..<command.packetCount {
                let packet = try IsochronousDescriptor(
                    decoding: UnsafeRawBufferPointer(descriptors), at: index * IsochronousDescriptor.byteCount)
                lengths.append(Int(packet.length))
            }
        } catch {
            return false
        }
        guard lengths.allSatisfy({ $0 <= command.length }), lengths.isEmpty || lengths.reduce(0, +) == command.length else { return false }
        guard isAllowed(command) else {
            // The driver's mistake or malice, which the device does not hear of.
            refuse(command)
            return true
        }
        let transfer = PendingTransfer(
            buffer: buffer, length: command.length, packetLengths: lengths, isIn: isIn, tag: 0, condition: nil)
        let number = command.sequence
        transfer.onFinish = { [weak self] in self?.ended($0, number) }
        let isTaken = monitor.withLock {
            guard !isOver, pending.count < Self.mostPending, pending[number] == nil else { return false }
            pending[number] = Forwarded(transfer: transfer, command: command)
            return true
        }
        guard isTaken else { return false }
        do throws(USBError) {
            try channel.submit(transfer, command: command, message: message) {}
            return true
        } catch {
            return false
        }
    }

    /// Endpoint 0 goes by the request, the others by their addresses.
    private func isAllowed(_ command: SubmitCommand) -> Bool {
        guard command.endpoint.number == 0 else { return rights.allows(endpoint: command.endpoint) }
        guard rights.allows(command.setup) else { return false }
        if let (interface, setting) = FunctionRights.alternateSetting(command.setup) { onAlternateSetting(interface, setting) }
        return true
    }

    private func refuse(_ command: SubmitCommand) {
        let refusal = SubmitReply(
            sequence: command.sequence, status: -EACCES, actualLength: 0, startFrame: 0, packetCount: command.packetCount)
        var bytes = URBHeader.submitReply(refusal).bytes
        for _ in 0..<command.packetCount {
            bytes += IsochronousDescriptor(offset: 0, length: 0, actualLength: 0, status: -EACCES).bytes
        }
        monitor.withLock {
            guard !isOver else { return }
            outgoing.append(bytes)
            news.broadcast()
        }
    }

    private func unlink(_ command: UnlinkCommand) {
        let victim: PendingTransfer? = monitor.withLock {
            guard pending[command.victim] != nil else {
                outgoing.append(URBHeader.unlinkReply(UnlinkReply(sequence: command.sequence, status: 0)).bytes)
                news.broadcast()
                return nil
            }
            pending[command.victim]?.unlinkedBy = command.sequence
            return pending[command.victim]?.transfer
        }
        if let victim { channel.unlink { $0 === victim } }
    }

    private func fill(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        var filled = 0
        while filled < bytes.count {
            let count = recv(socket, bytes.baseAddress! + filled, bytes.count - filled, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            filled += count
        }
        return true
    }

    // MARK: Back to the driver

    /// Called with the channel's monitor locked: nothing here waits.
    private func ended(_ transfer: PendingTransfer, _ number: UInt32) {
        monitor.withLock {
            guard let forwarded = pending.removeValue(forKey: number), !isOver else { return }
            if let unlink = forwarded.unlinkedBy, case .cancelled = transfer.status {
                outgoing.append(URBHeader.unlinkReply(UnlinkReply(sequence: unlink, status: -ECONNRESET)).bytes)
            } else {
                outgoing.append(Self.reply(transfer, forwarded.command))
                if let unlink = forwarded.unlinkedBy {
                    outgoing.append(URBHeader.unlinkReply(UnlinkReply(sequence: unlink, status: 0)).bytes)
                }
            }
            news.broadcast()
        }
    }

    /// RET_SUBMIT with its data, packed, and its packets.
    private static func reply(_ transfer: PendingTransfer, _ command: SubmitCommand) -> [UInt8] {
        var bytes = URBHeader.submitReply(
            SubmitReply(
                sequence: command.sequence, status: transfer.status.linuxStatus, actualLength: transfer.actualLength,
                startFrame: Int32(bitPattern: transfer.startFrame ?? 0), packetCount: transfer.packets.count)
        ).bytes
        if transfer.isIn {
            if transfer.packets.isEmpty { bytes += transfer.buffer.bytes.prefix(transfer.actualLength) }
            for packet in transfer.packets { bytes += transfer.buffer.bytes[packet.offset..<(packet.offset + packet.actualLength)] }
        }
        for packet in transfer.packets {
            bytes +=
                IsochronousDescriptor(
                    offset: UInt32(packet.offset), length: UInt32(packet.length), actualLength: UInt32(packet.actualLength),
                    status: packet.status.linuxStatus
                ).bytes
        }
        return bytes
    }

    private func write() {
        while true {
            monitor.lock()
            while outgoing.isEmpty, !isOver { news.wait(monitor, until: .max) }
            let messages = outgoing
            outgoing = []
            let ends = isOver
            monitor.unlock()
            if ends { return }
            for message in messages where !send(message) { return finish() }
        }
    }

    private func send(_ message: [UInt8]) -> Bool {
        var sent = 0
        while sent < message.count {
            let count = message.withUnsafeBytes { Glibc.send(socket, $0.baseAddress! + sent, message.count - sent, Int32(MSG_NOSIGNAL)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}
