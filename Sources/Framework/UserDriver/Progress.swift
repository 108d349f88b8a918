// The counters by which the supervisor sees that this process gets on, in memory that both have mapped.

import CLinux
import Glibc
import Synchronization
import Threads
public import Wire

/// Counters of progress. Kept in pages shared with the supervisor, so that even a hang is noticed.
public final class Progress: @unchecked Sendable {
    // Sendable: the pages are written by single atomic adds and stores only, and stay mapped for the life of the process.
    let page: UnsafeMutableRawPointer

    private struct Slots {
        /// Bit n: slot n is somebody's.
        var taken: UInt32 = 0
        var lastNumber: UInt64 = 0
    }
    private let slots = Mutex(Slots())
    /// Counters that nobody looks at, for who finds no slot free.
    private let unseen: UnsafeMutableRawPointer

    /// Maps the pages. Throws `CallError` when the descriptor is not theirs.
    public init(descriptor: Int32) throws(CallError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size >= ProgressPage.byteCount,
            let address = mmap(nil, ProgressPage.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), address != MAP_FAILED
        else { throw CallError("ContractBroken", "Descriptor \(descriptor) is not the page of progress that a driver is born with.") }
        page = address
        unseen = Self.zeroed(ProgressPage.slotSize)
    }

    /// Pages of this process alone, for running a driver without a supervisor.
    public init() {
        page = Self.zeroed(ProgressPage.byteCount)
        unseen = Self.zeroed(ProgressPage.slotSize)
    }

