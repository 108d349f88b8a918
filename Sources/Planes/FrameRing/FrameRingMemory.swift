// The owner's side of a ring: makes the memory, and descriptors of it for the writer and for
// readers. It survives them all.
import CLinux
public import FileDescriptors
import Glibc

/// A ring's memory, owned by the supervisor so that it survives every driver.
///
/// The writable descriptor goes to one driver; readers get `readOnlyDescriptor()`. The file's mode is 0444, so that a process of another
/// user can't make a writable descriptor out of a read-only one through `/proc`. (The owning user, and root, could give themselves the
/// permission back: what keeps apart processes of one user is the sandbox.)
public final class FrameRingMemory: Sendable {
    public let geometry: FrameRingGeometry
    /// Readable and writable; closed when this object goes.
    public var descriptor: Int32 { memory.number }
    private let memory: OwnedDescriptor

    /// - Parameter name: what `/proc/PID/maps` shows.
    public init(geometry: FrameRingGeometry, name: String = "frame-ring") throws(FrameRingError) {
        let made = clinux_memfd(name, 0)
        guard let memory = OwnedDescriptor(opened: made) else { throw FrameRingError("memfd_create", errno: -made, "no memory for a ring") }
        guard ftruncate(memory.number, off_t(geometry.byteCount)) == 0 else {
            throw FrameRingError("ftruncate", errno: errno, "no memory of \(geometry.byteCount) bytes")
        }
        let sealed = clinux_seal_resizing(memory.number)
        guard sealed == 0 else { throw FrameRingError("F_ADD_SEALS", errno: -sealed, "the size can't be sealed") }
        guard fchmod(memory.number, 0o444) == 0 else { throw FrameRingError("fchmod", errno: errno, "can't be made read-only") }
        let mapping = try FrameRingMapping(descriptor: memory.number, geometry: geometry, writable: true)
        mapping.store64(RingField.magic, FrameRingGeometry.magic)
        self.geometry = geometry
        self.memory = memory
    }

    /// Takes over memory that an earlier owner made. Throws where that is not a memfd of the
    /// geometry's size, sealed.
    public init(adopting memory: consuming OwnedDescriptor, geometry: FrameRingGeometry) throws(FrameRingError) {
        _ = try FrameRingMapping(descriptor: memory.number, geometry: geometry, writable: true)
        self.geometry = geometry
        self.memory = memory
    }

    /// Whether a writer has said that the stream goes on in another ring. The two words are all that the owner reads of what a writer wrote: they decide
    /// which of two rings, both the owner's own, a successor gets.
    public var hasEnded: Bool {
        var (published, next): (UInt64, UInt64) = (0, 0)
        return pread(descriptor, &published, 8, off_t(RingField.published)) == 8 && pread(descriptor, &next, 8, off_t(RingField.next)) == 8
            && next == published &+ 1
    }

    /// Takes every frame away from those that still have the ring mapped, as if all slots had been overwritten, gives the memory back, and
    /// makes sure that nobody fills it again. Blocks for milliseconds: not for a thread that others wait for.
    /// - Returns: false while somebody has it mapped for writing.
    public func retire() -> Bool {
        let unwritten = [UInt8](repeating: 0, count: FrameRingGeometry.slotHeaderSize * geometry.slotCount)
        guard pwrite(descriptor, unwritten, unwritten.count, off_t(FrameRingGeometry.headerSize)) == unwritten.count else { return false }
        let data = Int64(geometry.dataOffset)
        return clinux_punch_hole(descriptor, data, Int64(geometry.byteCount) - data) == 0 && clinux_seal_writing(descriptor) == 0
    }

    /// A new descriptor that can only be read and mapped for reading, closed on exec.
    public func readOnlyDescriptor() throws(FrameRingError) -> OwnedDescriptor {
        let path = "/proc/self/fd/\(descriptor)"
        guard let opened = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else {
            throw FrameRingError("open(\(path))", errno: errno, "can't be opened for reading")
        }
        return opened
    }
}
