// The pure decisions: when to restart, what is a hang, whom a record is given to.

import Testing
import Wire

@testable import Supervisor

@Suite struct RestartPolicyTests {
    private func died(_ policy: inout RestartPolicy, progress: Bool = false, lifetime: Duration = .seconds(1), chance: Double = 0.5)
        -> RestartPolicy.Decision
    {
        policy.died(progress: progress, lifetime: lifetime, chance: chance)
    }

    @Test func followsTheTable() {
        var policy = RestartPolicy()
        let delays = (1...9).map { _ in died(&policy) }
        let milliseconds = [0, 0, 0, 0, 100, 200, 400, 800, 1600]
        #expect(delays == milliseconds.map { .restart(after: .milliseconds($0)) })
        #expect(died(&policy) == .giveUp(deaths: 10))
        policy.reset()
        #expect(died(&policy) == .restart(after: .zero))
    }

    @Test func progressKeepsTheRightToAnImmediateRestart() {
        var policy = RestartPolicy()
        for _ in 0..<1000 { #expect(died(&policy, progress: true) == .restart(after: .zero)) }
        for _ in 0..<5 { _ = died(&policy) }
        #expect(died(&policy, progress: true) == .restart(after: .zero))
        #expect(policy.deaths == 0)
        #expect(died(&policy) == .restart(after: .zero))
    }

    @Test func aLongLifeCountsAsProgress() {
        var policy = RestartPolicy()
        for _ in 0..<100 { #expect(died(&policy, lifetime: .seconds(60)) == .restart(after: .zero)) }
    }

    @Test func delaysAreBoundedAndSpread() {
        var configuration = RestartPolicy.Configuration()
        configuration.deathsToOpen = 1000
        var policy = RestartPolicy(configuration)
        for death in 1...900 {
            guard case .restart(let delay) = died(&policy, chance: Double(death % 11) / 10) else {
                Issue.record("gave up after \(death)")
                return
            }
            #expect(delay <= .seconds(30))
            if death > 20 { #expect(delay >= .seconds(24)) }
        }
        for (chance, milliseconds) in [(-5.0, 80), (0, 80), (0.25, 90), (1, 120), (7, 120)] {
            var policy = RestartPolicy()
            for _ in 0..<4 { _ = died(&policy) }
            guard case .restart(let delay) = died(&policy, chance: chance) else {
                Issue.record("gave up")
                return
            }
            #expect(abs((delay - .milliseconds(milliseconds)) / .milliseconds(1)) < 0.001)
        }
    }
}

@Suite struct RecoveryLadderTests {
    private func steps(_ ladder: inout RecoveryLadder, _ count: Int, canTakeOver: Bool) -> [RecoveryStep] {
        (0..<count).map { _ in ladder.died(progress: false, hasHandled: true, canTakeOver: canTakeOver) }
    }

    /// Nothing is dropped of which nobody has died; and who dies again all the same is not given the same for ever.
    @Test func aDeathBeforeTheFirstTransferIsSparedOnce() {
        var ladder = RecoveryLadder()
        func died(_ progress: Bool, _ hasHandled: Bool) -> RecoveryStep {
            ladder.died(progress: progress, hasHandled: hasHandled, canTakeOver: true)
        }
        #expect(
            [died(true, true), died(false, false), died(false, false), died(false, false)] == [
                .takeOver, .takeOver, .takeOverDropping, .openAnew,
            ])
        #expect([died(true, true), died(false, false), died(false, true)] == [.takeOver, .takeOver, .takeOverDropping])
        // The first of a row did what it could, and what had it never is another matter.
        #expect([died(true, true), died(false, true)] == [.takeOver, .takeOverDropping])
        ladder.reset()
        #expect(died(false, false) == .takeOver)
        #expect(ladder.died(progress: false, hasHandled: false, canTakeOver: false) == .openAnew)
    }

    @Test func goesOneStepDownAtEachDeathInARow() {
        var ladder = RecoveryLadder()
        #expect(steps(&ladder, 6, canTakeOver: true) == [.takeOver, .takeOverDropping, .openAnew, .reset, .reset, .reset])
        ladder.reset()
        #expect(steps(&ladder, 1, canTakeOver: true) == [.takeOver])
    }

    @Test func progressLeadsBackToTheTop() {
        var ladder = RecoveryLadder()
        _ = steps(&ladder, 5, canTakeOver: true)
        let next = ladder.died(progress: true, hasHandled: true, canTakeOver: true)
        #expect(next == .takeOver)
        #expect(steps(&ladder, 1, canTakeOver: true) == [.takeOverDropping])
    }

    /// Over usbfs nothing else has such a device answer again.
    @Test func anUnresponsiveDeviceIsResetAtOnceAndWithoutItsRecordTheNextTime() {
        var ladder = RecoveryLadder()
        let first = ladder.died(progress: true, hasHandled: true, canTakeOver: true, isUnresponsive: true)
        let second = ladder.died(progress: false, hasHandled: true, canTakeOver: true, isUnresponsive: true)
        #expect([first, second] == [.revive, .reset])
        #expect(steps(&ladder, 1, canTakeOver: true) == [.reset])
        let next = ladder.died(progress: true, hasHandled: true, canTakeOver: true)
        #expect(next == .takeOver)
    }

    @Test func aDeviceThatWasLetGoIsOpenedAnewTwice() {
        var ladder = RecoveryLadder()
        #expect(steps(&ladder, 4, canTakeOver: false) == [.openAnew, .openAnew, .reset, .reset])
    }
}

@Suite struct RecoveryRecordTests {
    @Test func isDroppedAfterTwoDeathsWithoutProgress() {
        var record = RecoveryRecord()
        _ = record.replace(["format": "mjpeg"])
        let deaths = [(false, false), (true, false), (true, true), (true, false)].map { record.driverDied(given: $0.0, progress: $0.1) }
        #expect(deaths == [false, false, false, false])
        // Writing the same again doesn't clear it of suspicion.
        _ = record.replace(["format": "mjpeg"])
        let isDropped = record.driverDied(given: true, progress: false)
        #expect(isDropped)
        #expect(record.value == nil)
    }

    @Test func aRecordThatIsTooLargeIsNotKept() {
        var record = RecoveryRecord()
        let isKept = [record.replace(["a": 1]), record.replace(.string(String(repeating: "x", count: 40_000)))]
        #expect(isKept == [true, false])
        #expect(record.value == ["a": 1])
    }
}

@Suite struct WatchdogTests {
    private let tick: UInt64 = 100_000_000

    /// Looks every 100 ms; `change` says what the driver did in that time.
    private func run(_ watchdog: inout Watchdog, ticks: Int, from start: UInt64 = 1, _ change: (Int, inout ProgressCounters) -> Void) -> (
        tick: Int, hang: Watchdog.Hang
    )? {
        var counters = ProgressCounters(watch: .turns)
        for index in 0..<ticks {
            change(index, &counters)
            if let finding = watchdog.look([counters], now: start + UInt64(index) * tick) { return (index, finding.hang) }
        }
        return nil
    }

    @Test func leavesADriverThatGetsOnAlone() {
        var watchdog = Watchdog()
        let end = run(&watchdog, ticks: 10_000) { index, counters in
            counters.turns += 1
            counters.deliveries &+= 250
            if index % 3 == 0 { counters.units += 1 }
        }
        #expect(end == nil)
    }

    @Test func noticesAThreadThatStandsStill() {
        var watchdog = Watchdog()
        let end = run(&watchdog, ticks: 100) { index, counters in if index < 10 { counters.turns += 1 } }
        #expect(end?.hang == .noTurn(.milliseconds(500)))
        #expect(end?.tick == 14)
    }

    @Test func noticesDeliveriesWithoutFrames() {
        var watchdog = Watchdog()
        let end = run(&watchdog, ticks: 100) { index, counters in
            counters.turns += 1
            counters.deliveries += 8
            if index < 10 { counters.units += 3 }
        }
        #expect(end?.hang == .noFrame(.seconds(1)))
        #expect(end?.tick == 20)
    }

    @Test func aSilentDeviceIsNotTheDriversFault() {
        var watchdog = Watchdog()
        #expect(run(&watchdog, ticks: 1000) { _, counters in counters.turns += 1 } == nil)
    }

    @Test func slowCamerasHaveTime() {
        var watchdog = Watchdog()
        // A frame every two seconds, its payloads spread over them.
        let end = run(&watchdog, ticks: 1000) { index, counters in
            counters.turns += 1
            counters.deliveries += 2
            if index % 20 == 19 { counters.units += 1 }
        }
        #expect(end == nil)
    }

    @Test func aLateLookBlamesNobody() {
        var watchdog = Watchdog()
        let counters = ProgressCounters(turns: 1, watch: .turns)
        #expect(watchdog.look([counters], now: 1) == nil)
        #expect(watchdog.look([counters], now: 1 + 60 * tick) == nil)
        #expect(watchdog.look([counters], now: 1 + 61 * tick) == nil)
    }

    @Test func countersThatGoBackOrWrapAreNoTrap() {
        var watchdog = Watchdog()
        var counters = ProgressCounters(turns: .max, transfers: .max, units: .max, deliveries: .max, watch: .turns)
        #expect(watchdog.look([counters], now: 1) == nil)
        counters = ProgressCounters(watch: .turns)
        #expect(watchdog.look([counters], now: 1 + tick) == nil)
        #expect(watchdog.look([counters], now: 0) == nil)
    }

    @Test(arguments: [true, false]) func oneThatGetsOnHidesNoOthersHang(standsStill: Bool) {
        var watchdog = Watchdog()
        var counters = [ProgressCounters(watch: .turns), ProgressCounters(), ProgressCounters(watch: .turns)]
        var end: (tick: Int, finding: Watchdog.Finding)?
        for index in 0..<100 where end == nil {
            for stream in [0, 2] {
                let hangs = stream == 2 && index >= 10
                if !hangs || !standsStill { counters[stream].turns += 1 }
                counters[stream].deliveries += 8
                if !hangs { counters[stream].units += 3 }
            }
            end = watchdog.look(counters, now: 1 + UInt64(index) * tick).map { (index, $0) }
        }
        #expect(end?.finding == .init(activity: 2, hang: standsStill ? .noTurn(.milliseconds(500)) : .noFrame(.seconds(1))))
        #expect(end?.tick == (standsStill ? 14 : 20))
    }

    @Test func aCameraThatSaysItsFramesTakeLongHasTimeForTheFirst() {
        var watchdog = Watchdog()
        // Five seconds a frame, its payloads spread over them.
        let end = run(&watchdog, ticks: 1000) { index, counters in
            counters.unitTime = 5_000_000_000
            counters.turns += 1
            counters.deliveries += 2
            if index % 50 == 49 { counters.units += 1 }
        }
        #expect(end == nil)
    }

    @Test func limitsGrowWithThePatience() {
        var watchdog = Watchdog()
        watchdog.patience = 4
        let end = run(&watchdog, ticks: 1000) { _, counters in
            counters.turns += 1
            counters.deliveries += 2
        }
        #expect(end?.hang == .noFrame(.seconds(12)))
        var policy = RestartPolicy()
        let patience = (0..<9).map { _ in
            defer { _ = policy.died(progress: false, lifetime: .zero, chance: 0.5) }
            return policy.patience
        }
        #expect(patience == [1, 1, 1, 2, 4, 8, 16, 32, 32])
    }

    @Test func nothingIsExpectedWhileNothingStreams() {
        var watchdog = Watchdog()
        for index in 0..<100 { #expect(watchdog.look([ProgressCounters()], now: UInt64(index) * tick) == nil) }
    }
}

@Suite struct LineTailTests {
    @Test func keepsTheLastLines() {
        var tail = LineTail()
        for number in 0..<1000 { tail.append(Array("line \(number)\n".utf8)) }
        tail.append(Array("no end \u{1b}[31m".utf8))
        tail.finish()
        #expect(tail.lines.count == LineTail.maximumLines)
        #expect(tail.lines.last == "no end  [31m")
        #expect(tail.lines.first == "line 961")
    }

    @Test func cutsLinesWithoutEnd() {
        var tail = LineTail()
        for _ in 0..<1000 { tail.append([UInt8](repeating: 0xff, count: 1000)) }
        tail.finish()
        #expect(tail.lines.count == 1)
        #expect(tail.lines[0].count <= LineTail.maximumLineBytes)
    }
}