    private static func zeroed(_ byteCount: Int) -> UnsafeMutableRawPointer {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 4096)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        return memory
    }

    /// From now on a fatal signal leaves its backtrace in the page.
    func installCrashHandler() { clinux_install_crash_handler(page + ProgressPage.crashPageOffset) }

    /// Something that makes progress by itself: a stream, a page, a download. Each has its own
    /// counters, so that one that hangs is noticed beside others that do not. `userdriver status`
    /// shows it from its first sign of life until it ends or is released.
    ///
    /// There may be `ProgressPage.slotCount` at once; any more are neither watched nor shown.
    /// - Parameters:
    ///   - name: what a person calls it, of at most 40 bytes: `"page 3"`.
    ///   - unit: what is counted, in the plural, of at most 16 bytes: `"lines"`.
    public func activity(_ name: String = "", unit: String = "") -> Activity {
        let slot = slots.withLock { slots -> Int? in
            guard ~slots.taken != 0 else { return nil }
            let free = (~slots.taken).trailingZeroBitCount
            slots.taken |= 1 << UInt32(free)
            return free
        }
        return Activity(slot.map { page + ProgressPage.slot($0) } ?? unseen, slot: slot, owner: self, name: name, unit: unit)
    }

    fileprivate func nextNumber() -> UInt64 {
        slots.withLock { slots in
            slots.lastNumber += 1
            return slots.lastNumber
        }
    }

    fileprivate func release(_ slot: Int) { slots.withLock { $0.taken &= ~(1 << UInt32(slot)) } }

    /// One activity's counters: a stream's, a page's, a download's.
    public final class Activity: @unchecked Sendable {
        // Sendable: written by single atomic adds and stores only, and the pages stay mapped as long as their owner is held.
        private let counters: UnsafeMutableRawPointer
        private let slot: Int?
        private let owner: Progress
        private let hasBegun = Atomic(false)

        fileprivate init(_ counters: UnsafeMutableRawPointer, slot: Int?, owner: Progress, name: String, unit: String) {
            self.counters = counters
            self.slot = slot
            self.owner = owner
            write(name, ProgressPage.name)
            write(unit, ProgressPage.unit)
        }

        deinit {
            guard let slot else { return }
            end()
            owner.release(slot)
        }

        // MARK: Getting on

        /// Counts units that are done.
        public func advance(by count: UInt64 = 1) {
            begin()
            _ = clinux_add_u64(counters + ProgressPage.units, count)
        }

        /// Promises a unit at least every `limit`, from now on: after a longer silence the
        /// supervisor ends this process as hung. The limit is at least half a second and at most
        /// two minutes. Declare a wait that is known beforehand with `wait`.
        public func expect(every limit: Duration) {
            begin()
            clinux_store_u64(counters + ProgressPage.unitTime, limit.nanoseconds)
            clinux_store_u64(counters + ProgressPage.watch, ProgressPage.Watch.units.rawValue)
        }

        /// Nothing is expected any more, until `expect` is called again.
        public func rest() { clinux_store_u64(counters + ProgressPage.watch, ProgressPage.Watch.nothing.rawValue) }

        /// Ends it: it is no longer watched or shown. Using it again starts it over.
        public func end() {
            rest()
            endWait()
            guard hasBegun.exchange(false, ordering: .acquiringAndReleasing) else { return }
            clinux_store_u64(counters + ProgressPage.number, 0)
        }

        private func begin() {
            guard !hasBegun.load(ordering: .relaxed), !hasBegun.exchange(true, ordering: .acquiringAndReleasing) else { return }
            clinux_store_u64(counters + ProgressPage.unitsBefore, clinux_load_u64(counters + ProgressPage.units))
            clinux_store_u64(counters + ProgressPage.number, owner.nextNumber())
        }

        // MARK: Quiet waits

        /// From now on nothing comes, and that is not a hang: the device is warming up, or busy.
        /// `userdriver status` shows the reason. The wait is over with `endWait`; one that lasts
        /// longer than its limit is a hang.
        ///
        /// The supervisor grants two minutes for each wait, and ten minutes in all for an activity;
        /// one that starts over without a unit done in between gets only what is left.
        /// - Parameters:
        ///   - reason: a clause of at most 120 bytes: `"the lamp warms up"`.
        ///   - limit: when to give up.
        public func wait(_ reason: String, atMost limit: Duration) {
            begin()
            write(reason, ProgressPage.reason)
            _ = clinux_add_u64(counters + ProgressPage.waitNumber, 1)
            clinux_store_u64(counters + ProgressPage.waitLimit, max(limit.nanoseconds, 1))
        }

        /// The wait is over: what was expected before is expected from now on.
        public func endWait() { clinux_store_u64(counters + ProgressPage.waitLimit, 0) }

        /// A wait for as long as the work takes.
        public func waiting<Result>(
            _ reason: String, atMost limit: Duration, isolation: isolated (any Actor)? = #isolation,
            _ work: () async throws -> Result
        ) async rethrows -> Result {
            wait(reason, atMost: limit)
            defer { endWait() }
            return try await work()
        }

        // MARK: Streams

        /// The thread completed a turn; call this at least every 100 ms while streaming.
        public func turn() { _ = clinux_add_u64(counters + ProgressPage.turns, 1) }
        /// A transfer completed. `delivering`: it brought payload.
        public func transferCompleted(delivering: Bool) {
            _ = clinux_add_u64(counters + ProgressPage.transfers, 1)
            if delivering { _ = clinux_add_u64(counters + ProgressPage.deliveries, 1) }
        }
        /// A frame ended, whether it was fit to be published or not.
        public func frameEnded() { advance() }
        /// While this is set, the supervisor ends the process when the counters stop moving.
        /// - Parameter frameTime: nanoseconds that the device says it takes for a frame, 0 if it says nothing.
        public func setStreaming(_ on: Bool, frameTime: UInt64 = 0) {
            guard on else { return end() }
            begin()
            clinux_store_u64(counters + ProgressPage.unitTime, frameTime)
            clinux_store_u64(counters + ProgressPage.watch, ProgressPage.Watch.turns.rawValue)
        }

        /// In words, as it is read.
        private func write(_ text: String, _ place: ProgressPage.Text) {
            var bytes = Array(text.utf8.prefix(place.byteCount))
            bytes += [UInt8](repeating: 0, count: place.byteCount - bytes.count)
            bytes.withUnsafeBytes { bytes in
                for offset in stride(from: 0, to: place.byteCount, by: 8) {
                    clinux_store_u64(counters + place.offset + offset, bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                }
            }
        }
    }
}
