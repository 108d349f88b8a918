// The supervisor's side of a progress page: made for one incarnation, read at any time, trusted never.

import CLinux
import FileDescriptors
import Glibc
import Wire

/// The progress pages' memfd, mapped for reading.
@SupervisorActor
final class ProgressMemory {
    /// For the driver. Closed when this object goes.
    nonisolated var descriptor: Int32 { memory.number }
    private nonisolated let memory: OwnedDescriptor
    private nonisolated(unsafe) let page: UnsafeMutableRawPointer  // unmapped in deinit only; the driver's writes are read atomically

    init() throws(SystemFailure) {
        let made = clinux_memfd("progress", 0)
        guard let memory = OwnedDescriptor(opened: made) else { throw SystemFailure(operation: "memfd_create(progress)", errno: -made) }
        guard ftruncate(memory.number, off_t(ProgressPage.byteCount)) == 0, clinux_seal_size(memory.number) == 0,
            let page = mmap(nil, ProgressPage.byteCount, PROT_READ, MAP_SHARED, memory.number, 0), page != MAP_FAILED
        else { throw SystemFailure(operation: "mmap(progress)", errno: errno) }
        self.memory = memory
        self.page = page
    }

    deinit { munmap(page, ProgressPage.byteCount) }

    /// The counters of each activity, by its slot.
    var activities: [ProgressCounters] { (0..<ProgressPage.slotCount).map(counters) }

    private func counters(_ slot: Int) -> ProgressCounters {
        let slot = page + ProgressPage.slot(slot)
        return ProgressCounters(
            number: clinux_load_u64(slot + ProgressPage.number), turns: clinux_load_u64(slot + ProgressPage.turns),
            transfers: clinux_load_u64(slot + ProgressPage.transfers), units: clinux_load_u64(slot + ProgressPage.units),
            unitsBefore: clinux_load_u64(slot + ProgressPage.unitsBefore), deliveries: clinux_load_u64(slot + ProgressPage.deliveries),
            watch: ProgressPage.Watch(rawValue: clinux_load_u64(slot + ProgressPage.watch)) ?? .nothing,
            unitTime: clinux_load_u64(slot + ProgressPage.unitTime), waitLimit: clinux_load_u64(slot + ProgressPage.waitLimit),
            waitNumber: clinux_load_u64(slot + ProgressPage.waitNumber))
    }

    func name(_ slot: Int) -> String { text(ProgressPage.name, slot) }
    func unit(_ slot: Int) -> String { text(ProgressPage.unit, slot) }
    func reason(_ slot: Int) -> String { text(ProgressPage.reason, slot) }

    /// Whatever the driver wrote there, as something that can be shown. It may be writing.
    private func text(_ place: ProgressPage.Text, _ slot: Int) -> String {
        var bytes: [UInt8] = []
        for offset in stride(from: 0, to: place.byteCount, by: 8) {
            withUnsafeBytes(of: clinux_load_u64(page + ProgressPage.slot(slot) + place.offset + offset)) { bytes += $0 }
        }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self).printable
    }

    /// What a crash left; only to be asked for once the driver has ended.
    var crashPage: CrashPage? {
        CrashPage(
            page: UnsafeRawBufferPointer(
                start: page + ProgressPage.crashPageOffset, count: ProgressPage.byteCount - ProgressPage.crashPageOffset))
    }
}
