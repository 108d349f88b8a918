// Readers that tell how far they are: what they are done with is written over first, and nothing else early.
import CLinux
import FileDescriptors
import FrameRing
import Glibc
import Testing

@Suite struct RingReportTests {
    /// A ring with a page for each reader.
    private struct Reported {
        let ring: RingFixture
        let pages: [ReportMemory]

        init(readers: Int = 1, slotCount: Int = 8) throws {
            ring = try RingFixture(slotCount: slotCount)
            pages = try (0..<readers).map { _ in try ReportMemory() }
        }

        func writer(generation: UInt32 = 1) throws -> FrameRingWriter {
            try FrameRingWriter(
                descriptor: ring.memory.descriptor, geometry: ring.geometry, generation: generation, reports: pages.map(\.descriptor))
        }

        func reader(_ index: Int = 0) throws -> FrameRingReader {
            let owned = try ring.memory.readOnlyDescriptor()
            let descriptor = owned.number
            return try FrameRingReader(descriptor: descriptor, geometry: ring.geometry, report: pages[index].descriptor)
        }

        /// What stands on a page.
        func word(_ index: Int = 0) -> UInt64 {
            var word: UInt64 = 0
            #expect(pread(pages[index].descriptor, &word, 8, 0) == 8)
            return word
        }

        func write(_ word: UInt64, on index: Int = 0) {
            var word = word
            #expect(pwrite(pages[index].descriptor, &word, 8, 0) == 8)
        }
    }

    /// Slots that the next frames take.
    private func slots(_ writer: FrameRingWriter, count: Int, after each: (UInt64) -> Void = { _ in }) -> [Int] {
        (0..<count).map { _ in
            let number = writer.publishFrame()
            let slot = writer.slotIndex
            each(number)
            return slot
        }
    }

    @Test func whatAPromptReaderIsDoneWithIsWrittenOverFirst() throws {
        let reported = try Reported()
        let (writer, reader) = (try reported.writer(), try reported.reader())
        let taken = slots(writer, count: 100) { number in
            guard case .frame(let frame) = reader.next(after: number - 1, timeout: .zero) else {
                Issue.record("frame \(number)")
                return
            }
            #expect(frame.copy() == [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 100))
        }
        #expect(Set(taken).count == 2)
    }

