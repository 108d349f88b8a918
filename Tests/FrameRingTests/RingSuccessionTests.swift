// A writer dies, anywhere, and another one goes on with the numbers.
import FrameRing
import Testing

@Suite struct RingSuccessionTests {
    @Test func aSuccessorGoesOnWithTheNumbers() throws {
        let ring = try RingFixture(slotCount: 4)
        let reader = try ring.reader()
        let first = try ring.writer(generation: 1)
        for _ in 1...6 { first.publishFrame() }
        let second = try ring.writer(generation: 2)
        #expect(second.nextSequence == 7)
        second.publishFrame()
        // The successor took the oldest slot: everything else is still there.
        #expect(reader.words(after: 3) == "frame 4")
        #expect(reader.words(after: 5) == "frame 6")
        guard case .frame(let frame) = reader.next(after: 6, timeout: .zero) else {
            Issue.record("frame 7")
            return
        }
        #expect(frame.generation == 2)
    }

    @Test func aHalfWrittenFrameIsNeverSeen() throws {
        let ring = try RingFixture()
        let reader = try ring.reader()
        let first = try ring.writer(generation: 1)
        first.publishFrame()
        let half = first.begin()
        half.bytes.initializeMemory(as: UInt8.self, repeating: 0xEE)
        let second = try ring.writer(generation: 2)
        #expect(reader.words(after: 1) == "nothing")
        #expect(second.publishFrame() == 2)
        #expect(reader.latest?.copy() == [UInt8](repeating: 2, count: 100))
    }

    @Test func aFrameInTheMakingIsGoneOnWith() throws {
        let ring = try RingFixture()
        let reader = try ring.reader()
        let first = try ring.writer(generation: 1)
        first.publishFrame()
        let half = first.begin()
        for index in 0..<50 { half.bytes[index] = 7 }
        let second = try ring.writer(generation: 2)
        let slot = try #require(second.resume(slot: first.slotIndex))
        #expect(slot.sequence == 2)
        #expect(slot.bytes[..<50].allSatisfy { $0 == 7 }, "what the predecessor wrote is there")
        for index in 50..<100 { slot.bytes[index] = 7 }
        #expect(second.publish(length: 100, captured: 1) == 2)
        #expect(reader.latest?.copy() == [UInt8](repeating: 7, count: 100))
        #expect(second.publishFrame() == 3)
    }

    @Test func aFrameThatWasPublishedBeforeTheDeathIsNotPublishedAgain() throws {
        let ring = try RingFixture()
        let reader = try ring.reader()
        let first = try ring.writer(generation: 1)
        let index = first.slotIndex
        first.publishFrame()
        guard case .frame(let held) = reader.next(after: 0, timeout: .zero) else {
            Issue.record("frame 1")
            return
        }
        let second = try ring.writer(generation: 2)
        let slot = try #require(second.resume(slot: index))
        #expect(slot.sequence == 1)
        for index in 0..<100 { slot.bytes[index] = 1 }
        #expect(held.isWhole, "the same bytes again disturb no reader")
        #expect(second.publish(length: 100, captured: 1) == 1)
        #expect(reader.words(after: 1) == "nothing")
        #expect(held.isWhole)
        #expect(second.publishFrame() == 2)
        #expect(reader.words(after: 1) == "frame 2")
    }

    @Test func aRingThatHasGoneOnIsNotResumed() throws {
        let ring = try RingFixture()
        let first = try ring.writer(generation: 1)
        let index = first.slotIndex
        for _ in 0..<3 { first.publishFrame() }
        let second = try ring.writer(generation: 2)
        for slot in [index, -1, 4, .max] { #expect(second.resume(slot: slot) == nil) }
    }

    @Test func aSuccessorAfterAGapKeepsItsNumbers() throws {
        let ring = try RingFixture()
        let first = try ring.writer(generation: 1)
        first.publishFrame()
        first.skip(count: 10, cause: .deviceLost)
        let second = try ring.writer(generation: 2)
        #expect(second.nextSequence == 12)
    }

    @Test func aFrameWholeButNotAnnouncedIsAnnouncedByTheSuccessor() throws {
        let ring = try RingFixture()
        let reader = try ring.reader()
        let first = try ring.writer(generation: 1)
        first.publishFrame()
        first.publishFrame()
        ring.scribble(word: 1, at: 8)  // `published`: as if the writer had died before the store
        #expect(reader.words(after: 1) == "nothing")
        let second = try ring.writer(generation: 2)
        #expect(reader.words(after: 1) == "frame 2")
        #expect(second.publishFrame() == 3)
    }

    @Test(arguments: [
        (elapsed: 33_000_000, missed: 0), (elapsed: 0, missed: 0), (elapsed: 49_000_000, missed: 0), (elapsed: 50_000_000, missed: 1),
        (elapsed: 66_000_000, missed: 1), (elapsed: 330_000_000, missed: 9), (elapsed: 363_400_000, missed: 10),
    ])
    func missedFramesAreCountedByTime(elapsed: UInt64, missed: UInt64) throws {
        let ring = try RingFixture()
        let reader = try ring.reader()
        try ring.writer(generation: 1).publishFrame(captured: 5_000_000_000)
        let second = try ring.writer(generation: 2)
        _ = second.begin()
        #expect(second.resumeGap(now: 5_000_000_000 + elapsed, frameInterval: 33_000_000, cause: .driverRestarted) == missed)
        second.publish(length: 1, captured: 5_000_000_000 + elapsed)
        let expected = missed == 0 ? "frame 2" : "gap 2…\(1 + missed): the driver restarted"
        #expect(reader.words(after: 1) == expected)
    }

    @Test func theFirstIncarnationMissedNothing() throws {
        let ring = try RingFixture()
        let writer = try ring.writer()
        #expect(writer.resumeGap(now: .max, frameInterval: 1, cause: .driverRestarted) == 0)
    }

    @Test func absurdTimesMakeNoAbsurdGap() throws {
        let ring = try RingFixture()
        let writer = try ring.writer()
        writer.publishFrame(captured: 1)
        #expect(writer.resumeGap(now: .max, frameInterval: 0, cause: .driverRestarted) == 0)
        #expect(writer.resumeGap(now: .max, frameInterval: .max, cause: .driverRestarted) == 0)
        #expect(writer.resumeGap(now: .max, frameInterval: 1, cause: .driverRestarted) == UInt64(UInt32.max))
        #expect(writer.resumeGap(now: 0, frameInterval: 1, cause: .driverRestarted) == 0)
    }
}
