// The port's side of a ring: what a driver submits goes to the server, and stays in flight when the driver dies.

import CLinux
import Glibc
import Synchronization
import Threads
import TransferRing
import USB
import USBIP

/// Carries one ring's transfers over the port's connection until it is ended. Lengths come from the geometry, numbers are counted here: whatever a
/// driver writes into the memory, only its own transfers suffer.
final class PortRing: Sendable {
    private let mapping: TransferRingMapping
    private let queue: USBIPTransferQueue
    /// The driver's eventfd.
    private let wake: Int32
    private let isEnding = Atomic(false)
    private let threads = Mutex<[WorkerThread]>([])

    /// Owns `wake`.
    init(mapping: TransferRingMapping, queue: USBIPTransferQueue, wake: Int32) {
        self.mapping = mapping
        self.queue = queue
        self.wake = wake
    }

    deinit { close(wake) }

    func start() throws(WorkerThread.StartFailure) {
        let submitter = try WorkerThread(name: "ring-submit") { [self] in submitAll() }
        threads.withLock { $0.append(submitter) }
        let completer = try WorkerThread(name: "ring-complete") { [self] in completeAll() }
        threads.withLock { $0.append(completer) }
    }

    /// Cancels what is in flight and waits for the threads.
    func end() {
        isEnding.store(true, ordering: .releasing)
        queue.cancelAll()
        knock()
        let all = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in all { thread.join() }
    }

    private var isOver: Bool { isEnding.load(ordering: .acquiring) }

    private func knock() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)  // Fails only when the counter is full, which wakes as well.
    }

    private func submitAll() {
        var taken: UInt64 = 0
        var wasCancelled = false
        while !isOver {
            if mapping.isCancelAsked, !wasCancelled {
                wasCancelled = true
                queue.cancelAll()
            }
            for number in mapping.submissions(after: taken) {
                let record = mapping.record(ofNumber: number)
                guard record.number == number, record.isUncertain else { break }
                taken = number + 1
                if wasCancelled {
                    finish(record, .cancelled)
                    continue
                }
                // Before it is in flight: it may be done at once.
                record.markInFlight()
                do throws(USBError) {
                    try queue.submit(transfer(record))
                } catch {
                    finish(record, .disconnected)
                }
            }
            var entry = pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
            _ = clinux_poll(&entry, 1, -1)
            var count: UInt64 = 0
            _ = read(wake, &count, 8)  // Not blocking; nothing to read is fine.
        }
    }

    private func transfer(_ record: RingRecord) -> IdleTransfer {
        let geometry = mapping.geometry
        let buffer = TransferBuffer(over: record.buffer, release: nil)
        guard geometry.packetCount > 0 else { return IdleTransfer(buffer: buffer, length: record.length, tag: UInt64(record.index)) }
        let lengths = Array(repeating: geometry.packetLength, count: geometry.packetCount)
        return IdleTransfer(buffer: buffer, packetLengths: lengths, tag: UInt64(record.index))
    }

    private func completeAll() {
        while true {
            do throws(USBError) {
                guard let completed = try queue.next(timeout: .milliseconds(500)) else {
                    if isOver, queue.inFlight == 0 { return }
                    continue
                }
                let record = RingRecord(mapping, index: Int(completed.tag))
                for (index, packet) in completed.packets.enumerated() {
                    record.setPacket(index, actualLength: packet.actualLength, status: packet.status.linuxStatus)
                }
                record.complete(
                    status: completed.status.linuxStatus, actualLength: completed.actualLength, startFrame: completed.startFrame,
                    at: completed.completedAt)
                mapping.announceCompletion()
            } catch {
                mapping.announceDisconnection()
                return
            }
        }
    }

    private func finish(_ record: RingRecord, _ status: TransferStatus) {
        record.complete(status: status.linuxStatus, actualLength: 0, at: clinux_monotonic_ns())
        mapping.announceCompletion()
    }
}
