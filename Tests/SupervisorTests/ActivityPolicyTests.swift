// What is a hang of an activity that counts units, what is a quiet wait, and how fast it gets on.

import Testing
import Wire

@testable import Supervisor

@Suite struct ActivityPolicyTests {
    private static let tick: UInt64 = 100_000_000

    /// Looks every 100 ms at what a script makes of the counters; tells when a hang was found, and which.
    private func run(
        _ counters: ProgressCounters, seconds: Int, patience: UInt64 = 1, _ change: (Int, inout ProgressCounters) -> Void
    ) -> String? {
        var watchdog = Watchdog()
        watchdog.patience = patience
        var counters = counters
        for index in 0..<seconds * 10 {
            change(index, &counters)
            if let finding = watchdog.look([counters], now: 1 + UInt64(index) * Self.tick) { return "\(index): \(finding.hang)" }
        }
        return nil
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        UInt64(duration.components.seconds) * 1_000_000_000 + UInt64(duration.components.attoseconds / 1_000_000_000)
    }

    private static func units(every limit: Duration) -> ProgressCounters {
        ProgressCounters(number: 1, watch: .units, unitTime: nanoseconds(limit))
    }

    @Test func whoGetsOnInTimeIsLeftAlone() {
        #expect(run(Self.units(every: .seconds(2)), seconds: 1000) { index, counters in if index % 19 == 0 { counters.units += 1 } } == nil)
    }

    @Test(arguments: [
        // What the driver asks for, the patience, what is granted.
        (Duration.seconds(2), 1, "20: no progress for 2 s"), (.zero, 1, "5: no progress for 500 ms"),
        (.seconds(86400), 1, "1200: no progress for 120 s"), (.seconds(2), 4, "80: no progress for 8 s"),
        (.seconds(100), 64, "1200: no progress for 120 s"),
    ])
    func whoStandsStillIsEnded(limit: Duration, patience: UInt64, found: String) {
        #expect(run(Self.units(every: limit), seconds: 200, patience: patience) { _, _ in } == found)
    }

    @Test func whatIsNotExpectedIsNoHang() {
        #expect(run(ProgressCounters(number: 1), seconds: 1000) { _, _ in } == nil)
        // It was expected, and is not any more.
        let end = run(Self.units(every: .seconds(1)), seconds: 1000) { index, counters in if index == 8 { counters.watch = .nothing } }
        #expect(end == nil)
    }

    @Test func timeBeginsAnewWithAnotherActivity() {
        // Each takes 0.9 s, none gets anything done.
        let end = run(Self.units(every: .seconds(1)), seconds: 100) { index, counters in counters.number = UInt64(index / 9 + 1) }
        #expect(end == nil)
    }

    // MARK: Quiet waits

    private static func wait(_ counters: inout ProgressCounters, _ limit: Duration) {
        counters.waitNumber += 1
        counters.waitLimit = nanoseconds(limit)
    }

    @Test(arguments: [ProgressPage.Watch.units, .turns]) func silenceInADeclaredWaitIsNoHang(watch: ProgressPage.Watch) {
        var counters = Self.units(every: .seconds(1))
        counters.watch = watch
        let end = run(counters, seconds: 100) { index, counters in
            if index == 10 { Self.wait(&counters, .seconds(60)) }
            if index == 500 { counters.waitLimit = 0 }
            if index < 10 || index >= 503 { (counters.units, counters.turns) = (counters.units + 1, counters.turns + 1) }
        }
        #expect(end == nil)
    }

    @Test(arguments: [
        (Duration.seconds(3), "30: a declared wait did not end within 3 s"),
        (.seconds(1_000_000), "1200: a declared wait did not end within 120 s"),
    ])
    func aWaitHasItsLimit(limit: Duration, found: String) {
        for watch in [ProgressPage.Watch.units, .turns, .nothing] {
            var counters = Self.units(every: .seconds(1))
            counters.watch = watch
            #expect(run(counters, seconds: 200) { index, counters in if index == 0 { Self.wait(&counters, limit) } } == found)
        }
    }

    @Test func whatWasExpectedIsExpectedAgainAfterTheWait() {
        let end = run(Self.units(every: .seconds(1)), seconds: 100) { index, counters in
            if index == 0 { Self.wait(&counters, .seconds(60)) }
            if index == 400 { counters.waitLimit = 0 }
        }
        #expect(end == "410: no progress for 1 s")
    }

