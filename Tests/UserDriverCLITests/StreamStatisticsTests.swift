// The figures of a stream, reckoned from made-up frames.

import Pictures
import Testing

@testable import UserDriverCLI

@Suite struct StreamStatisticsTests {
    static let frameTime: UInt64 = 33_333_333

    static func stamp(_ number: UInt64, stream: UInt32 = 1, shift: UInt64 = 0) -> StreamStatistics.Number {
        .stamp(
            FrameStamp(
                number: number, captureTime: 1_000_000_000 + number * frameTime + shift, intervalNanoseconds: UInt32(frameTime),
                stream: stream))
    }

    @Test func anUndisturbedStreamLosesNothing() {
        var statistics = StreamStatistics()
        for number in 0..<301 as Range<UInt64> {
            statistics.delivered(Self.stamp(number), byteCount: 1000, at: 5_000_000_000 + number * Self.frameTime)
        }
        #expect(statistics.frames == 301 && statistics.lost == 0 && statistics.torn == 0 && statistics.restarts == 0)
        #expect(statistics.bytes == 301_000)
        #expect(abs(statistics.fps - 30) < 0.001)
        #expect(abs(statistics.longestGapMilliseconds - 33.333) < 0.001)
    }

    @Test func missingNumbersAreLost() {
        var statistics = StreamStatistics()
        for number in [0, 1, 5, 6] as [UInt64] { statistics.delivered(Self.stamp(number), byteCount: 1, at: number) }
        #expect(statistics.lost == 3)
    }

    @Test func aTornFrameIsTornAndNotLostToo() {
        var statistics = StreamStatistics()
        statistics.delivered(Self.stamp(0), byteCount: 1, at: 0)
        statistics.deliveredTorn()
        statistics.delivered(Self.stamp(3), byteCount: 1, at: 1)
        #expect(statistics.torn == 1 && statistics.lost == 1 && statistics.frames == 2)
    }

    @Test func stampsThatBeginAnewTellByTheirTimesWhatIsMissing() {
        var statistics = StreamStatistics()
        statistics.delivered(Self.stamp(99), byteCount: 1, at: 0)
        // The camera was started again: its numbers begin at 0, eleven frame times later.
        statistics.delivered(Self.stamp(0, stream: 2, shift: 110 * Self.frameTime), byteCount: 1, at: 1)
        #expect(statistics.lost == 10)
        // Another camera, whose stream has the same number as the one before.
        statistics.delivered(Self.stamp(0, stream: 2, shift: 113 * Self.frameTime), byteCount: 1, at: 2)
        #expect(statistics.lost == 12)
    }

    @Test func theRingsNumbersCountWithinOneRing() {
        var statistics = StreamStatistics()
        statistics.delivered(.ring(7, epoch: 0), byteCount: 1, at: 0)
        statistics.delivered(.ring(10, epoch: 0), byteCount: 1, at: 1)
        statistics.delivered(.ring(50, epoch: 1), byteCount: 1, at: 2)
        #expect(statistics.lost == 2)
    }

    @Test func whatNoLaterNumberTellsTheRingDoes() {
        var statistics = StreamStatistics()
        for _ in 0..<5 { statistics.missed() }
        #expect(statistics.lost == 5 && statistics.frames == 0)
        statistics.delivered(.ring(6, epoch: 0), byteCount: 1, at: 0)
        #expect(statistics.lost == 5)
        // Told twice, by the gap and by the next number, and lost once.
        statistics.missed(3)
        statistics.missed()
        #expect(statistics.lost == 9)
        statistics.delivered(.ring(11, epoch: 0), byteCount: 1, at: 1)
        #expect(statistics.lost == 9)
        statistics.missed(2)
        #expect(statistics.lost == 11)
        // Numbers that begin anew tell nothing.
        statistics.delivered(.ring(1, epoch: 1), byteCount: 1, at: 2)
        #expect(statistics.lost == 11)
    }

    @Test func restartsAreCountedOnceWhoeverTellsFirst() {
        var statistics = StreamStatistics()
        for generation in [3, 3, 4, 4, 5, 4, 5, 7] as [UInt32] { statistics.wrote(generation: generation) }
        #expect(statistics.restarts == 4)
    }

    @Test func aDriverThatComesWithItsDeviceIsNoRestart() {
        var statistics = StreamStatistics()
        statistics.wrote(generation: 1)
        statistics.countsDriversAnew()
        statistics.wrote(generation: 2)
        #expect(statistics.restarts == 0)
    }

    @Test func theLongestGapIsBetweenDeliveredFrames() {
        var statistics = StreamStatistics()
        for time in [0, 10, 400, 410] as [UInt64] { statistics.delivered(Self.stamp(time), byteCount: 1, at: time * 1_000_000) }
        #expect(statistics.longestGapMilliseconds == 390)
    }

    @Test func jsonHasTheShapeThatScriptsRelyOn() {
        var statistics = StreamStatistics()
        #expect(statistics.json == #"{"frames":0,"lost":0,"torn":0,"restarts":0,"longestGapMs":0,"fps":0,"bytes":0}"#)
        statistics.delivered(.ring(1, epoch: 0), byteCount: 10, at: 0)
        statistics.delivered(.ring(2, epoch: 0), byteCount: 10, at: 33_366_667)
        #expect(statistics.json == #"{"frames":2,"lost":0,"torn":0,"restarts":0,"longestGapMs":33.367,"fps":29.97,"bytes":20}"#)
    }
}

@Suite struct FrameJudgeTests {
    static func stamped(_ number: UInt64) -> [UInt8] {
        var frame = [UInt8](repeating: 100, count: 640)
        frame.withUnsafeMutableBytes {
            FrameStamp(number: number, captureTime: number, intervalNanoseconds: 1, stream: 1).write(format: "yuy2", into: $0)
        }
        return frame
    }

    @Test func aStampedFrameBearsTheCamerasNumber() {
        var judge = FrameJudge()
        let verdict = Self.stamped(7).withUnsafeBytes { judge.judge($0, format: "yuy2", sequence: 1, epoch: 0) }
        guard case .whole(.stamp(let stamp)) = verdict else {
            Issue.record("\(verdict)")
            return
        }
        #expect(stamp.number == 7 && judge.isStamped)
    }

    @Test func anAlteredByteIsTorn() {
        var judge = FrameJudge()
        var frame = Self.stamped(7)
        frame[300] ^= 1
        #expect(frame.withUnsafeBytes { judge.judge($0, format: "yuy2", sequence: 1, epoch: 0) } == .torn)
    }

    @Test func withoutAStampTheRingNumbersUntilAStampedFrameHasCome() {
        var judge = FrameJudge()
        let plain = [UInt8](repeating: 1, count: 640)
        #expect(plain.withUnsafeBytes { judge.judge($0, format: "yuy2", sequence: 5, epoch: 2) } == .whole(.ring(5, epoch: 2)))
        _ = Self.stamped(7).withUnsafeBytes { judge.judge($0, format: "yuy2", sequence: 6, epoch: 2) }
        #expect(plain.withUnsafeBytes { judge.judge($0, format: "yuy2", sequence: 7, epoch: 2) } == .torn)
    }
}
