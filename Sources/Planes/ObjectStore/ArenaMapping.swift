// The writer's side of an arena: the memory, mapped.

import CLinux
import Glibc

/// An arena as a driver has it. Writing is bounded by the mapping, whatever the supervisor says.
///
/// `@unchecked Sendable`: the pointer never changes, and each object's bytes and cursor are written
/// by the one who writes that object.
public final class ArenaMapping: @unchecked Sendable {
    public let layout: ArenaLayout
    private let memory: UnsafeMutableRawPointer

    /// Maps a descriptor, which stays the caller's.
    public init(descriptor: Int32, layout: ArenaLayout) throws(ObjectStoreError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size == off_t(layout.byteCount) else {
            throw ObjectStoreError("fstat", "the arena does not have \(layout.byteCount) bytes")
        }
        let mapped = mmap(nil, layout.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let mapped, mapped != MAP_FAILED else { throw ObjectStoreError("mmap", errno: errno, "the arena can't be mapped") }
        self.layout = layout
        memory = mapped
    }

    deinit { munmap(memory, layout.byteCount) }

    /// False if that is out of bounds; nothing is written then.
    public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        guard layout.holds(offset: offset, length: bytes.count) else { return false }
        if let base = bytes.baseAddress { memcpy(memory + offset, base, bytes.count) }
        return true
    }

    /// Lends bytes of objects; `nil` if that is out of bounds.
    public func withBytes<R>(at offset: Int, count: Int, _ work: (UnsafeRawBufferPointer) -> R) -> R? {
        guard layout.holds(offset: offset, length: count) else { return nil }
        return work(UnsafeRawBufferPointer(start: memory + offset, count: count))
    }

    /// This many bytes of the object are written for good: a reader that sees this word sees them too.
    public func setWritten(_ count: UInt64, cursor: Int) {
        guard cursor % 8 == 0, 0..<ArenaLayout.blockSize - 7 ~= cursor else { return }
        clinux_store_u64(memory + cursor, count)
    }
}
