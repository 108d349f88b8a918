// Where the page for browsers is: what `userdriver-web` leaves in the daemon's folder for
// `userdriver view`.

import FileDescriptors
import Glibc

/// A file with the page's link. It counts for as long as whoever wrote it holds a lock on it: the
/// kernel takes the lock away when that process ends, however it ends.
package enum PageLink {
    private static func path(_ directory: RuntimeDirectory) -> String { directory.path + "/web-link" }
    private static let longest = 512

    /// Leaves the link for as long as this process lives. Where another page's is there already, or
    /// the folder is not this user's to write to, nobody finds this one.
    package static func leave(_ link: String, in directory: RuntimeDirectory) {
        // Not closed: the lock would go with any descriptor of the file's.
        let file = open(path(directory), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        var lock = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
        guard fcntl(file, F_SETLK, &lock) == 0, ftruncate(file, 0) == 0 else { return }
        let bytes = Array(link.utf8)
        _ = bytes.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) }
    }

    /// `nil` if no page of this user's is served.
    package static func find(in directory: RuntimeDirectory) -> String? {
        guard let file = OwnedDescriptor(opened: open(path(directory), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) else { return nil }
        var facts = stat()
        guard fstat(file.number, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_uid == geteuid() else { return nil }
        // Who would be in the way of a lock like this one; it is not taken.
        var lock = flock(l_type: Int16(F_RDLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
        guard fcntl(file.number, F_GETLK, &lock) == 0, Int32(lock.l_type) != F_UNLCK else { return nil }
        var bytes = [UInt8](repeating: 0, count: longest)
        let count = pread(file.number, &bytes, bytes.count, 0)
        return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }
}
