// The counters by which the supervisor sees that this process gets on, in memory that both have mapped.

import CLinux
import Glibc
import Synchronization
public import Wire

/// Counters of progress. Kept in a page shared with the supervisor, so that even a process that hangs is seen to hang.
public final class Progress: @unchecked Sendable {
    // Sendable: the page is written by single atomic adds and stores only, and stays mapped for the life of the process.
    let page: UnsafeMutableRawPointer
    private let taken = Atomic(0)

    /// Maps the page. Throws `CallError` when the descriptor is not one.
    public init(descriptor: Int32) throws(CallError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size >= ProgressPage.byteCount,
            let address = mmap(nil, ProgressPage.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), address != MAP_FAILED
        else { throw CallError("ContractBroken", "Descriptor \(descriptor) is not the page of progress that a driver is born with.") }
        page = address
    }

    /// A page of this process alone, for running a driver without a supervisor.
    public init() {
        page = .allocate(byteCount: ProgressPage.byteCount, alignment: 4096)
        page.initializeMemory(as: UInt8.self, repeating: 0, count: ProgressPage.byteCount)
    }

    /// From now on a fatal signal leaves its backtrace in the page.
    func installCrashHandler() { clinux_install_crash_handler(page + ProgressPage.crashPageOffset) }

    /// Room for the counters of something that gets on by itself: each gets its own, so that one that hangs is seen beside others that do not.
    /// There are `ProgressPage.slotCount`; whoever comes after that shares the last.
    public func activity() -> Activity {
        Activity(counters: page + ProgressPage.slot(taken.wrappingAdd(1, ordering: .relaxed).oldValue), owner: self)
    }

    /// One stream's counters, or one download's.
    public final class Activity: @unchecked Sendable {
        // Sendable: written by single atomic adds and stores only, and the page stays mapped as long as its owner is held.
        private let counters: UnsafeMutableRawPointer
        private let owner: Progress

        fileprivate init(counters: UnsafeMutableRawPointer, owner: Progress) {
            self.counters = counters
            self.owner = owner
        }

        /// The thread went round; call it at least every 100 ms while streaming.
        public func turn() { _ = clinux_add_u64(counters + ProgressPage.streamTurns, 1) }
        /// A transfer completed. `delivering`: it brought payload.
        public func transferCompleted(delivering: Bool) {
            _ = clinux_add_u64(counters + ProgressPage.transfers, 1)
            if delivering { _ = clinux_add_u64(counters + ProgressPage.deliveries, 1) }
        }
        /// A frame came to its end, whether it was fit to be published or not.
        public func frameEnded() { _ = clinux_add_u64(counters + ProgressPage.frames, 1) }
        /// While this is set the supervisor ends the process when the counters stand still.
        /// - Parameter frameTime: nanoseconds that the device takes for a frame by its own word, 0 where it gave none.
        public func setStreaming(_ on: Bool, frameTime: UInt64 = 0) {
            clinux_store_u64(counters + ProgressPage.frameTime, frameTime)
            clinux_store_u64(counters + ProgressPage.streaming, on ? 1 : 0)
        }
    }
}
