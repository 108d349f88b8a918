// Why memory for objects could not be made, taken over or read.

import Glibc

public struct ObjectStoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The call that failed: `"memfd_create"`.
    public var operation: String
    /// 0 if no system call failed.
    public var errno: Int32
    /// A sentence without its end.
    public var detail: String

    public init(_ operation: String, errno number: Int32 = 0, _ detail: String) {
        self.operation = operation
        self.errno = number
        self.detail = detail
    }

    public var description: String {
        "\(operation): \(detail)" + (errno == 0 ? "" : " (\(String(cString: strerror(errno))))")
    }
}
