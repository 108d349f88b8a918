// The owner's side of a transfer ring: memory that survives every driver.

import CLinux
public import FileDescriptors
import Glibc
public import USB

/// A transfer ring's memory, owned by the supervisor, which never looks into it.
public final class TransferRingMemory: Sendable {
    public let geometry: TransferRingGeometry
    /// Readable and writable; closed when this object goes.
    public var descriptor: Int32 { memory.number }
    private let memory: OwnedDescriptor

    public init(geometry: TransferRingGeometry) throws(USBError) {
        let made = clinux_memfd("transfer-ring", 0)
        guard let memory = OwnedDescriptor(opened: made) else { throw USBError(system: -made, operation: "memfd_create(transfer-ring)") }
        guard ftruncate(memory.number, off_t(geometry.byteCount)) == 0, clinux_seal_resizing(memory.number) == 0 else {
            throw USBError(system: errno, operation: "ftruncate(transfer-ring, \(geometry.byteCount) bytes)")
        }
        self.geometry = geometry
        self.memory = memory
    }

    /// Takes over memory that an earlier owner made. Throws where that is not a memfd of the
    /// geometry's size, sealed.
    public init(adopting memory: consuming OwnedDescriptor, geometry: TransferRingGeometry) throws(USBError) {
        var status = stat()
        let (seals, wanted) = (clinux_seals(memory.number), F_SEAL_SHRINK | F_SEAL_GROW)
        guard geometry.isSound, fstat(memory.number, &status) == 0, status.st_size == off_t(geometry.byteCount), seals >= 0,
            seals & wanted == wanted
        else { throw USBError(.invalidArgument, operation: "transfer-ring", detail: "the memory is not of the ring's size, or not sealed") }
        self.geometry = geometry
        self.memory = memory
    }

    /// Gives back the memory of a ring that nobody uses any more, and makes sure that nobody fills it again. Blocks for milliseconds: not
    /// for a thread that others wait for.
    /// - Returns: false while somebody has it mapped for writing.
    public func retire() -> Bool {
        clinux_punch_hole(descriptor, 0, Int64(geometry.byteCount)) == 0 && clinux_seal_writing(descriptor) == 0
    }
}

extension USBError {
    /// A system call failed: an errno.
    init(system number: Int32, operation: String) {
        self.init(.connection, operation: operation, detail: String(cString: strerror(number)))
    }
}
