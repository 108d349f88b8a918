// A stream goes on in another ring: those who stay miss nothing, who left sees nothing more, who came nothing older.

import CLinux
import FrameRing
import Glibc
import Synchronization
import Testing

@Suite struct RingMoveTests {
    private func offer(_ writer: FrameRingWriter, _ ring: RingFixture, moved: @escaping @Sendable () -> Void = {}) throws {
        try writer.offer(descriptor: ring.memory.descriptor, geometry: ring.geometry, moved: moved)
    }

    @Test func numbersGoOnInTheOtherRing() throws {
        let (old, new) = (try RingFixture(), try RingFixture())
        let writer = try old.writer()
        for _ in 1...3 { writer.publishFrame() }
        let moves = Mutex(0)
        try offer(writer, new) { moves.withLock { $0 += 1 } }
        #expect(!old.memory.hasEnded)
        #expect(try old.reader().end == nil)
        writer.publishFrame()
        #expect(moves.withLock { $0 } == 1)
        #expect(old.memory.hasEnded)
        let (left, kept) = (try old.reader(), try new.reader())
        #expect(left.end == 3)
        #expect(left.words(after: 2) == "frame 3")
        #expect(left.words(after: 3) == "nothing")
        #expect(kept.follows(left) && !left.follows(kept))
        #expect(kept.words(after: 3) == "frame 4")
        // Who begins with it reads from its first frame, and is told of no gap before.
        #expect(kept.words(after: 0) == "frame 4")
        #expect(kept.latest?.copy() == [UInt8](repeating: 4, count: 100))
    }

