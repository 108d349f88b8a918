// Memory that somebody scribbled over, descriptors that do not fit, readers that want to write.
import CLinux
import FileDescriptors
import FrameRing
import Glibc
import Testing

@Suite struct RingHostilityTests {
    @Test func randomWordsNeverTrapAReaderNorASuccessor() throws {
        let ring = try RingFixture(capacity: 64, slotCount: 4)
        let reader = try ring.reader()
        var randomness = Randomness(state: 1)
        let interesting: [UInt64] = [0, 1, 2, 3, 4, 7, .max, .max - 1, 1 << 55, 1 << 56, 1 << 63, (1 << 55) * 2 + 2]
        for round in 0..<500 {
            // The header's words, the table of gaps and the slots' headers.
            for offset in stride(from: 0, to: FrameRingGeometry.headerSize + 4 * FrameRingGeometry.slotHeaderSize, by: 8) {
                switch (round + offset / 8) % 3 {
                case 0: ring.scribble(word: randomness.next(), at: offset)
                case 1: ring.scribble(word: interesting.randomElement(using: &randomness) ?? 0, at: offset)
                default: ring.scribble(word: UInt64.random(in: 0..<16, using: &randomness), at: offset)
                }
            }
            for after in [0, 1, 5, randomness.next(), .max] {
                switch reader.next(after: after, timeout: .zero) {
                case .frame(let frame):
                    #expect(frame.length <= 64)
                    _ = frame.copy()
                case .gap(let gap):
                    let origin = max(after, reader.origin)
                    #expect(gap.cause == .renumbered || (gap.first == origin + 1 && gap.last == gap.first + gap.count - 1))
                case .timedOut: break
                }
            }
            _ = reader.latest?.copy()
            let writer = try ring.writer(generation: UInt32(round))
            #expect(writer.nextSequence > 0)
            writer.resumeGap(now: randomness.next(), frameInterval: 33_000_000, cause: .driverRestarted)
            let number = writer.publishFrame(length: 64)
            #expect(reader.newestSequence == number)
            guard case .frame(let frame) = reader.next(after: number - 1, timeout: .zero) else {
                Issue.record("round \(round): the frame of a new incarnation is there")
                return
            }
            #expect(frame.copy() == [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 64))
        }
    }

    @Test func aReaderAheadOfTheNumbersIsToldThatTheyStartAnew() throws {
        let ring = try RingFixture()
        let reader = try ring.reader()
        let writer = try ring.writer()
        writer.publishFrame()
        guard case .gap(let gap) = reader.next(after: 1_000, timeout: .seconds(60)) else {
            Issue.record("the reader does not wait for what never comes")
            return
        }
        #expect(gap.cause == .renumbered && gap.count == 0 && gap.last == 1)
    }

    @Test func aLengthBeyondTheCapacityIsCut() throws {
        let ring = try RingFixture(capacity: 256, slotCount: 2)
        let reader = try ring.reader()
        try ring.writer().publishFrame()
        ring.scribble(word: .max, at: FrameRingGeometry.headerSize + 8)
        #expect(reader.latest?.length == 256)
        #expect(reader.latest?.copy()?.count == 256)
    }

    @Test func memoryOfAnotherSizeIsRefused() throws {
        let ring = try RingFixture(capacity: 256, slotCount: 4)
        let larger = try #require(FrameRingGeometry(capacity: 256, slotCount: 5))
        #expect(throws: FrameRingError.self) { try FrameRingReader(descriptor: ring.memory.descriptor, geometry: larger) }
        #expect(throws: FrameRingError.self) {
            try FrameRingWriter(descriptor: ring.memory.descriptor, geometry: larger, generation: 1)
        }
    }

    @Test func memoryThatCanStillShrinkIsRefused() throws {
        let ring = try RingFixture()
        let descriptor = clinux_memfd("unsealed", 0)
        defer { close(descriptor) }
        try #require(ftruncate(descriptor, off_t(ring.geometry.byteCount)) == 0)
        #expect(throws: FrameRingError.self) { try FrameRingReader(descriptor: descriptor, geometry: ring.geometry) }
    }

    @Test func whatIsNoMemoryIsRefused() throws {
        let ring = try RingFixture()
        #expect(throws: FrameRingError.self) { try FrameRingReader(descriptor: -1, geometry: ring.geometry) }
        #expect(throws: FrameRingError.self) { try FrameRingReader(descriptor: 0, geometry: ring.geometry) }
    }

    @Test func aReadersDescriptorCanNotWrite() throws {
        let ring = try RingFixture()
        let owned = try ring.memory.readOnlyDescriptor()
        let descriptor = owned.number
        #expect(mmap(nil, ring.geometry.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) == MAP_FAILED)
        #expect(errno == EACCES)
        #expect(write(descriptor, "x", 1) == -1)
        #expect(ftruncate(descriptor, 0) == -1)
        #expect(throws: FrameRingError.self) { try FrameRingWriter(descriptor: descriptor, geometry: ring.geometry, generation: 1) }
        let mapped = mmap(nil, ring.geometry.byteCount, PROT_READ, MAP_SHARED, descriptor, 0)
        try #require(mapped != MAP_FAILED)
        #expect(mprotect(mapped, ring.geometry.byteCount, PROT_READ | PROT_WRITE) == -1)
        munmap(mapped, ring.geometry.byteCount)
    }

    @Test(.enabled(if: geteuid() != 0, "root may open any file for writing, whatever its mode"))
    func aReadersDescriptorCanNotBeReopenedForWriting() throws {
        let ring = try RingFixture()
        let owned = try ring.memory.readOnlyDescriptor()
        let descriptor = owned.number
        #expect(open("/proc/self/fd/\(descriptor)", O_RDWR) == -1)
        #expect(errno == EACCES)
    }

    @Test func theSizeIsFixedForEver() throws {
        let ring = try RingFixture()
        #expect(ftruncate(ring.memory.descriptor, 4096) == -1)
        #expect(ftruncate(ring.memory.descriptor, off_t(ring.geometry.byteCount) * 2) == -1)
    }

    @Test func geometriesOutOfBoundsAreRefused() {
        for (capacity, slots) in [(0, 4), (-1, 4), (4096, 1), (4096, 257), (1 << 29, 2), (256 << 20, 256), (.max, 2), (4096, .max)] {
            #expect(FrameRingGeometry(capacity: capacity, slotCount: slots) == nil)
        }
    }
}
