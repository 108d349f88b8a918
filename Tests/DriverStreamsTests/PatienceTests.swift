// How long a silent camera is waited for, and what is said meanwhile: pure values in made-up time.

import FrameRing
import Testing
import Wire

@testable import DriverStreams

@Suite struct PatienceTests {
    static let second: UInt64 = 1_000_000_000
    static let frame: UInt64 = 33_333_300

    @Test func beforeTheFirstPictureThereIsNoLimit() {
        #expect(Patience().beforeFirstPicture(frameInterval: Self.frame) == nil)
        // Nor where it is known how long the camera took the last time.
        #expect(Patience(startup: 9 * Self.second).beforeFirstPicture(frameInterval: Self.frame) == nil)
    }

    @Test func eachRemedyThatDidNotHelpIsWaitedForLonger() {
        var patience = Patience(startup: 300_000_000)
        let limits = (0..<4).map { _ in
            patience.tried()
            return patience.beforeFirstPicture(frameInterval: Self.frame)
        }
        #expect(limits == [3, 6, 12, 24].map { $0 * Self.second })
    }

    @Test func aCameraThatIsKnownToStartSlowlyHasTimeForIt() {
        var patience = Patience()
        patience.delivered(after: 9 * Self.second)
        patience.tried()
        #expect(patience.beforeFirstPicture(frameInterval: Self.frame) == 36 * Self.second)
        patience.delivered(after: Self.second)
        #expect(patience == Patience(startup: Self.second))
    }

    @Test func aSlowRateIsNoSilence() {
        #expect(Patience.betweenPictures(frameInterval: Self.frame) == 3 * Self.second)
        #expect(Patience.betweenPictures(frameInterval: 5 * Self.second) == 20 * Self.second)
    }

    @Test func whateverAPredecessorLeftIsNoTrap() {
        var patience = Patience(startup: .max, remedies: .max)
        patience.tried()
        #expect(patience.beforeFirstPicture(frameInterval: .max) != nil)
        #expect(patience.ofBus > 0)
        #expect(Patience.betweenPictures(frameInterval: .max) > 0)
    }

    @Test func theRecordKeepsIt() throws {
        var record = StreamRecord<ThermalRequest>()
        record.patience = Patience(startup: 3_500_000_000, remedies: 2)
        let read = try JSONValue(encoding: record).decoded(as: StreamRecord<ThermalRequest>.self)
        #expect(read.patience == Patience(startup: 3_500_000_000, remedies: 2))
        #expect(try (JSONValue.object([:])).decoded(as: StreamRecord<ThermalRequest>.self).patience == Patience())
        let nonsense: JSONValue = ["startup": -5, "remedies": -1]
        #expect(try nonsense.decoded(as: StreamRecord<ThermalRequest>.self).patience == Patience())
    }
}

@Suite struct DroughtTests {
    private func frame(_ flags: FrameFlags) -> StreamFrame { StreamFrame(length: 998, captured: 0, flags: flags) }

    @Test func itIsSaidAfterThreeSecondsAndThenMoreAndMoreSeldom() {
        var drought = Drought(now: 0)
        let said = (0...100).filter { drought.look(now: UInt64($0) * PatienceTests.second) != nil }
        #expect(said == [3, 9, 27, 81])
    }

    @Test func damagedFramesAreSaidWithWhatIsWrong() throws {
        var drought = Drought(now: 0)
        for time in 1..<90 as Range<UInt64> { drought.take(frame([.damaged, .short]), now: time * PatienceTests.frame) }
        let said = drought.look(now: 3 * PatienceTests.second)
        let report = try #require(said)
        #expect(report.damaged == 89)
        #expect(
            report.sentence(expected: 1000)
                == "No whole frame has arrived for 3 s: 89 arrived damaged (too short, 998 of 1000 bytes).")
    }

    @Test func aWholeFrameEndsIt() {
        var drought = Drought(now: 0)
        drought.take(frame([.damaged, .short]), now: 1)
        drought.take(frame([]), now: 2 * PatienceTests.second)
        let (early, late) = (drought.look(now: 4 * PatienceTests.second), drought.look(now: 5 * PatienceTests.second))
        #expect(early == nil && late?.damaged == 0)
    }
}
