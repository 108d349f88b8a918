// One transfer's record in the ring: what was asked for, what it is in, how it ended.

import CLinux
import Glibc
import USB

/// A view of a record. Its phase decides who may write to it: the driver while it is idle or has completed, the carrier of the transfers
/// (the kernel, a port) while it is in flight. Its contents are not trusted.
public struct RingRecord {
    public let mapping: TransferRingMapping
    public let index: Int
    /// Where it lies; checked once.
    let offset: Int

    public init(_ mapping: TransferRingMapping, index: Int) {
        self.mapping = mapping
        self.index = index
        offset = mapping.record(index)
    }

    public var number: UInt64 { mapping.word64(offset + RecordWord.number) }
    public var buffer: UnsafeMutableRawBufferPointer { mapping.buffer(index) }
    /// Where `struct usbdevfs_urb` is.
    public var urb: UnsafeMutableRawPointer { mapping.base + offset + RecordWord.urb }

    var phase: UInt32 { mapping.word32(offset + RecordWord.phase) }
    public var isInFlight: Bool { phase == RecordPhase.inFlight }
    /// About to be put in flight; after a death it is not known whether it is.
    public var isUncertain: Bool { phase == RecordPhase.submitting }
    public var hasCompleted: Bool { phase == RecordPhase.completed }

    /// Bytes to send, or that may be received: at most what the buffer holds.
    public var length: Int { min(Int(mapping.word32(offset + RecordWord.length)), mapping.transferLength) }

    /// The driver has written what it wants; the record is the carrier's to take.
    func prepare(number: UInt64, length: Int, followsDryQueue: Bool = false) {
        // First of all: whoever finds the record uncertain asks the kernel's word whether it has come back.
        if mapping.mayWrite { clinux_usbfs_mark_pending(urb) }
        mapping.store32(offset + RecordWord.length, UInt32(length))
        mapping.store64(offset + RecordWord.number, number)
        mapping.store32(offset + RecordWord.actualLength, 0)
        mapping.store32(offset + RecordWord.hasStartFrame, 0)
        mapping.store32(offset + RecordWord.followsDryQueue, followsDryQueue ? 1 : 0)
        mapping.store64(offset + RecordWord.completedAt, 0)
        guard mapping.mayWrite else { return }
        mapping.resetPackets(offset)
        mapping.store32(offset + RecordWord.phase, RecordPhase.submitting)
    }

    /// It has been submitted. It may have come back by now, taken by a thread of another ring on the same open
    /// file: then it stays completed.
    public func markInFlight() { mapping.exchange32(offset + RecordWord.phase, from: RecordPhase.submitting, to: RecordPhase.inFlight) }

    /// A packet's outcome. `status`: 0 or a negated errno.
    public func setPacket(_ packet: Int, actualLength: Int, status: Int32) {
        precondition(packet >= 0 && packet < mapping.geometry.packetCount)
        let words = mapping.base + offset + RecordWord.packets + packet * RecordWord.packetSize
        words.storeBytes(of: UInt32(clamping: actualLength), toByteOffset: 4, as: UInt32.self)
        words.storeBytes(of: status, toByteOffset: 8, as: Int32.self)
    }

    /// The transfer is over: `status` is 0 or a negated errno, `time` CLOCK_MONOTONIC nanoseconds.
    public func complete(status: Int32, actualLength: Int, startFrame: UInt32? = nil, at time: UInt64) {
        mapping.store32(offset + RecordWord.status, UInt32(bitPattern: status))
        mapping.store32(offset + RecordWord.actualLength, UInt32(clamping: actualLength))
        mapping.store32(offset + RecordWord.startFrame, startFrame ?? 0)
        mapping.store32(offset + RecordWord.hasStartFrame, startFrame == nil ? 0 : 1)
        mapping.store64(offset + RecordWord.completedAt, time)
        mapping.store32(offset + RecordWord.phase, RecordPhase.completed)
    }

    /// The transfer is over, with nothing in it.
    func fail() { fail(status: -EIO, at: clinux_monotonic_ns()) }

    /// It has completed, and its bytes are gone.
    func lose() {
        let status = Int32(bitPattern: mapping.word32(offset + RecordWord.status))
        fail(status: status == 0 ? -EIO : status, at: completedAt)
    }

    private func fail(status: Int32, at time: UInt64) {
        for packet in 0..<mapping.geometry.packetCount { setPacket(packet, actualLength: 0, status: -EIO) }
        complete(status: status, actualLength: 0, at: time)
    }

    var status: TransferStatus { TransferStatus(linux: Int32(bitPattern: mapping.word32(offset + RecordWord.status))) }
    /// At most what was asked for.
    var actualLength: Int { min(Int(mapping.word32(offset + RecordWord.actualLength)), length) }
    var startFrame: UInt32? {
        mapping.word32(offset + RecordWord.hasStartFrame) == 1 ? mapping.word32(offset + RecordWord.startFrame) : nil
    }
    var followsDryQueue: Bool { mapping.word32(offset + RecordWord.followsDryQueue) != 0 }
    var completedAt: UInt64 { mapping.word64(offset + RecordWord.completedAt) }

    /// How its packets came; none for bulk.
    var packets: IsochronousPackets {
        IsochronousPackets(
            at: mapping.base + offset + RecordWord.packets, count: mapping.geometry.packetCount,
            packetLength: mapping.geometry.packetLength)
    }
}

extension RingRecord {
    /// The record whose URB lies at that address; `nil` if none does.
    public init?(_ mapping: TransferRingMapping, urb: UnsafeMutableRawPointer) {
        let offset = UInt(bitPattern: urb) &- UInt(bitPattern: mapping.base) &- UInt(mapping.geometry.recordsOffset + RecordWord.urb)
        let (index, rest) = offset.quotientAndRemainder(dividingBy: UInt(TransferRingGeometry.recordSize))
        guard rest == 0, index < UInt(mapping.geometry.transferCount) else { return nil }
        self.init(mapping, index: Int(index))
    }

    public var packetCount: Int { mapping.geometry.packetCount }

    /// Whether the transfer that was submitted half a ring before this one is in flight still, and so
    /// many that came after it.
    public var isAmongMany: Bool {
        let count = mapping.geometry.transferCount
        return count >= 8 && RingRecord(mapping, index: (index + count - count / 2) % count).isInFlight
    }
}

extension TransferRingMapping {
    /// Records that are in flight, or may be, in the order of their numbers.
    public var recordsInFlight: [RingRecord] {
        (0..<geometry.transferCount).map { RingRecord(self, index: $0) }.filter { $0.isInFlight || $0.isUncertain }
            .sorted { $0.number < $1.number }
    }
}
