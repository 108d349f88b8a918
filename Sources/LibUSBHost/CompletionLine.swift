// An endpoint's transfers in the order of their submission: the event thread marks them done, the queue's owner takes the first.
import Threads
import USB

final class CompletionLine: Sendable {
    private struct Entry {
        let record: TransferRecord
        var isDone = false
    }

    private struct State {
        /// A ring would save moving a few pointers; the line is as short as what is in flight.
        var entries: [Entry] = []
        var wakes: UInt64 = 0
    }

    private let monitor = Monitored(State())

    var count: Int { monitor.withLock { $0.entries.count } }

    func append(_ record: TransferRecord) {
        monitor.withLock { $0.entries.append(Entry(record: record)) }
    }

    /// Takes back a record that did not get off the ground.
    func removeLast(_ record: TransferRecord) {
        monitor.withLock { state in
            if let index = state.entries.lastIndex(where: { $0.record === record }) { state.entries.remove(at: index) }
        }
    }

    func finish(_ record: TransferRecord) {
        monitor.change { state in
            if let index = state.entries.firstIndex(where: { $0.record === record }) { state.entries[index].isDone = true }
        }
    }

    /// Makes whoever waits look again at what `isOver` says.
    func wake() { monitor.change { $0.wakes &+= 1 } }

    enum Outcome {
        case completed(TransferRecord)
        /// Nothing is in flight, and nothing will be.
        case over
        case nothing
    }

    /// The oldest transfer, once it is done.
    func next(until deadline: UInt64, isOver: () -> Bool) -> Outcome {
        let outcome: Outcome? = monitor.wait(until: deadline) { state in
            guard let first = state.entries.first else { return isOver() ? .over : nil }
            guard first.isDone else { return nil }
            state.entries.removeFirst()
            return .completed(first.record)
        }
        return outcome ?? .nothing
    }

    /// Waits until nothing is in flight any more.
    func waitForAll() {
        _ = monitor.wait { state in state.entries.allSatisfy(\.isDone) ? true : nil }
    }
}