    @Test func slotsAreTakenInTurnWhereSomebodyDoesNotReport() throws {
        let ring = try RingFixture(slotCount: 4)
        #expect(slots(try ring.writer(), count: 10) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    }

    @Test func aReaderThatHasSaidNothingLosesNothing() throws {
        let reported = try Reported()
        let writer = try reported.writer()
        #expect(slots(writer, count: 10) == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1])
        let reader = try reported.reader()
        #expect(reader.words(after: 3) == "frame 4")
    }

    @Test func whoLagsLosesNothingUntilTheRingIsFull() throws {
        let reported = try Reported()
        let (writer, reader) = (try reported.writer(), try reported.reader())
        var position: UInt64 = 0
        for round in 0..<200 {
            // Up to seven frames, the ring's eight less one, wait for it.
            for _ in 0...(round % 7) { writer.publishFrame() }
            while case .frame(let frame) = reader.next(after: position, timeout: .zero) {
                #expect(frame.sequence == position + 1)
                #expect(frame.copy() == [UInt8](repeating: UInt8(truncatingIfNeeded: frame.sequence), count: 100))
                position = frame.sequence
            }
            #expect(position == writer.nextSequence - 1)
        }
    }

    @Test func theSlowestReaderDecides() throws {
        let reported = try Reported(readers: 2)
        let (writer, quick, slow) = (try reported.writer(), try reported.reader(0), try reported.reader(1))
        _ = slots(writer, count: 7) { _ = quick.words(after: $0 - 1) }
        for number in UInt64(1)...7 { #expect(slow.words(after: number - 1) == "frame \(number)") }
        #expect(Set(slots(writer, count: 20) { _ = (quick.words(after: $0 - 1), slow.words(after: $0 - 1)) }).count <= 3)
    }

    @Test func whoHasLeftDecidesNothing() throws {
        let reported = try Reported(readers: 2)
        let (writer, reader) = (try reported.writer(), try reported.reader(0))
        reported.pages[1].readerHasLeft()
        #expect(Set(slots(writer, count: 50) { _ = reader.words(after: $0 - 1) }).count == 2)
        reported.pages[0].readerHasLeft()
        #expect(Set(slots(writer, count: 50)).count <= 3)
    }

    @Test func aFrameInSomebodysHandsStaysWhole() throws {
        let reported = try Reported()
        let (writer, reader) = (try reported.writer(), try reported.reader())
        writer.publishFrame()
        var held: FrameReference?
        if case .frame(let frame) = reader.next(after: 0, timeout: .zero) { held = frame }
        #expect(reported.word() == 0)
        for number in UInt64(2)...7 {
            writer.publishFrame()
            #expect(reader.words(after: number - 1) == "frame \(number)")
            #expect(held?.isWhole == true)
            #expect(reported.word() == 0, "nothing is given back before it")
        }
        held = nil
        #expect(reported.word() == 7)
        #expect(Set(slots(writer, count: 20) { _ = reader.words(after: $0 - 1) }).count <= 3)
    }

    @Test func gapsAreGivenBackAsFramesAre() throws {
        let reported = try Reported()
        let (writer, reader) = (try reported.writer(), try reported.reader())
        writer.publishFrame()
        #expect(reader.words(after: 0) == "frame 1")
        writer.skip(count: 3, cause: .damaged)
        #expect(reader.words(after: 1) == "gap 2…4: damaged on the way")
        #expect(reported.word() == 4)
    }

    /// A page that lies costs its own reader frames, and nobody else.
    @Test(arguments: [UInt64.max - 1, 1 << 63, 1 << 40, 51]) func aPageThatTellsOfFramesThatWereNeverGivenSaysNothing(word: UInt64) throws {
        let reported = try Reported(slotCount: 4)
        let writer = try reported.writer()
        reported.write(word)
        #expect(slots(writer, count: 10) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    }

    @Test func aLiarHarmsNobodyElse() throws {
        let reported = try Reported(readers: 2)
        let (writer, honest) = (try reported.writer(), try reported.reader(0))
        _ = slots(writer, count: 7) { reported.write($0, on: 1) }
        for number in UInt64(1)...7 { #expect(honest.words(after: number - 1) == "frame \(number)") }
    }

    @Test func aRingThatGoesOnHasItsOwnReaders() throws {
        let (old, new) = (try Reported(), try Reported())
        let (writer, reader) = (try old.writer(), try old.reader())
        _ = slots(writer, count: 5) { _ = reader.words(after: $0 - 1) }
        try writer.offer(
            descriptor: new.ring.memory.descriptor, geometry: new.ring.geometry, reports: new.pages.map(\.descriptor), moved: {})
        writer.move()
        // Nobody has said anything of the new one.
        #expect(slots(writer, count: 8).count == 8)
        let next = try new.reader()
        for number in UInt64(7)...13 { #expect(next.words(after: number - 1) == "frame \(number)") }
        #expect(Set(slots(writer, count: 20) { _ = next.words(after: $0 - 1) }).count <= 3)
    }

    @Test func memoryThatIsNoPageIsRefused() throws {
        let ring = try RingFixture()
        let other = try RingFixture()
        #expect(throws: FrameRingError.self) {
            try FrameRingWriter(
                descriptor: ring.memory.descriptor, geometry: ring.geometry, generation: 1, reports: [other.memory.descriptor])
        }
        #expect(throws: FrameRingError.self) {
            try FrameRingReader(descriptor: ring.memory.descriptor, geometry: ring.geometry, report: other.memory.descriptor)
        }
    }

    /// Writers die anywhere between two frames, and remember what they did when they last could: each frame comes once, with its own bytes.
    @Test(arguments: 0..<20 as Range<UInt64>) func whereverAWriterDiesEachFrameComesOnce(seed: UInt64) throws {
        var random = Randomness(state: seed)
        let reported = try Reported(slotCount: Int.random(in: 3...8, using: &random))
        let reader = try reported.reader()
        var writer = try reported.writer()
        var position: UInt64 = 0
        var generation: UInt32 = 1
        // What is remembered: the frame in the making, and where it lies.
        var slot = writer.begin()
        var remembered = (frame: UInt64(1), slot: writer.slotIndex)
        func read() throws {
            while case .frame(let frame) = reader.next(after: position, timeout: .zero) {
                try #require(frame.sequence == position + 1)
                #expect(frame.copy() == [UInt8](repeating: UInt8(truncatingIfNeeded: frame.sequence), count: 100))
                position = frame.sequence
            }
        }
        for _ in 0..<2000 {
            if Bool.random(using: &random) || writer.nextSequence - position >= reported.ring.geometry.slotCount - 1 { try read() }
            func succeed() throws {
                generation += 1
                writer = try reported.writer(generation: generation)
                slot = try #require(writer.resume(slot: remembered.slot))
            }
            let death = Int.random(in: 0..<10, using: &random)
            if death == 0 { try succeed() }
            for index in 0..<100 { slot.bytes[index] = UInt8(truncatingIfNeeded: remembered.frame) }
            if death == 1 { try succeed() }
            // All of it is done again, with the same bytes.
            for index in 0..<100 { slot.bytes[index] = UInt8(truncatingIfNeeded: remembered.frame) }
            #expect(writer.publish(length: 100, captured: 1) == remembered.frame)
            if death == 2 {
                if Bool.random(using: &random) { try read() }
                try succeed()
                continue
            }
            slot = writer.begin()
            if death == 3 {
                if Bool.random(using: &random) { try read() }
                try succeed()
                continue
            }
            remembered = (remembered.frame + 1, writer.slotIndex)
        }
        try read()
        #expect(position >= 1000)
    }
}
