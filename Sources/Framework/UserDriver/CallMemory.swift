// Memory that goes with calls: what a caller sent along, and what a driver gives back.

import CLinux
import Glibc
import Synchronization
import Wire

/// Memory that came with a call, read-only and unchanging: the supervisor has sealed it.
public final class CallMemory: @unchecked Sendable {
    // Sendable: mapped for reading only, and nobody can write it any more.
    private let mapping: UnsafeRawBufferPointer

    /// Maps it; the descriptor stays the caller's.
    init(descriptor: Int32, byteCount: Int) throws(CallError) {
        var status = stat()
        guard byteCount > 0, fstat(descriptor, &status) == 0, status.st_size >= byteCount,
            let address = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0), address != MAP_FAILED
        else { throw CallError("ContractBroken", "The memory that came with the call is not what the supervisor says.") }
        mapping = UnsafeRawBufferPointer(start: address, count: byteCount)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: mapping.baseAddress), mapping.count) }

    /// How many bytes the caller sent.
    public var byteCount: Int { mapping.count }

    /// The bytes belong to another process: don't trust anything in them. They are not valid after
    /// `body`.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { try body(mapping) }
}

/// Memory that goes to a caller with the next reply. The supervisor created it; once the reply is
/// sent, nobody can write to it.
public final class ReplyMemory: Sendable {
    /// Sendable: used by one at a time, under the lock.
    private struct Mapping: @unchecked Sendable {
        var bytes: UnsafeMutableRawBufferPointer?
    }
    let number: UInt64
    /// As many as were asked for.
    public let byteCount: Int
    private let mapping: Mutex<Mapping>

    /// Maps it; the descriptor stays the caller's.
    init(descriptor: Int32, _ grant: MemoryGrant) throws(CallError) {
        var status = stat()
        guard grant.byteCount > 0, fstat(descriptor, &status) == 0, status.st_size >= grant.byteCount,
            let address = mmap(nil, grant.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), address != MAP_FAILED
        else { throw CallError("ContractBroken", "The supervisor's memory is not what it says.") }
        number = grant.number
        byteCount = grant.byteCount
        mapping = Mutex(Mapping(bytes: UnsafeMutableRawBufferPointer(start: address, count: grant.byteCount)))
    }

    deinit { end() }

    /// Throws `CallError` `InvalidParameter` once it has been sent with a reply. The bytes are not
    /// valid after `body`.
    public func withBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) throws -> R {
        try mapping.withLock { mapping in
            guard let bytes = mapping.bytes else { throw CallError("InvalidParameter", "This memory has already been sent with a reply.") }
            return try body(bytes)
        }
    }

    /// From here on this process can't write it.
    func end() {
        mapping.withLock { mapping in
            if let bytes = mapping.bytes { munmap(bytes.baseAddress, bytes.count) }
            mapping.bytes = nil
        }
    }
}
