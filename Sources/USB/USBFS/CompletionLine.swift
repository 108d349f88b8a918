// An endpoint's transfers in the order of their submission: the event thread marks them done, the queue's owner takes the first.
import Threads

package final class CompletionLine<Record: AnyObject & Sendable>: Sendable {
    private struct Entry {
        let record: Record
        var isDone = false
    }

    private struct State {
        /// A ring would save moving a few pointers; the line is as short as what is in flight.
        var entries: [Entry] = []
        var wakes: UInt64 = 0
    }

    private let monitor = Monitored(State())

    package init() {}

    package var count: Int { monitor.withLock { $0.entries.count } }

    package func append(_ record: Record) {
        monitor.withLock { $0.entries.append(Entry(record: record)) }
    }

    /// Takes back a record that did not get off the ground.
    package func removeLast(_ record: Record) {
        monitor.withLock { state in
            if let index = state.entries.lastIndex(where: { $0.record === record }) { state.entries.remove(at: index) }
        }
    }

    package func finish(_ record: Record) {
        monitor.change { state in
            if let index = state.entries.firstIndex(where: { $0.record === record }) { state.entries[index].isDone = true }
        }
    }

    /// Makes whoever waits look again at what `isOver` says.
    package func wake() { monitor.change { $0.wakes &+= 1 } }

    package enum Outcome {
        case completed(Record)
        /// Nothing is in flight, and nothing will be.
        case over
        case nothing
    }

    /// The oldest transfer, once it is done.
    package func next(until deadline: UInt64, isOver: () -> Bool) -> Outcome {
        let outcome: Outcome? = monitor.wait(until: deadline) { state in
            guard let first = state.entries.first else { return isOver() ? .over : nil }
            guard first.isDone else { return nil }
            state.entries.removeFirst()
            return .completed(first.record)
        }
        return outcome ?? .nothing
    }

    /// Waits until nothing is in flight any more.
    package func waitForAll() {
        _ = monitor.wait { state in state.entries.allSatisfy(\.isDone) ? true : nil }
    }
}
