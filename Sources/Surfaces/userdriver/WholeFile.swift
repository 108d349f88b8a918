// Files that appear whole or not at all.

import FileDescriptors
import Glibc

/// Files that appear whole or not at all.
enum WholeFile {
    /// - Parameter isDurable: returns once file and name are on the disk.
    static func write(_ bytes: [UInt8], to path: String, isDurable: Bool = false) throws {
        // What is not a plain file (a device, a pipe) can't be replaced by one. A link stays, and
        // what it leads to is replaced.
        var status = stat()
        let exists = stat(path, &status) == 0
        let isSpecial = exists && status.st_mode & S_IFMT != S_IFREG
        let target = exists ? resolved(path) : path
        let temporary = isSpecial ? path : target + ".\(getpid()).part"
        let flags = isSpecial ? O_WRONLY | O_CLOEXEC : O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
        let descriptor = open(temporary, flags, 0o666)
        guard descriptor >= 0 else { throw OutputError(number: errno, what: path) }
        var failed: Int32 = 0
        // Who may read the file that is replaced may read the new one, and nobody else.
        if exists, !isSpecial, fchmod(descriptor, status.st_mode & 0o777) != 0 { failed = errno }
        if failed == 0 { failed = bytes.withUnsafeBytes { Terminal.writeAll($0, to: descriptor) } }
        if failed == 0, isDurable, !isSpecial, fsync(descriptor) != 0 { failed = errno }
        if close(descriptor) != 0, failed == 0 { failed = errno }
        if failed == 0, !isSpecial, rename(temporary, target) != 0 { failed = errno }
        guard failed == 0 else {
            if !isSpecial { unlink(temporary) }
            throw OutputError(number: failed, what: path)
        }
        guard isDurable, !isSpecial else { return }
        let folder = target.lastIndex(of: "/").map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
        guard let directory = OwnedDescriptor(opened: open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) else { return }
        fsync(directory.number)
    }

    private static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }
}
