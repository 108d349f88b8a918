// Frames come in order; what is missing is told by number and cause.
import FrameRing
import Testing

@Suite struct RingOrderTests {
    @Test func framesComeInOrderWithTheirFacts() throws {
        let ring = try RingFixture()
        let writer = try ring.writer(generation: 7)
        let reader = try ring.reader()
        #expect(reader.words(after: 0) == "nothing")
        #expect(reader.latest == nil)
        for number in 1...3 as ClosedRange<UInt64> {
            let slot = writer.begin()
            #expect(slot.bytes.count == 256)
            slot.bytes.copyBytes(from: [UInt8](repeating: UInt8(number), count: 50))
            let flags: FrameFlags = number == 2 ? .damaged : []
            #expect(writer.publish(length: 50, captured: number * 10, deviceTime: number * 100, flags: flags) == number)
        }
        for number in 1...3 as ClosedRange<UInt64> {
            guard case .frame(let frame) = reader.next(after: number - 1, timeout: .zero) else {
                Issue.record("frame \(number) is there")
                return
            }
            #expect(frame.sequence == number)
            #expect(frame.captured == number * 10)
            #expect(frame.deviceTime == number * 100)
            #expect(frame.published > 0)
            #expect(frame.generation == 7)
            #expect(frame.flags == (number == 2 ? .damaged : []))
            #expect(frame.copy() == [UInt8](repeating: UInt8(number), count: 50))
            var count = 0
            let whole = frame.withBytes { count = $0.count }
            #expect(whole && count == 50)
        }
        #expect(reader.words(after: 3) == "nothing")
        #expect(reader.latest?.sequence == 3)
        #expect(reader.newestSequence == 3)
    }

    @Test func aFrameBeingWrittenOrAbandonedIsNotSeen() throws {
        let ring = try RingFixture()
        let writer = try ring.writer()
        let reader = try ring.reader()
        _ = writer.begin()
        #expect(reader.words(after: 0) == "nothing")
        writer.abandon()
        #expect(writer.publishFrame() == 1)
        #expect(reader.words(after: 0) == "frame 1")
    }

    @Test func gapsAreToldByNumberAndCause() throws {
        let ring = try RingFixture(slotCount: 8)
        let writer = try ring.writer(generation: 3)
        let reader = try ring.reader()
        writer.publishFrame()
        writer.skip(count: 3, cause: .damaged)
        writer.skip(count: 1, cause: .deviceLost)
        writer.skip(count: 0, cause: .overrun)
        writer.publishFrame()
        #expect(reader.words(after: 0) == "frame 1")
        #expect(reader.words(after: 1) == "gap 2…4: damaged on the way")
        #expect(reader.words(after: 2) == "gap 3…4: damaged on the way")
        #expect(reader.words(after: 4) == "gap 5…5: skipped by the device")
        #expect(reader.words(after: 5) == "frame 6")
        guard case .gap(let gap) = reader.next(after: 1, timeout: .zero) else {
            Issue.record("a gap")
            return
        }
        #expect(gap.count == 3 && gap.generation == 3 && gap.time > 0)
    }

    @Test func aGapIsToldBeforeTheNextFrameComes() throws {
        let ring = try RingFixture()
        let writer = try ring.writer()
        let reader = try ring.reader()
        writer.publishFrame()
        writer.skip(count: 2, cause: .deviceAbsent)
        #expect(reader.words(after: 1) == "gap 2…3: the device was absent")
    }

    @Test func framesSkippedWhileOneIsWrittenComeBeforeIt() throws {
        let ring = try RingFixture()
        let writer = try ring.writer()
        let reader = try ring.reader()
        let slot = writer.begin()
        slot.bytes[0] = 0xA5
        writer.skip(count: 4, cause: .driverRestarted)
        #expect(writer.publish(length: 1, captured: 1) == 5)
        #expect(reader.words(after: 0) == "gap 1…4: the driver restarted")
        #expect(reader.latest?.copy() == [0xA5])
    }

