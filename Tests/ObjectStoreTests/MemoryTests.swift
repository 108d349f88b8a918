// Arenas and records as memory: what survives, what is believed, what nobody can do to it.

import CLinux
import FileDescriptors
import Glibc
import Testing

@testable import ObjectStore

@Suite("Records that survive their process") struct RecordMemoryTests {
    private func read(_ memory: RecordMemory) -> [RecordMemory.Found]? {
        var found: [RecordMemory.Found] = []
        return RecordMemory(adopting: OwnedDescriptor(clinux_duplicate(memory.descriptor)), slotCount: memory.slotCount, found: &found).map
        { _ in found }
    }

    @Test func areFoundAsTheyWereWrittenLast() throws {
        let memory = try RecordMemory(slotCount: 4)
        #expect(read(memory)?.isEmpty == true)
        let first = try #require(memory.put([1, 2, 3]))
        let second = try #require(memory.put([4]))
        let third = try #require(memory.put([5, 6], replacing: first))
        #expect(read(memory)?.map(\.bytes).sorted { $0.count < $1.count } == [[4], [5, 6]])
        #expect(Set([second, third]) == Set(read(memory)?.map(\.slot) ?? []))
        memory.clear(second)
        #expect(read(memory)?.map(\.bytes) == [[5, 6]])
    }

    @Test func aFullMemoryKeepsWhatItHas() throws {
        let memory = try RecordMemory(slotCount: 3)
        let slot = try #require(memory.put([1]))
        #expect(memory.put([UInt8](repeating: 1, count: RecordMemory.capacity + 1)) == nil)
        #expect(memory.put([UInt8](repeating: 2, count: RecordMemory.capacity)) != nil)
        // A change needs a free slot.
        #expect(memory.put([3], replacing: slot) == nil)
        #expect(read(memory)?.map(\.bytes).contains([1]) == true)
    }

    /// A writer may die between any two of its writes: both records are there then, and the later
    /// one says so.
    @Test func ofTwoTheLaterIsKnown() throws {
        let memory = try RecordMemory(slotCount: 8)
        _ = memory.put([1])
        _ = memory.put([2])
        let found = try #require(read(memory))
        #expect(found.max { $0.sequence < $1.sequence }?.bytes == [2])
        // Written but for its first word: it is not there.
        let slot = 3
        var count: UInt64 = 1
        #expect(pwrite(memory.descriptor, &count, 8, off_t(slot * RecordMemory.slotSize + 8)) == 8)
        #expect(read(memory)?.count == 2)
        // Whoever takes it over counts on.
        var all: [RecordMemory.Found] = []
        let next = try #require(RecordMemory(adopting: OwnedDescriptor(clinux_duplicate(memory.descriptor)), slotCount: 8, found: &all))
        _ = next.put([3])
        #expect(read(memory)?.max { $0.sequence < $1.sequence }?.bytes == [3])
    }

    @Test func whatIsNoSuchMemoryIsRefused() throws {
        var found: [RecordMemory.Found] = []
        let unsealed = clinux_memfd("unsealed", 0)
        #expect(ftruncate(unsealed, off_t(4 * RecordMemory.slotSize)) == 0)
        for descriptor in [unsealed, open("/dev/zero", O_RDONLY | O_CLOEXEC), clinux_memfd("small", 0)] {
            #expect(RecordMemory(adopting: OwnedDescriptor(descriptor), slotCount: 4, found: &found) == nil)
        }
        let memory = try RecordMemory(slotCount: 4)
        #expect(RecordMemory(adopting: OwnedDescriptor(clinux_duplicate(memory.descriptor)), slotCount: 5, found: &found) == nil)
        // A slot whose numbers make no sense is nobody's record.
        var header: [UInt64] = [1, UInt64(RecordMemory.capacity) + 1]
        #expect(pwrite(memory.descriptor, &header, 16, off_t(RecordMemory.slotSize)) == 16)
        header = [.max, 1]
        #expect(pwrite(memory.descriptor, &header, 16, off_t(2 * RecordMemory.slotSize)) == 16)
        #expect(read(memory)?.isEmpty == true)
    }
}

