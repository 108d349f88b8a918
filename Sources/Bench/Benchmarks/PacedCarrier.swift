// In the kernel's place, and in the bus's: transfers complete when a camera's bus would have brought
// them, and what was not asked for in time is lost.
import CBenchmarks
import CLinux
import FrameRing
import Threads
import TransferRing
import USB

/// A transfer that is submitted gets what comes next on the bus; what came while none was in flight
/// nobody gets. Ends the stream after a number of turns.
final class PacedCarrier: RingCarrier, @unchecked Sendable {
    // Sendable: used on the stream's thread; its figures are read once that has ended.
    private var kernel: PlayedKernel
    /// When each transfer of a turn completes, in nanoseconds of the turn, and how long that is.
    private let times: [UInt64]
    private let turnTime: UInt64
    private let count: Int
    private let reader: FrameRingReader
    private var start: UInt64 = 0
    /// What those in flight get: places in the stream, the oldest first.
    private var places: [Int] = []
    private var nextPlace = 0
    private var lastTime: UInt64 = 0
    /// Transfers' worth of bytes that came while none was in flight.
    private(set) var lost = 0
    /// By the frame's number: when its last transfer completed.
    private(set) var completed: [UInt64] = [0]
    /// Nanoseconds of the thread's processor time, without the kernel's part.
    private(set) var nanoseconds: Double = 0
    private(set) var elapsed: UInt64 = 0

    /// - Parameter reader: of the ring that the stream writes.
    init(_ stream: PlayedStream, _ pace: PacedCase, turns: Int, reader: FrameRingReader) {
        kernel = PlayedKernel(stream)
        (times, turnTime) = pace.times(of: stream)
        count = turns * stream.transfers.count
        self.reader = reader
    }

    private func time(of place: Int) -> UInt64 { start + UInt64(place / times.count) * turnTime + times[place % times.count] }

    func submit(_ record: RingRecord) throws(USBError) {
        record.markInFlight()
        let now = clinux_monotonic_ns()
        if start == 0 { start = now + 20_000_000 }
        while nextPlace < count, time(of: nextPlace) <= now {
            nextPlace += 1
            lost += 1
        }
        places.append(nextPlace)
        nextPlace += 1
    }

    func adopt(_ record: RingRecord) {}

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        if kernel.completed == 0 {
            // As a driver has them.
            _ = clinux_take_short_turns()
            kernel.startClock()
        }
        // Whatever has appeared belongs to the transfer before.
        let newest = reader.newestSequence
        while completed.count <= newest { completed.append(lastTime) }
        guard let place = places.first, place < count else {
            nanoseconds = kernel.nanoseconds
            elapsed = clinux_monotonic_ns() - start
            throw USBError(.noDevice, operation: "playing")
        }
        let due = time(of: place)
        let end = clinux_monotonic_ns() + timeout.nanoseconds
        guard due <= end else {
            cbenchmarks_sleep_until(end)
            return .timedOut
        }
        cbenchmarks_sleep_until(due)
        lastTime = due
        places.removeFirst()
        return kernel.complete(mapping, with: place)
    }

    func cancelAll(_ mapping: TransferRingMapping) { PlayedKernel.cancelAll(mapping) }
}
