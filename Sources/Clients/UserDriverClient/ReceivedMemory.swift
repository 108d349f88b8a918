// Memory that came with a driver's reply.

import Glibc
import Wire

/// Bytes that a driver gave with a reply, mapped read-only; nobody can change them any more.
public final class ReceivedMemory: @unchecked Sendable {
    // Sendable: mapped for reading only, and sealed.
    private let mapping: UnsafeRawBufferPointer

    /// Maps the whole of it; the descriptor stays the caller's.
    init(descriptor: Int32) throws(ClientError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size > 0 else { throw .system("Looking at a reply's memory", errno) }
        let count = Int(status.st_size)
        guard let address = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), address != MAP_FAILED else {
            throw .system("Mapping a reply's memory", errno)
        }
        mapping = UnsafeRawBufferPointer(start: address, count: count)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress), mapping.count) }

    public var byteCount: Int { mapping.count }
    /// The bytes are not valid after `body`.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { try body(mapping) }
    /// A copy.
    public var bytes: [UInt8] { Array(mapping) }
}