@Suite("Arenas") struct ArenaTests {
    private let layout = ArenaLayout(byteCount: 64 << 10)!

    @Test func areReadByThoseWhoMayOnlyRead() throws {
        let arena = try ObjectArena(layout: layout)
        let owned = try arena.readOnlyDescriptor()
        let reading = owned.number
        let mapping = try ArenaMapping(descriptor: arena.descriptor, layout: layout)
        #expect([1, 2, 3].withUnsafeBytes { mapping.write($0, at: 16 << 10) })
        mapping.setWritten(24, cursor: ArenaLayout.cursor(2))
        #expect(arena.written(cursor: ArenaLayout.cursor(2)) == 24)
        var bytes = [Int](repeating: 0, count: 3)
        #expect(pread(reading, &bytes, 24, off_t(16 << 10)) == 24 && bytes == [1, 2, 3])
        #expect(mmap(nil, layout.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, reading, 0) == MAP_FAILED)
        #expect(ftruncate(arena.descriptor, 0) != 0 && write(reading, "x", 1) < 0)
    }

    @Test func areWrittenWithinTheirBounds() throws {
        let arena = try ObjectArena(layout: layout)
        let mapping = try ArenaMapping(descriptor: arena.descriptor, layout: layout)
        let bytes = [UInt8](repeating: 7, count: 100)
        for offset in [0, -1, (64 << 10) - 99, .max, .min] { #expect(!bytes.withUnsafeBytes { mapping.write($0, at: offset) }) }
        for cursor in [-8, 3, 16 << 10, .max] { mapping.setWritten(1, cursor: cursor) }
        #expect(mapping.withBytes(at: 16 << 10, count: 49 << 10) { _ in } == nil)
        #expect(throws: ObjectStoreError.self) { try ArenaMapping(descriptor: arena.descriptor, layout: ArenaLayout(byteCount: 32 << 10)!) }
    }

    @Test func areRetiredOnceNobodyWrites() throws {
        let arena = try ObjectArena(layout: layout)
        var mapping: ArenaMapping? = try ArenaMapping(descriptor: arena.descriptor, layout: layout)
        #expect([UInt8](repeating: 9, count: 100).withUnsafeBytes { mapping?.write($0, at: 20_000) == true })
        #expect(!arena.retire())
        mapping = nil
        #expect(arena.retire())
        var byte: UInt8 = 1
        #expect(pread(arena.descriptor, &byte, 1, 20_000) == 1 && byte == 0)
        #expect(pwrite(arena.descriptor, &byte, 1, 20_000) < 0)
    }

    @Test func ofAnotherKindAreNotAdopted() throws {
        let arena = try ObjectArena(layout: layout)
        #expect(ObjectArena(adopting: OwnedDescriptor(clinux_duplicate(arena.descriptor)), layout: layout) != nil)
        #expect(
            ObjectArena(adopting: OwnedDescriptor(clinux_duplicate(arena.descriptor)), layout: ArenaLayout(byteCount: 128 << 10)!) == nil)
        for descriptor in [clinux_memfd("unsealed", 0), open("/dev/zero", O_RDWR | O_CLOEXEC)] {
            #expect(ObjectArena(adopting: OwnedDescriptor(descriptor), layout: layout) == nil)
        }
    }

    @Test func digestsAreSHA256() {
        var digest = ObjectDigest()
        #expect(digest.text() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        Array("a".utf8).withUnsafeBytes { digest.update($0) }
        Array("bc".utf8).withUnsafeBytes { digest.update($0) }
        #expect(digest.text() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(ObjectDigest.isDigest(digest.text()))
        for text in ["", "ab", String(repeating: "A", count: 64), String(repeating: "g", count: 64), String(repeating: "a", count: 65)] {
            #expect(!ObjectDigest.isDigest(text))
        }
    }
}
