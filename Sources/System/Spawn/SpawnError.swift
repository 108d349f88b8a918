// Why a child could not be started or reached.

import Glibc

/// A failed system call about a child process.
public struct SpawnError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A Linux errno.
    public var errno: Int32
    /// `"execveat(/usr/lib/…/webcam-driver)"`
    public var operation: String
    /// What a person can do about it, where we know.
    public var detail: String?

    init(errno: Int32, operation: String, detail: String? = nil) {
        self.errno = errno
        self.operation = operation
        self.detail = detail
    }

    public var description: String {
        "\(operation): \(String(cString: strerror(errno)))" + (detail.map { " (\($0))" } ?? "")
    }
}