    /// Wait upon wait, each within its limit, with and without a pause, and under other names.
    @Test(arguments: [0, 1, 2]) func waitsTogetherHaveALimit(way: Int) throws {
        let end = run(Self.units(every: .seconds(1)), seconds: 2000) { index, counters in
            switch index % 100 {
            case 0:
                Self.wait(&counters, .seconds(60))
                if way == 2 { counters.number += 1 }
            case 99 where way > 0: counters.waitLimit = 0
            default: break
            }
        }
        let found = try #require(end)
        #expect(found.hasSuffix("declared waits took longer than 600 s in total"))
        let when = try #require(found.split(separator: ":").first.flatMap { Int($0) })
        #expect(6000...6200 ~= when)
    }

    @Test func anActivityAfterOneThatGotOnHasItsOwnWaits() {
        // Pages, an hour of them; before each the lamp warms up for 9 s of 10.
        let end = run(Self.units(every: .seconds(1)), seconds: 3600) { index, counters in
            if index % 100 == 0 {
                counters.number += 1
                Self.wait(&counters, .seconds(60))
            }
            if index % 100 == 90 { counters.waitLimit = 0 }
            if index % 100 > 90 { counters.units += 1 }
        }
        #expect(end == nil)
    }

    @Test func aSupervisorThatWasLateBlamesNoWait() {
        var watchdog = Watchdog()
        var counters = Self.units(every: .seconds(1))
        Self.wait(&counters, .seconds(3))
        #expect(watchdog.look([counters], now: 1) == nil)
        #expect(watchdog.look([counters], now: 60_000_000_000) == nil)
        #expect(watchdog.look([counters], now: 60_100_000_000) == nil)
    }

    @Test func aWaitOfOneHidesNoOthersHang() {
        var watchdog = Watchdog()
        var waiting = Self.units(every: .seconds(1))
        Self.wait(&waiting, .seconds(60))
        let hanging = Self.units(every: .seconds(1))
        let found = (0..<100).lazy.compactMap { watchdog.look([waiting, hanging], now: 1 + UInt64($0) * Self.tick) }.first
        #expect(found == .init(activity: 1, hang: .noUnit(.seconds(1))))
        #expect(watchdog.wait(0, now: 1 + 20 * Self.tick)?.limit == 60_000_000_000)
        #expect(watchdog.wait(1, now: 1 + 20 * Self.tick) == nil)
        #expect(watchdog.wait(7, now: 1) == nil)
    }

    @Test func nonsenseIsNoTrap() {
        var watchdog = Watchdog()
        let most = ProgressCounters(
            number: .max, turns: .max, transfers: .max, units: .max, unitsBefore: .max, deliveries: .max, watch: .units, unitTime: .max,
            waitLimit: .max, waitNumber: .max)
        for (index, counters) in [most, ProgressCounters(watch: .units), most, ProgressCounters(), most].enumerated() {
            #expect(watchdog.look([counters], now: UInt64(index) * Self.tick) == nil)
        }
        #expect(watchdog.look([most], now: 0) == nil)
        #expect(watchdog.look([most], now: .max) == nil)
    }

    // MARK: Rates

    @Test func aRateIsOfTheLastSecond() {
        var meter = ActivityMeter()
        var counters = ProgressCounters(number: 1)
        for index in 0..<40 {
            meter.look(counters, now: 1 + UInt64(index) * Self.tick)
            counters.units += index < 20 ? 3 : 5
        }
        #expect(abs(meter.rate(counters, now: 1 + 40 * Self.tick) - 50) < 1)
        // Another one in its place begins at nothing.
        counters.number = 2
        #expect(meter.rate(counters, now: 1 + 41 * Self.tick) == 0)
    }

    @Test func aRateComesBeforeItsSecondIsFull() {
        var meter = ActivityMeter()
        meter.look(ProgressCounters(number: 1), now: 1)
        #expect(abs(meter.rate(ProgressCounters(number: 1, units: 15), now: 1 + 5 * Self.tick) - 30) < 1)
    }

    @Test func unitsThatGoBackAreNoProgress() {
        var meter = ActivityMeter()
        meter.look(ProgressCounters(number: 1, units: 1000), now: 1)
        meter.look(ProgressCounters(number: 1, units: 5), now: 1 + 20 * Self.tick)
        #expect(meter.rate(ProgressCounters(number: 1, units: 5), now: 1 + 20 * Self.tick) == 0)
    }
}
