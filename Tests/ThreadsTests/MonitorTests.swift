// Waiting: deadlines, waking, what a throwing change leaves.

import CLinux
import Testing
import Threads

@Suite struct MonitorTests {
    @Test func waitingEndsAtTheDeadline() {
        let value = Monitored(0)
        let deadline = clinux_monotonic_ns() + 20_000_000
        let result: Int? = value.wait(until: deadline) { _ in nil }
        #expect(result == nil)
        #expect(clinux_monotonic_ns() >= deadline)
    }

    @Test func aDeadlineThatHasPassedStillLooksOnce() {
        let value = Monitored(7)
        #expect(value.wait(until: 0) { $0 } == 7)
        let nothing: Int? = value.wait(until: 0) { _ in nil }
        #expect(nothing == nil)
    }

    @Test func aChangeWakesEverybodyWhoWaits() throws {
        let value = Monitored(0)
        let woken = Monitored(0)
        let threads = try (0..<4).map { index in
            try WorkerThread(name: "waiter \(index)") {
                let seen = value.wait(until: .max) { $0 > 0 ? $0 : nil } ?? 0
                woken.change { $0 += seen }
            }
        }
        value.change { $0 = 7 }
        for thread in threads { thread.join() }
        #expect(woken.withLock { $0 } == 28)
    }

    @Test func aChangeThatThrowsLeavesTheLockOpen() throws {
        struct Refusal: Error {}
        let value = Monitored(0)
        #expect(throws: Refusal.self) {
            try value.change { (value) throws(Refusal) in
                value = 1
                throw Refusal()
            }
        }
        #expect(value.withLock { $0 } == 1)
    }

    @Test func conditionsOfOneMonitorAreCalledOneByOne() throws {
        final class Line: @unchecked Sendable {
            // Sendable: the counts are touched with the monitor locked.
            let monitor = Monitor()
            let first = MonitorCondition()
            let second = MonitorCondition()
            var tickets = (first: 0, second: 0)
        }
        let line = Line()
        let thread = try WorkerThread(name: "second") {
            line.monitor.lock()
            while line.tickets.second == 0 { line.second.wait(line.monitor) }
            line.tickets.first = line.tickets.second + 1
            line.monitor.unlock()
            line.first.broadcast()
        }
        line.monitor.withLock { line.tickets.second = 41 }
        line.second.broadcast()
        line.monitor.lock()
        while line.tickets.first == 0 { line.first.wait(line.monitor, until: .max) }
        let last = line.tickets.first
        line.monitor.unlock()
        thread.join()
        #expect(last == 42)
    }
}
