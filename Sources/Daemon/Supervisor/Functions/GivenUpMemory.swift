// Rings that a device's streams are not in any more, until nobody can fill them again.

import FrameRing
import Threads
import TransferRing

/// A ring's memory that can be taken back from whoever has it mapped.
protocol RetirableMemory: AnyObject, Sendable {
    var byteCount: Int { get }
    /// Takes away what is in it. False while a driver could write to it. Blocks for milliseconds.
    func retire() -> Bool
}

extension FrameRingMemory: RetirableMemory { var byteCount: Int { geometry.byteCount } }
extension TransferRingMemory: RetirableMemory { var byteCount: Int { geometry.byteCount } }

/// A driver, or whoever watched, may keep a ring mapped that it was to leave: its memory counts as the driver's until the kernel says that nobody writes to
/// it, and what is in it is taken away once those who stay have had their time to read it.
@SupervisorActor
final class GivenUpMemory {
    private final class Entry {
        let memory: any RetirableMemory
        let timer = ReactorTimer()
        var isCounted = true
        init(_ memory: any RetirableMemory) { self.memory = memory }
    }
    private let patience: Duration
    private var entries: [ObjectIdentifier: Entry] = [:]

    /// - Parameter patience: how long those who stay have to read it.
    init(patience: Duration) { self.patience = patience }

    /// Bytes that the running driver may hold still.
    var byteCount: Int { entries.values.reduce(0) { $0 + ($1.isCounted ? $1.memory.byteCount : 0) } }

    func take(_ memory: any RetirableMemory) {
        let entry = Entry(memory)
        entries[ObjectIdentifier(memory)] = entry
        retire(entry, after: patience)
    }

    /// No process has any of it mapped for writing.
    func driverHasEnded() { for entry in entries.values { entry.isCounted = false } }

    private func retire(_ entry: Entry, after patience: Duration) {
        entry.timer.set(after: patience) { [weak self, weak entry] in
            guard let entry else { return }
            Task { @SupervisorActor [weak self] in
                let memory = entry.memory
                let isOver = await blocking("retire") { memory.retire() }
                guard let self else { return }
                if isOver {
                    self.entries[ObjectIdentifier(memory)] = nil
                } else {
                    self.retire(entry, after: min(patience * 2, self.patience * 16))
                }
            }
        }
    }
}
