// A look at the bytes that will run.

import Glibc

extension SealedExecutable {
    /// Lends the sealed bytes. Nobody can change them, before or after.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) throws(SpawnError) -> Result {
        guard byteCount > 0 else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        guard let start = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
            throw SpawnError(errno: errno, operation: "mmap(\(path))")
        }
        defer { munmap(start, byteCount) }
        return body(UnsafeRawBufferPointer(start: start, count: byteCount))
    }
}
