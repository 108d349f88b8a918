// A transfer between its submission and its reply.

import Threads
import USB

/// Everything but the constants is guarded by the channel's monitor; the buffer's bytes belong to the reader while the reply is read.
final class PendingTransfer: @unchecked Sendable {
    // Sendable: see above.
    let buffer: TransferBuffer
    private(set) var length: Int
    let packetLengths: [Int]
    let isIn: Bool
    let tag: UInt64

    var sequence: UInt32 = 0
    var isUnlinking = false
    var isDone = false
    var status = TransferStatus.completed
    var actualLength = 0
    var packets: [IsochronousPacket] = []
    var startFrame: UInt32?
    /// The packets' outcomes are where they belong.
    var hasOutcomes = false
    var completedAt: UInt64 = 0

    /// Of a control transfer: gets the outcome, once.
    var continuation: CheckedContinuation<TransferStatus, Never>?
    /// Of a control transfer: when it is given up, on the monotonic clock.
    var deadline: UInt64?
    /// What a transfer that was given up is said to have ended with.
    var givenUpAs = TransferStatus.cancelled
    /// Of a queue's transfer: called when it is done, or more may be in flight.
    let condition: MonitorCondition?
    /// Of a ring's transfer, which is told when it is done, and outlives it.
    unowned let ring: PortRing?
    /// Called when it is done, with the monitor locked.
    var onFinish: ((PendingTransfer) -> Void)?

    init(
        buffer: TransferBuffer, length: Int, packetLengths: [Int], isIn: Bool, tag: UInt64,
        condition: MonitorCondition?,
        ring: PortRing? = nil
    ) {
        self.buffer = buffer
        self.length = length
        self.packetLengths = packetLengths
        self.isIn = isIn
        self.tag = tag
        self.condition = condition
        self.ring = ring
    }

    /// With the monitor locked: the same transfer once more.
    func renew(length: Int) {
        self.length = length
        (isUnlinking, isDone, hasOutcomes) = (false, false, false)
        (status, actualLength, startFrame, completedAt) = (.completed, 0, nil, 0)
    }

    /// With the monitor locked. A ring's is told of the end by the caller, once it is not.
    func finish(_ status: TransferStatus, at time: UInt64) {
        guard !isDone else { return }
        isDone = true
        self.status = status
        completedAt = time
        if ring == nil, packets.count != packetLengths.count {
            var offset = 0
            packets = packetLengths.map { length in
                defer { offset += length }
                return IsochronousPacket(offset: offset, length: length, actualLength: 0, status: status)
            }
        }
        condition?.broadcast()
        continuation?.resume(returning: status)
        continuation = nil
        deadline = nil
        onFinish?(self)
        onFinish = nil
    }
}
