// In the kernel's place: completes a ring's transfers one after the other, with the bytes of a
// stream that is played over and over.
import CBenchmarks
import CLinux
import Glibc
import TransferRing
import USB

/// Completes the oldest transfer whenever the driver waits, and ends the stream after a number of
/// them. What it does in the kernel's place (the bytes, the packets' outcomes) is taken off the
/// time.
final class StandInCarrier: RingCarrier, @unchecked Sendable {
    // Sendable: used on the stream's thread; its figures are read once that has ended.
    private let stream: PlayedStream
    private let warmUp: Int
    private let count: Int
    private var played = 0
    private var began: UInt64 = 0
    private var inKernel = cbenchmarks_meter()
    /// Nanoseconds of the thread's processor time from the first transfer to the last, without the
    /// kernel's part.
    private(set) var nanoseconds: Double = 0
    /// Looks at what was published, after each transfer; for the run that checks.
    var inspect: (() -> Void)?

    /// - Parameters:
    ///   - warmUp: transfers that are played before the clock runs, so that all memory has been
    ///     touched once.
    ///   - count: transfers that are played after those, before the device is gone.
    init(_ stream: PlayedStream, warmUp: Int, count: Int) {
        self.stream = stream
        self.warmUp = warmUp
        self.count = warmUp + count
    }

    func submit(_ record: RingRecord) throws(USBError) { record.markInFlight() }
    func adopt(_ record: RingRecord) {}

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        inspect?()
        if played == warmUp {
            began = cbenchmarks_thread_time()
            inKernel = cbenchmarks_meter()
        }
        guard played < count else {
            nanoseconds = Double(cbenchmarks_thread_time() - began) - cbenchmarks_ticks_to_nanoseconds(inKernel.ticks)
            throw USBError(.noDevice, operation: "playing")
        }
        let start = cbenchmarks_ticks()
        let record = RingRecord(mapping, index: played % mapping.geometry.transferCount)
        guard let transfers = stream.transfers.baseAddress else { return .timedOut }
        let transfer = transfers + played % stream.transfers.count
        let outcomes = (record.urb + Int(CLINUX_USBFS_URB_SIZE)).assumingMemoryBound(to: UInt32.self)
        let actual = cbenchmarks_play(record.buffer.baseAddress, transfer, outcomes)
        cbenchmarks_measured(&inKernel, cbenchmarks_ticks() &- start, UInt64(actual))
        played += 1
        record.complete(status: 0, actualLength: Int(actual), at: clinux_monotonic_ns())
        return .completed(index: record.index)
    }

    func cancelAll(_ mapping: TransferRingMapping) {
        for record in mapping.recordsInFlight { record.complete(status: -ENODEV, actualLength: 0, at: clinux_monotonic_ns()) }
    }
}
