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
    // Unchecked exclusivity: the check would count as the driver's.
    @exclusivity(unchecked) private var kernel: PlayedKernel
    private let warmUp: Int
    private let count: Int
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
        kernel = PlayedKernel(stream)
        self.warmUp = warmUp
        self.count = warmUp + count
    }

    func submit(_ record: RingRecord) throws(USBError) { record.markInFlight() }
    func adopt(_ record: RingRecord) {}

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        inspect?()
        if kernel.completed == warmUp { kernel.startClock() }
        guard kernel.completed < count else {
            nanoseconds = kernel.nanoseconds
            throw USBError(.noDevice, operation: "playing")
        }
        return kernel.complete(mapping, with: kernel.completed)
    }

    func cancelAll(_ mapping: TransferRingMapping) { PlayedKernel.cancelAll(mapping) }
}
