// In the kernel's place, and in the bus's: transfers complete when a camera's bus would have brought
// them, and what was not asked for in time is lost.
import CBenchmarks
import CLinux
import FrameRing
import Glibc
import Threads
import TransferRing
import USB

/// Completes each transfer at its time, and ends the stream after a number of them.
final class PacedCarrier: RingCarrier, @unchecked Sendable {
    // Sendable: used on the stream's thread; its figures are read once that has ended.
    private let stream: PlayedStream
    /// When each transfer of a turn completes, in nanoseconds of the turn, and how long that is.
    private let times: [UInt64]
    private let turnTime: UInt64
    private let count: Int
    private let reader: FrameRingReader
    private var start: UInt64 = 0
    private var began: UInt64 = 0
    private var played = 0
    private var inKernel = cbenchmarks_meter()
    /// Transfers that came while none was in flight.
    private(set) var lost = 0
    /// By the frame's number: when its last transfer completed, and when it was found in the ring.
    private(set) var completed: [UInt64] = [0]
    /// Nanoseconds of the thread's processor time, without the kernel's part.
    private(set) var nanoseconds: Double = 0
    private(set) var elapsed: UInt64 = 0

    /// - Parameters:
    ///   - reader: of the ring that the stream writes.
    init(_ stream: PlayedStream, _ pace: PacedCase, turns: Int, reader: FrameRingReader) {
        self.stream = stream
        (times, turnTime) = pace.times(of: stream)
        count = turns * stream.transfers.count
        self.reader = reader
    }

    private func time(of number: Int) -> UInt64 {
        start + UInt64(number / times.count) * turnTime + times[number % times.count]
    }

    func submit(_ record: RingRecord) throws(USBError) { record.markInFlight() }
    func adopt(_ record: RingRecord) {}

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        if start == 0 {
            start = clinux_monotonic_ns() + 20_000_000
            began = cbenchmarks_thread_time()
        }
        // Whatever has appeared belongs to the transfer before.
        let newest = reader.newestSequence
        while completed.count <= newest { completed.append(time(of: max(played - 1, 0))) }
        guard played < count else {
            nanoseconds = Double(cbenchmarks_thread_time() - began) - cbenchmarks_ticks_to_nanoseconds(inKernel.ticks)
            elapsed = clinux_monotonic_ns() - start
            throw USBError(.noDevice, operation: "playing")
        }
        let due = time(of: played)
        let now = clinux_monotonic_ns()
        let end = now + timeout.nanoseconds
        guard due <= end else {
            cbenchmarks_sleep_until(end)
            return .timedOut
        }
        if due > now { cbenchmarks_sleep_until(due) }
        // All that are in flight have come, and one more.
        if now > time(of: played + mapping.geometry.transferCount) { lost += 1 }
        let ticks = cbenchmarks_ticks()
        let record = RingRecord(mapping, index: played % mapping.geometry.transferCount)
        guard let transfers = stream.transfers.baseAddress else { return .timedOut }
        let outcomes = (record.urb + Int(CLINUX_USBFS_URB_SIZE)).assumingMemoryBound(to: UInt32.self)
        let actual = cbenchmarks_play(record.buffer.baseAddress, transfers + played % stream.transfers.count, outcomes)
        cbenchmarks_measured(&inKernel, cbenchmarks_ticks() &- ticks, UInt64(actual))
        played += 1
        record.complete(status: 0, actualLength: Int(actual), at: clinux_monotonic_ns())
        return .completed(index: record.index)
    }

    func cancelAll(_ mapping: TransferRingMapping) {
        for record in mapping.recordsInFlight { record.complete(status: -ENODEV, actualLength: 0, at: clinux_monotonic_ns()) }
    }
}