    @Test func nothingFromBeforeIsInTheOtherRing() throws {
        let (old, new) = (try RingFixture(), try RingFixture())
        let writer = try old.writer()
        for _ in 1...3 { writer.publishFrame() }
        writer.skip(count: 2, cause: .damaged)
        try offer(writer, new)
        writer.move()
        let reader = try new.reader()
        #expect(reader.latest == nil)
        #expect(reader.newestSequence == 5)
        for number: UInt64 in [0, 3, 5] { #expect(reader.words(after: number) == "nothing") }
        #expect(writer.publishFrame() == 6)
        #expect(reader.words(after: 0) == "frame 6")
    }

    /// A camera that has no frame yet, or one a second, is not waited for.
    @Test func aFrameInTheMakingGoesAlong() throws {
        let (old, new) = (try RingFixture(), try RingFixture())
        let writer = try old.writer()
        writer.movesAtFrames = false
        writer.publishFrame()
        let open = writer.begin()
        for index in 0..<40 { open.bytes[index] = 7 }
        #expect(writer.move(keeping: 40) == nil, "nothing is offered")
        try offer(writer, new)
        let moved = try #require(writer.move(keeping: 40))
        #expect(moved.sequence == 2 && moved.bytes[..<40].allSatisfy { $0 == 7 })
        for index in 40..<100 { moved.bytes[index] = 7 }
        #expect(writer.publish(length: 100, captured: 1) == 2)
        #expect(try new.reader().latest?.copy() == [UInt8](repeating: 7, count: 100))
        #expect(try old.reader().words(after: 1) == "nothing")
    }

    @Test func aStreamWithoutAFrameMovesToo() throws {
        let (old, new) = (try RingFixture(), try RingFixture())
        let writer = try old.writer()
        try offer(writer, new)
        writer.move()
        #expect(try old.reader().end == 0)
        #expect(writer.publishFrame() == 1)
        #expect(try new.reader().words(after: 0) == "frame 1")
    }

    @Test func theLatestOfferCounts() throws {
        let rings = try (0..<3).map { _ in try RingFixture() }
        let writer = try rings[0].writer()
        try offer(writer, rings[1])
        try offer(writer, rings[2])
        writer.publishFrame()
        #expect(try rings[1].reader().newestSequence == 0)
        #expect(try rings[2].reader().words(after: 0) == "frame 1")
    }

    @Test func anotherGeometryIsRefused() throws {
        let writer = try RingFixture(slotCount: 4).writer()
        #expect(throws: FrameRingError.self) { try offer(writer, try RingFixture(slotCount: 5)) }
    }

    /// Before the word that ends the old ring is stored nothing has happened, whatever lies in the new one.
    @Test func whoDiesBeforeHasNotMoved() throws {
        let (old, new) = (try RingFixture(), try RingFixture())
        let first = try old.writer()
        first.movesAtFrames = false
        first.publishFrame()
        let half = first.begin()
        half.bytes[0] = 9
        // What a process leaves there that dies on the way, at the worst.
        new.scribble([UInt8](repeating: 0xff, count: 4096 + 4 * 128), at: 0)
        let second = try FrameRingWriter(descriptor: old.memory.descriptor, geometry: old.geometry, generation: 2)
        second.movesAtFrames = false
        let slot = try #require(second.resume(slot: first.slotIndex))
        #expect(slot.sequence == 2 && slot.bytes[0] == 9)
        try offer(second, new)
        let moved = try #require(second.move(keeping: 1))
        #expect(moved.sequence == 2 && moved.bytes[0] == 9)
        second.publish(length: 1, captured: 1)
        let reader = try new.reader()
        #expect(reader.words(after: 0) == "frame 2")
        #expect(reader.words(after: 2) == "nothing")
        #expect(second.publishFrame() == 3)
    }

    /// After it everything is in the new ring, under the slot that the process remembered in the old one.
    @Test func whoDiesAfterwardsHasMoved() throws {
        let (old, new) = (try RingFixture(), try RingFixture())
        let first = try old.writer()
        first.movesAtFrames = false
        for _ in 1...6 { first.publishFrame() }
        let half = first.begin()
        for index in 0..<50 { half.bytes[index] = 5 }
        let remembered = first.slotIndex
        try offer(first, new)
        _ = first.move(keeping: 50)
        #expect(first.slotIndex == remembered)
        let second = try new.writer(generation: 2)
        let slot = try #require(second.resume(slot: remembered))
        #expect(slot.sequence == 7 && slot.bytes[..<50].allSatisfy { $0 == 5 })
        #expect(second.publish(length: 50, captured: 1) == 7)
        #expect(second.publishFrame() == 8)
        let reader = try new.reader()
        #expect(reader.words(after: 6) == "frame 7")
        #expect(reader.words(after: 7) == "frame 8")
    }

    /// A frame that was published in the old ring right before a death is replayed there, and not moved.
    @Test func aReplayEndsBeforeTheMove() throws {
        let (old, new) = (try RingFixture(), try RingFixture())
        let first = try old.writer()
        let remembered = first.slotIndex
        first.publishFrame()
        let second = try old.writer(generation: 2)
        second.movesAtFrames = false
        try offer(second, new)
        _ = try #require(second.resume(slot: remembered))
        second.move()
        #expect(!old.memory.hasEnded)
        #expect(second.publish(length: 100, captured: 1) == 1)
        second.move()
        #expect(old.memory.hasEnded)
        #expect(second.publishFrame() == 2)
    }

    /// Whatever comes in whatever order: a reader that goes over when its ring says so has every number once, in order.
    @Test(arguments: 0..<20 as Range<UInt64>) func whoStaysHasEveryNumberOnce(seed: UInt64) throws {
        var chance = Randomness(state: seed)
        var rings = [try RingFixture()]
        var offered: RingFixture?
        var writer = try rings[0].writer()
        writer.movesAtFrames = false
        var written: [String] = []
        var seen: [String] = []
        var (reading, last) = (0, UInt64(0))
        func read() throws {
            while true {
                let reader = try rings[reading].reader()
                let words = reader.words(after: last)
                if words == "nothing" {
                    guard reader.end == last, reading + 1 < rings.count else { return }
                    reading += 1
                    continue
                }
                seen.append(words)
                switch reader.next(after: last, timeout: .zero) {
                case .frame(let frame):
                    #expect(frame.copy() == [UInt8](repeating: UInt8(truncatingIfNeeded: frame.sequence), count: 100))
                    last = frame.sequence
                case .gap(let gap): last = gap.last
                case .timedOut: Issue.record("nothing")
                }
            }
        }
        func noteMove() {
            guard let new = offered, rings[rings.count - 1].memory.hasEnded else { return }
            rings.append(new)
            offered = nil
        }
        for _ in 0..<200 {
            switch Int.random(in: 0..<8, using: &chance) {
            case 0..<3: written.append("frame \(writer.publishFrame())")
            case 3:
                let first = writer.nextSequence
                writer.skip(count: 2, cause: .damaged)
                written.append("gap \(first)…\(first + 1): damaged on the way")
            case 4:
                if offered == nil { offered = try RingFixture() }
                try offer(writer, offered!)
            case 5:
                let slot = writer.begin()
                for index in 0..<50 { slot.bytes[index] = UInt8(truncatingIfNeeded: slot.sequence) }
                if let moved = writer.move(keeping: 50) {
                    #expect(moved.bytes[49] == UInt8(truncatingIfNeeded: moved.sequence))
                }
                noteMove()
                writer.abandon()
            case 6:
                writer.move()
                noteMove()
            default:
                // It dies, and its successor gets the ring that the stream is in.
                noteMove()
                writer = try rings[rings.count - 1].writer(generation: 2)
                writer.movesAtFrames = false
                if let offered { try offer(writer, offered) }
            }
            try read()
        }
        #expect(seen == written)
        #expect(rings.count > 3)
    }

    @Test func aReaderThatWaitsIsWokenByTheEnd() throws {
        let (old, new) = (try RingFixture(), try RingFixture())
        let writer = try old.writer()
        writer.publishFrame()
        try offer(writer, new)
        let reader = try old.reader()
        let alarm = ReaderAlarm()
        onThreads([
            { while reader.end == nil { reader.wait(after: 1, alarm: alarm, seen: 0, until: nil) } },
            { writer.move() },
        ])
        #expect(reader.end == 1)
    }

    @Test func aRetiredRingShowsNothingAndTakesNothing() throws {
        let (old, new) = (try RingFixture(capacity: 1 << 20), try RingFixture(capacity: 1 << 20))
        let writer = try old.writer()
        for _ in 1...3 { writer.publishFrame() }
        let reader = try old.reader()
        guard case .frame(let held) = reader.next(after: 2, timeout: .zero) else {
            Issue.record("frame 3")
            return
        }
        #expect(held.isWhole)
        #expect(!old.memory.retire(), "its writer has it mapped still")
        #expect(!held.isWhole && held.copy() == nil && reader.latest == nil)
        #expect(reader.words(after: 0) == "gap 1…3: the reader was too slow")
        try offer(writer, new)
        writer.move()
        #expect(old.memory.retire())
        #expect(throws: FrameRingError.self) { try old.writer(generation: 2) }
        var status = stat()
        #expect(fstat(old.memory.descriptor, &status) == 0)
        #expect(status.st_blocks * 512 <= 3 * 4096)
        #expect(writer.publishFrame() == 4)
    }

    /// Words that a hostile writer may store: reading goes on, and ends.
    @Test(arguments: [UInt64(1), 2, 3, 4, 1 << 55, 1 << 56, .max]) func wordsThatMakeNoSenseHarmNobody(word: UInt64) throws {
        for offset in [40, 48, 56] {
            let ring = try RingFixture()
            let writer = try ring.writer()
            for _ in 1...2 { writer.publishFrame() }
            ring.scribble(word: word, at: offset)
            let reader = try ring.reader()
            var last: UInt64 = 0
            for _ in 0..<4 {
                switch reader.next(after: last, timeout: .zero) {
                case .frame(let frame): last = frame.sequence
                case .gap(let gap): last = gap.last
                case .timedOut: break
                }
            }
            #expect(last <= 2 && reader.end == (offset == 48 && word == 3 ? 2 : nil), "offset \(offset)")
            _ = reader.follows(reader)
            _ = try ring.writer(generation: 2).publishFrame()
        }
    }
}
