// The supervisor's side of a progress page: made for one incarnation, read at any time, trusted never.

import CLinux
import Glibc
import Wire

/// A progress page's memfd, mapped for reading.
@SupervisorActor
final class ProgressMemory {
    /// For the driver. Closed when this object goes.
    nonisolated let descriptor: Int32
    private nonisolated(unsafe) let page: UnsafeMutableRawPointer  // unmapped in deinit only; the driver's writes are read atomically

    init() throws(SystemFailure) {
        let memory = clinux_memfd("progress", 0)
        guard memory >= 0 else { throw SystemFailure(operation: "memfd_create(progress)", errno: -memory) }
        guard ftruncate(memory, off_t(ProgressPage.byteCount)) == 0, clinux_seal_size(memory) == 0,
            let page = mmap(nil, ProgressPage.byteCount, PROT_READ, MAP_SHARED, memory, 0), page != MAP_FAILED
        else {
            let number = errno
            close(memory)
            throw SystemFailure(operation: "mmap(progress)", errno: number)
        }
        descriptor = memory
        self.page = page
    }

    deinit {
        munmap(page, ProgressPage.byteCount)
        close(descriptor)
    }

    /// The counters of each activity, by its slot.
    var activities: [ProgressCounters] { (0..<ProgressPage.slotCount).map(counters) }

    private func counters(_ slot: Int) -> ProgressCounters {
        let slot = page + ProgressPage.slot(slot)
        return ProgressCounters(
            streamTurns: clinux_load_u64(slot + ProgressPage.streamTurns), transfers: clinux_load_u64(slot + ProgressPage.transfers),
            frames: clinux_load_u64(slot + ProgressPage.frames), deliveries: clinux_load_u64(slot + ProgressPage.deliveries),
            isStreaming: clinux_load_u64(slot + ProgressPage.streaming) == 1, frameTime: clinux_load_u64(slot + ProgressPage.frameTime))
    }

    /// What a crash left; only to be asked for once the driver has ended.
    var crashPage: CrashPage? {
        CrashPage(
            page: UnsafeRawBufferPointer(
                start: page + ProgressPage.crashPageOffset, count: ProgressPage.byteCount - ProgressPage.crashPageOffset))
    }
}
