// Handing completions over: order, waking.
import Testing
import Threads
@testable import USBFS

private final class Record: Sendable {}

@Suite struct CompletionLineTests {
    @Test func transfersComeOutInTheOrderOfSubmissionHoweverTheyEnd() {
        let line = CompletionLine<Record>()
        let records = (0..<4).map { _ in Record() }
        for record in records { line.append(record) }
        for record in records.reversed().dropLast() { line.finish(record) }
        guard case .nothing = line.next(until: 0, isOver: { true }) else {
            Issue.record("the first is not done")
            return
        }
        line.finish(records[0])
        for record in records {
            guard case .completed(let next) = line.next(until: 0, isOver: { true }) else {
                Issue.record("a finished transfer comes out")
                return
            }
            #expect(next === record)
        }
        guard case .over = line.next(until: 0, isOver: { true }) else {
            Issue.record("an empty line of a device that is gone is over")
            return
        }
        guard case .nothing = line.next(until: 0, isOver: { false }) else {
            Issue.record("an empty line of a device that is there may get more")
            return
        }
    }

    @Test func whoWaitsOnAnEmptyLineIsWokenWhenTheDeviceGoes() async {
        let line = CompletionLine<Record>()
        let gone = Monitored(false)
        async let outcome = Task.detached {
            if case .over = line.next(until: .max, isOver: { gone.withLock { $0 } }) { true } else { false }
        }.value
        gone.withLock { $0 = true }
        line.wake()
        #expect(await outcome)
    }
}