    @Test func aLargeGapEvictsNoFrame() throws {
        let ring = try RingFixture(slotCount: 4)
        let writer = try ring.writer()
        let reader = try ring.reader()
        writer.publishFrame()
        writer.publishFrame()
        writer.skip(count: 1_000_000, cause: .deviceAbsent)
        writer.publishFrame()
        #expect(reader.words(after: 0) == "frame 1")
        #expect(reader.words(after: 1) == "frame 2")
        #expect(reader.words(after: 2) == "gap 3…1000002: the device was absent")
        #expect(reader.words(after: 1_000_002) == "frame 1000003")
    }

    @Test func aReaderThatLagsIsToldAndGoesOnWithTheOldestFrame() throws {
        let ring = try RingFixture(slotCount: 4)
        let writer = try ring.writer()
        let reader = try ring.reader()
        for _ in 1...10 { writer.publishFrame() }
        #expect(reader.words(after: 0) == "gap 1…6: the reader was too slow")
        #expect(reader.words(after: 6) == "frame 7")
        // A frame in the making takes the oldest slot.
        _ = writer.begin()
        #expect(reader.words(after: 6) == "gap 7…7: the reader was too slow")
        #expect(reader.words(after: 7) == "frame 8")
    }

    @Test func aLaggingReaderIsStillToldOfARecordedGapByItsCause() throws {
        let ring = try RingFixture(slotCount: 2)
        let writer = try ring.writer()
        let reader = try ring.reader()
        writer.publishFrame()
        writer.publishFrame()
        writer.skip(count: 2, cause: .damaged)
        for _ in 1...3 { writer.publishFrame() }
        #expect(reader.words(after: 0) == "gap 1…2: the reader was too slow")
        #expect(reader.words(after: 2) == "gap 3…4: damaged on the way")
        #expect(reader.words(after: 4) == "gap 5…5: the reader was too slow")
        #expect(reader.words(after: 5) == "frame 6")
    }

    @Test func moreGapsThanTheTableHoldsAreStillCounted() throws {
        let ring = try RingFixture(slotCount: 2)
        let writer = try ring.writer()
        let reader = try ring.reader()
        for _ in 1...200 {
            writer.skip(count: 1, cause: .damaged)
            writer.publishFrame()
        }
        var position: UInt64 = 0
        var missing: UInt64 = 0
        var frames = 0
        loop: while true {
            switch reader.next(after: position, timeout: .zero) {
            case .frame(let frame):
                frames += 1
                position = frame.sequence
            case .gap(let gap):
                #expect(gap.first == position + 1)
                missing += gap.count
                position = gap.last
            case .timedOut: break loop
            }
        }
        #expect(position == 400)
        #expect(frames == 2)
        #expect(missing == 398)
    }

    @Test func aWaitingReaderIsWokenByAFrameAndTimesOutWithoutOne() throws {
        let ring = try RingFixture(slotCount: 64)
        let writer = try ring.writer()
        let reader = try ring.reader()
        #expect(reader.words(after: 0) == "nothing")
        guard case .timedOut = reader.next(after: 0, timeout: .milliseconds(5)) else {
            Issue.record("nothing was published")
            return
        }
        // Each side waits for the other, so that every frame wakes a reader that may already sleep.
        let answers = try RingFixture(slotCount: 2)
        let answerWriter = try answers.writer()
        let answerReader = try answers.reader()
        onThreads([
            {
                for number in 0..<500 as Range<UInt64> {
                    guard case .frame = reader.next(after: number, timeout: .seconds(60)) else {
                        Issue.record("frame \(number + 1) wakes the reader")
                        return
                    }
                    answerWriter.publishFrame()
                }
            },
            {
                for number in 0..<500 as Range<UInt64> {
                    writer.publishFrame()
                    guard case .frame = answerReader.next(after: number, timeout: .seconds(60)) else {
                        Issue.record("answer \(number + 1) comes")
                        return
                    }
                }
            },
        ])
    }
}
