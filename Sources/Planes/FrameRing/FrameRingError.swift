// Why a ring could not be made or mapped.

/// A ring that could not be made or mapped: the call that failed, and why.
public struct FrameRingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The call that failed, as a person would look it up: `"mmap"`.
    public var operation: String
    public var reason: String
    /// Linux's error number, 0 if the call itself succeeded.
    public var errno: Int32

    init(_ operation: String, errno: Int32 = 0, _ reason: String) {
        self.operation = operation
        self.errno = errno
        self.reason = reason
    }

    public var description: String { "frame ring: \(operation): \(reason)" + (errno == 0 ? "" : " (errno \(errno))") }
}
