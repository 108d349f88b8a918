// The owner's side of a transfer ring: memory that outlives every driver.

import CLinux
import Glibc
public import USB

/// A transfer ring's memory, owned by the supervisor, who never looks into it.
public final class TransferRingMemory: Sendable {
    public let geometry: TransferRingGeometry
    /// Readable and writable; closed when this object goes.
    public let descriptor: Int32

    public init(geometry: TransferRingGeometry) throws(USBError) {
        let descriptor = clinux_memfd("transfer-ring", 0)
        guard descriptor >= 0 else { throw USBError(system: -descriptor, operation: "memfd_create(transfer-ring)") }
        guard ftruncate(descriptor, off_t(geometry.byteCount)) == 0, clinux_seal_size(descriptor) == 0 else {
            let number = errno
            close(descriptor)
            throw USBError(system: number, operation: "ftruncate(transfer-ring, \(geometry.byteCount) bytes)")
        }
        self.geometry = geometry
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }
}

extension USBError {
    /// A system call failed: an errno.
    init(system number: Int32, operation: String) {
        self.init(.connection, operation: operation, detail: String(cString: strerror(number)))
    }
}
