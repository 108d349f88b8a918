// The owner's side of an arena: makes the memory that objects lie in, and survives everybody who
// writes or reads it.

import CLinux
public import FileDescriptors
import Glibc

/// An arena's memory, owned by the supervisor. One driver gets the descriptor itself, to write;
/// readers get `readOnlyDescriptor()`.
///
/// A driver can write wherever it likes in an arena that it has. So an arena holds objects of one
/// device and one user, and readers check an object's digest, which is kept elsewhere.
public final class ObjectArena: Sendable {
    public let layout: ArenaLayout
    /// Readable and writable; closed when this object goes.
    public var descriptor: Int32 { memory.number }
    private let memory: OwnedDescriptor
    public var byteCount: Int { layout.byteCount }

    public init(layout: ArenaLayout) throws(ObjectStoreError) {
        let made = clinux_memfd("objects", 0)
        guard let memory = OwnedDescriptor(opened: made) else {
            throw ObjectStoreError("memfd_create", errno: -made, "no memory for objects")
        }
        guard ftruncate(memory.number, off_t(layout.byteCount)) == 0 else {
            throw ObjectStoreError("ftruncate", errno: errno, "no memory of \(layout.byteCount) bytes")
        }
        let sealed = clinux_seal_resizing(memory.number)
        guard sealed == 0 else { throw ObjectStoreError("F_ADD_SEALS", errno: -sealed, "the size can't be sealed") }
        guard fchmod(memory.number, 0o444) == 0 else { throw ObjectStoreError("fchmod", errno: errno, "can't be made read-only") }
        var magic = ArenaLayout.magic
        guard pwrite(memory.number, &magic, 8, 0) == 8 else { throw ObjectStoreError("pwrite", errno: errno, "can't be written") }
        self.layout = layout
        self.memory = memory
    }

    /// Takes over memory that an earlier owner made. `nil` if it is not a sealed memfd of
    /// the layout's size.
    public init?(adopting memory: consuming OwnedDescriptor, layout: ArenaLayout) {
        var status = stat()
        let (seals, wanted) = (clinux_seals(memory.number), F_SEAL_SHRINK | F_SEAL_GROW)
        guard seals >= 0, seals & wanted == wanted, fstat(memory.number, &status) == 0, status.st_size == off_t(layout.byteCount) else {
            return nil
        }
        self.layout = layout
        self.memory = memory
    }

    /// What the writer says about its object. The caller must bound it by what was granted.
    public func written(cursor: Int) -> UInt64 {
        var word: UInt64 = 0
        return pread(descriptor, &word, 8, off_t(cursor)) == 8 ? word : 0
    }

    /// Sets a cursor. False if there is no memory for it.
    public func setWritten(_ value: UInt64, cursor: Int) -> Bool {
        var word = value
        return pwrite(descriptor, &word, 8, off_t(cursor)) == 8
    }

    /// Gives the memory of these blocks back. Takes milliseconds for a large run: not for a thread
    /// that others wait for.
    public func punch(_ blocks: Range<Int>) {
        _ = clinux_punch_hole(
            descriptor, Int64(blocks.lowerBound * ArenaLayout.blockSize), Int64(blocks.count * ArenaLayout.blockSize))
    }

    /// Gives all memory back, and makes sure that nobody fills it again. False while somebody has
    /// it mapped for writing.
    public func retire() -> Bool {
        clinux_punch_hole(descriptor, 0, Int64(layout.byteCount)) == 0 && clinux_seal_writing(descriptor) == 0
    }

    /// A new descriptor that can only be read and mapped for reading, closed on exec.
    public func readOnlyDescriptor() throws(ObjectStoreError) -> OwnedDescriptor {
        let path = "/proc/self/fd/\(descriptor)"
        guard let opened = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else {
            throw ObjectStoreError("open(\(path))", errno: errno, "can't be opened for reading")
        }
        return opened
    }
}
