// What the kernel does of a transfer, done in its place and kept apart from the driver's time.
import CBenchmarks
import CLinux
import Glibc
import TransferRing

/// Completes a ring's transfers in their order with the bytes of a stream that is played.
struct PlayedKernel {
    private let stream: PlayedStream
    private var began: UInt64 = 0
    private var meter = cbenchmarks_meter()
    /// How many it has completed.
    private(set) var completed = 0

    init(_ stream: PlayedStream) { self.stream = stream }

    mutating func startClock() {
        began = cbenchmarks_thread_time()
        meter = cbenchmarks_meter()
    }

    /// Nanoseconds of the thread's processor time since the clock was started, without the kernel's
    /// part: the bytes and the packets' outcomes.
    var nanoseconds: Double { Double(cbenchmarks_thread_time() - began) - cbenchmarks_ticks_to_nanoseconds(meter.ticks) }

    /// The oldest in flight is over, with what stands at that place of the stream, which goes round.
    mutating func complete(_ mapping: TransferRingMapping, with place: Int) -> CarrierEvent {
        let start = cbenchmarks_ticks()
        let record = RingRecord(mapping, index: completed % mapping.geometry.transferCount)
        guard let transfers = stream.transfers.baseAddress else { return .timedOut }
        let outcomes = (record.urb + Int(CLINUX_USBFS_URB_SIZE)).assumingMemoryBound(to: UInt32.self)
        let actual = cbenchmarks_play(record.buffer.baseAddress, transfers + place % stream.transfers.count, outcomes)
        cbenchmarks_measured(&meter, cbenchmarks_ticks() &- start, UInt64(actual))
        completed += 1
        record.complete(status: 0, actualLength: Int(actual), at: clinux_monotonic_ns())
        return .progress
    }

    static func cancelAll(_ mapping: TransferRingMapping) {
        for record in mapping.recordsInFlight { record.complete(status: -ENODEV, actualLength: 0, at: clinux_monotonic_ns()) }
    }
}
