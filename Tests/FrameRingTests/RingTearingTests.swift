// Readers beside a writer that never waits for them: nothing torn is ever called whole.
import FrameRing
import Glibc
import Synchronization
import Testing

@Suite struct RingTearingTests {
    @Test func aFrameOverwrittenWhileItIsReadIsNotWhole() throws {
        let ring = try RingFixture(slotCount: 2)
        let writer = try ring.writer()
        let reader = try ring.reader()
        writer.publishFrame()
        let frame = try #require(reader.latest)
        #expect(frame.isWhole)
        let whole = frame.withBytes { _ in
            writer.publishFrame()
            writer.publishFrame()
        }
        #expect(!whole)
        #expect(!frame.isWhole)
        #expect(frame.copy() == nil)
    }

    @Test func aFrameIsNotWholeFromTheMomentItsSlotIsTaken() throws {
        let ring = try RingFixture(slotCount: 2)
        let writer = try ring.writer()
        let reader = try ring.reader()
        writer.publishFrame()
        writer.publishFrame()
        guard case .frame(let frame) = reader.next(after: 0, timeout: .zero) else {
            Issue.record("frame 1")
            return
        }
        _ = writer.begin()
        #expect(!frame.isWhole)
    }

    /// Every word of frame n holds n × an odd constant: a frame mixed from two shows it.
    @Test(arguments: [2, 5])
    func noTornFrameIsCalledWhole(slotCount: Int) throws {
        let frames: UInt64 = 60_000
        let words = 1_024
        let ring = try RingFixture(capacity: words * 8, slotCount: slotCount)
        let writer = try ring.writer()
        let readers = try (0..<3).map { _ in try ring.reader() }
        let torn = Atomic<Int>(0)
        let whole = Atomic<Int>(0)
        let miscounted = Atomic<Int>(0)

        let read: [@Sendable () -> Void] = readers.map { reader in
            {
                var position: UInt64 = 0
                var accounted: UInt64 = 0
                while position < frames {
                    switch reader.next(after: position, timeout: .seconds(60)) {
                    case .frame(let frame):
                        var matches = true
                        let kept = frame.withBytes { bytes in
                            let expected = frame.sequence &* 0x9E37_79B9_7F4A_7C15
                            for word in bytes.assumingMemoryBound(to: UInt64.self) where word != expected { matches = false }
                            matches = matches && bytes.count == words * 8
                        }
                        if kept {
                            whole.add(1, ordering: .relaxed)
                            if !matches { torn.add(1, ordering: .relaxed) }
                        }
                        accounted += 1
                        position = frame.sequence
                    case .gap(let gap):
                        if gap.first != position + 1 || gap.cause != .tooSlow { miscounted.add(1, ordering: .relaxed) }
                        accounted += gap.count
                        position = gap.last
                    case .timedOut:
                        miscounted.add(1, ordering: .relaxed)
                        return
                    }
                }
                if accounted != frames { miscounted.add(1, ordering: .relaxed) }
            }
        }
        onThreads(
            read + [
                {
                    for _ in 0..<frames {
                        let slot = writer.begin()
                        let value = slot.sequence &* 0x9E37_79B9_7F4A_7C15
                        let target = slot.bytes.assumingMemoryBound(to: UInt64.self)
                        for index in 0..<words { target[index] = value }
                        writer.publish(length: words * 8, captured: 1)
                        // Now and then the readers get a chance to keep up.
                        if slot.sequence % 16 == 0 { sched_yield() }
                    }
                }
            ])
        #expect(torn.load(ordering: .relaxed) == 0)
        #expect(miscounted.load(ordering: .relaxed) == 0)
        #expect(whole.load(ordering: .relaxed) > 0)
    }
}
