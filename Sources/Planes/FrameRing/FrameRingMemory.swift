// The owner's side of a ring: makes the memory, and descriptors of it for the writer and for
// readers. It survives them all.
import CLinux
import Glibc

/// A ring's memory, owned by the supervisor so that it survives every driver.
///
/// The writable descriptor goes to one driver; readers get `readOnlyDescriptor()`. The file's mode is 0444, so that a process of another
/// user can't make a writable descriptor out of a read-only one through `/proc`. (The owning user, and root, could give themselves the
/// permission back: what keeps apart processes of one user is the sandbox.)
public final class FrameRingMemory: Sendable {
    public let geometry: FrameRingGeometry
    /// Readable and writable; closed when this object goes.
    public let descriptor: Int32

    /// - Parameter name: what `/proc/PID/maps` shows.
    public init(geometry: FrameRingGeometry, name: String = "frame-ring") throws(FrameRingError) {
        let descriptor = clinux_memfd(name, 0)
        guard descriptor >= 0 else { throw FrameRingError("memfd_create", errno: -descriptor, "no memory for a ring") }
        do throws(FrameRingError) {
            guard ftruncate(descriptor, off_t(geometry.byteCount)) == 0 else {
                throw FrameRingError("ftruncate", errno: errno, "no memory of \(geometry.byteCount) bytes")
            }
            let sealed = clinux_seal_resizing(descriptor)
            guard sealed == 0 else { throw FrameRingError("F_ADD_SEALS", errno: -sealed, "the size can't be sealed") }
            guard fchmod(descriptor, 0o444) == 0 else { throw FrameRingError("fchmod", errno: errno, "can't be made read-only") }
            let mapping = try FrameRingMapping(descriptor: descriptor, geometry: geometry, writable: true)
            mapping.store64(RingField.magic, FrameRingGeometry.magic)
        } catch {
            close(descriptor)
            throw error
        }
        self.geometry = geometry
        self.descriptor = descriptor
    }

    /// Takes over memory that an earlier owner made. Owns the descriptor unless it throws: where
    /// that is not a memfd of the geometry's size, sealed.
    public init(adopting descriptor: Int32, geometry: FrameRingGeometry) throws(FrameRingError) {
        _ = try FrameRingMapping(descriptor: descriptor, geometry: geometry, writable: true)
        self.geometry = geometry
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

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

    /// A new descriptor that can only be read and mapped for reading, closed on exec. The caller closes it.
    public func readOnlyDescriptor() throws(FrameRingError) -> Int32 {
        let path = "/proc/self/fd/\(descriptor)"
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else { throw FrameRingError("open(\(path))", errno: errno, "can't be opened for reading") }
        return opened
    }
}
